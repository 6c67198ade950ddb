"""Configurations of training, composed inside another command and checked as `train` checks its own."""

from collections.abc import Callable, Sequence

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genome_lm.config import TrainConfig
from genome_lm.config_errors import explain, explain_value, refuse_added_keys
from genome_lm.errors import UserError
from genome_lm.tuning.space import Space
from genome_lm.tuning.yardstick import refuse_other_yardstick, yardstick


def compose_training(overrides: Sequence[str]) -> DictConfig:
    """The resolved configuration of `genome-lm train OVERRIDES`.

    Hydra must be running (a command's job, or `hydra.initialize_config_dir`) and know `train_schema`.

    Raises:
        UserError: a key or value is unknown, missing or of the wrong type.
    """
    state = GlobalHydra.get_state()
    try:
        config = compose("train", overrides=list(overrides))
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise UserError(f"{', '.join(missing)} must be given; see genome-lm train --help")
        OmegaConf.resolve(config)
        refuse_added_keys(config)
        OmegaConf.to_object(config)
    except (HydraException, OmegaConfBaseException) as error:
        message = explain(error, "train", overrides)
        GlobalHydra.set_state(state)  # explaining composes with a Hydra of its own
        raise UserError(message) from error
    except ValueError as error:
        if (reason := explain_value(error, "train", overrides)) is None:
            raise
        raise UserError(reason) from error
    return config


def typed(config: DictConfig) -> TrainConfig:
    """The configuration as the object that training takes."""
    found = OmegaConf.to_object(config)
    assert isinstance(found, TrainConfig)
    return found


def check_space(space: Space, check: Callable[[TrainConfig], None]) -> None:
    """Compose every option of every choice and both ends of every range, one changed at a time.

    So a mistyped key or value, or a key that another choice does not have, stops the study before its first
    trial. What only the data or the network can tell is found by the trials.

    Args:
        check: further checks of a configuration; raises UserError.

    Raises:
        UserError: as `compose_training` or `check`, with the value of the space that is to blame.
    """

    def checked(*overrides: str) -> TrainConfig:
        config = typed(compose_training([*space.fixed, *overrides]))
        check(config)
        return config

    checked()
    first = [each.extremes()[0] for each in space.dimensions]
    try:
        checked(*first)
    except UserError:
        for override in first:  # usually one of them is wrong whatever the others are
            _naming(override, checked, override)
        raise
    measured_on = yardstick(checked(*first))
    for place, dimension in enumerate(space.dimensions):
        for override in dimension.extremes()[1:]:
            others = first[:place], first[place + 1 :]
            config = _naming(override, checked, *others[0], override, *others[1])
            refuse_other_yardstick(config, measured_on)


def _naming(culprit: str, checked: Callable[..., TrainConfig], *overrides: str) -> TrainConfig:
    try:
        return checked(*overrides)
    except UserError as error:
        raise UserError(f"{error} (searched: {culprit})") from error
