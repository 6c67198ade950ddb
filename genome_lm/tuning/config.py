"""Typed root of the configuration of a study, `conf/tune.yaml`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from genome_lm.choices import PrunerKind, SamplerKind


@dataclass
class SpaceConfig:
    """What is searched: keys of training and sweeps in Hydra's grammar."""

    name: str = MISSING
    space: dict[str, Any] = MISSING


@dataclass
class SamplerConfig:
    """Where trials are drawn from."""

    name: SamplerKind = MISSING
    seed: int = MISSING
    startup_trials: int = MISSING


@dataclass
class PrunerConfig:
    """Which trials are given up early."""

    name: PrunerKind = MISSING
    startup_trials: int = MISSING
    min_epochs: int = MISSING


@dataclass
class TuneConfig:
    """Root of `conf/tune.yaml`."""

    tune: SpaceConfig = field(default_factory=SpaceConfig)
    n_trials: int = MISSING  # of the study, with those of earlier calls
    runs_dir: str = MISSING
    study_dir: str = MISSING
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    pruner: PrunerConfig = field(default_factory=PrunerConfig)
