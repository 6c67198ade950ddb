"""Every model of conf/model as a user would get it: composed by Hydra, built from its description."""

import copy
from functools import cache

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from genome_lm.build import network_from
from genome_lm.checkpoint import VERSION, Description
from genome_lm.config import TrainConfig
from genome_lm.config_errors import refuse_added_keys
from genome_lm.config_files import config_dir
from genome_lm.network import Network

MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))


def compose_model(name: str, *overrides: str) -> DictConfig:
    """The configuration of `python train.py model=NAME OVERRIDES`."""
    return copy.deepcopy(_composed(name, *overrides))


@cache
def _composed(name: str, *overrides: str) -> DictConfig:
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("train", overrides=[f"model={name}", *overrides])
    refuse_added_keys(config)
    return config


def description_of(config: DictConfig, n_tasks: int = 5, context_bp: int | None = None) -> Description:
    """What a checkpoint of a training as configured would say, for tasks that are positive in half."""
    plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    ids = [f"task {number}" for number in range(n_tasks)]
    columns = ("id", "cell", "target", "treatment", "group")
    return Description(
        version=VERSION,
        genome_lm_version="0",
        model_name=config.model.name,
        tokenizer=plain["tokenizer"],
        stem=plain["stem"],
        window_features=plain["window_features"],
        encoder=plain["model"]["encoder"],
        head=plain["head"],
        context_bp=config.data.context_bp if context_bp is None else context_bp,
        strand_encoding=plain["strand_encoding"],
        average_strands=config.average_strands,
        tasks=dict.fromkeys(columns, ids),
        positive_rate=[0.5] * n_tasks,
        task_set=f"{n_tasks} of {n_tasks} tasks",
        dataset={},
        config=plain,
    )


def network_of(name: str, *overrides: str, n_tasks: int = 5, context_bp: int | None = None) -> Network:
    """The network of `model=NAME OVERRIDES` with fresh weights.

    Args:
        context_bp: overrides what the configuration says.
    """
    config = compose_model(name, *overrides)
    return network_from(description_of(config, n_tasks, context_bp), list(config.allowed_packages))
