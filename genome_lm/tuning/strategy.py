"""Where trials are drawn from, and which are given up early: Optuna's samplers and pruners as configured."""

import numpy as np
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from genome_lm.choices import PrunerKind, SamplerKind
from genome_lm.errors import UserError
from genome_lm.tuning.config import PrunerConfig, SamplerConfig


def check_strategy(sampler: SamplerConfig, pruner: PrunerConfig) -> None:
    """Check the numbers of sampler and pruner.

    Raises:
        UserError: the first one out of range.
    """
    for key, value, least in (
        ("sampler.seed", sampler.seed, 0),
        ("sampler.startup_trials", sampler.startup_trials, 1),
        ("pruner.startup_trials", pruner.startup_trials, 1),
        ("pruner.min_epochs", pruner.min_epochs, 1),
    ):
        if value < least:
            raise UserError(f"{key} is {value}; expected at least {least}")


def sampler_from(config: SamplerConfig, place: int) -> BaseSampler:
    """The sampler of one draw.

    `tpe` is the tree-structured Parzen estimator (Bergstra et al. 2011), whose first `startup_trials` are
    random.

    Args:
        place: number of draws before it, so that every draw has random numbers of its own.
    """
    seed = int(np.random.SeedSequence([config.seed, place]).generate_state(1)[0])
    if config.name is SamplerKind.random:
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=config.startup_trials)


def pruner_from(config: PrunerConfig) -> BasePruner:
    """The rule by which a trial is given up after an epoch, from epoch `min_epochs` on.

    `median`: its lowest perplexity so far is above the median of the finished trials' at that epoch, once
    `startup_trials` have finished (Golovin et al. 2017, Google Vizier). `halving`: of the trials that got to
    epoch `min_epochs`, and then to twice, four times as many and so on, the better half goes on (asynchronous
    successive halving, Li et al. 2020).
    """
    if config.name is PrunerKind.none:
        return NopPruner()
    if config.name is PrunerKind.halving:
        return SuccessiveHalvingPruner(min_resource=config.min_epochs, reduction_factor=2)
    return MedianPruner(n_startup_trials=config.startup_trials, n_warmup_steps=config.min_epochs)
