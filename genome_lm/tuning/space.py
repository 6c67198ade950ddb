"""The search space: Hydra's sweep grammar read by Hydra's own parser, as distributions of Optuna."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from genome_lm.errors import UserError

FORMS = (
    "choice(a, b), range(1, 5), interval(0.1, 0.5), int(interval(8, 64)) or tag(log, interval(1e-4, 1e-2))"
)

MOST_VALUES = 10_000
"""Of a range; more are an interval."""


@dataclass(frozen=True)
class Dimension:
    """One setting that is searched.

    Attributes:
        key: of the setting, as in an override of `genome-lm train`.
        written: the sweep as it was written, such as "tag(log, interval(0.5, 12))".
        distribution: what Optuna draws from. The options of a choice are texts, as they stand in an override.
        options: the values of a choice or range as texts, in order; empty for an interval.
    """

    key: str
    written: str
    distribution: BaseDistribution
    options: tuple[str, ...] = ()

    def override(self, value: object) -> str:
        """The override that sets a value drawn from the distribution, such as "optimizer.schedule=cosine"."""
        return f"{self.key}={self.text(value)}"

    def text(self, value: object) -> str:
        """A value drawn from the distribution as it stands in an override; reads back as the same number."""
        if (
            isinstance(self.distribution, FloatDistribution) and self.options
        ):  # Optuna adds up steps: 0.1 + 0.2
            place = min(
                range(len(self.options)), key=lambda each: abs(float(self.options[each]) - _float(value))
            )
            return self.options[place]
        return repr(value) if isinstance(value, float) else str(value)

    def extremes(self) -> list[str]:
        """Overrides of all options of a choice, and of both ends of a range or interval."""
        spread = self.distribution
        if isinstance(spread, IntDistribution | FloatDistribution):
            return [self.override(spread.low), self.override(spread.high)]
        return [self.override(option) for option in self.options]


@dataclass(frozen=True)
class Space:
    """What is searched, and what is the same for all trials.

    Attributes:
        dimensions: at least one, of different keys.
        fixed: overrides of `genome-lm train` that all trials have.
    """

    dimensions: tuple[Dimension, ...]
    fixed: tuple[str, ...]

    def overrides(self, params: Mapping[str, object]) -> list[str]:
        """The overrides of one trial: those of all and its own values."""
        return [*self.fixed, *(each.override(params[each.key]) for each in self.dimensions)]

    def distributions(self) -> dict[str, BaseDistribution]:
        """By key, as Optuna takes them."""
        return {each.key: each.distribution for each in self.dimensions}


def read_space(entries: Mapping[str, object], arguments: Sequence[str]) -> Space:
    """The space of a file of conf/tune and of what the command line says beside it.

    A key on the command line replaces that of the file: with a sweep it is searched in that, with a value it
    is not searched. An entry of the file that is no sweep is fixed too.

    Args:
        entries: keys and values or sweeps, as in conf/tune.
        arguments: overrides of `genome-lm train`, sweeps among them.

    Raises:
        UserError: an entry cannot be read, is no possible distribution, or nothing is searched.
    """
    state = GlobalHydra.instance()
    # Without a running Hydra, glob(*) over the choices of a group cannot be looked up; all else can.
    parser = OverridesParser.create(state.config_loader() if state.is_initialized() else None)
    given = [_parsed(parser, argument) for argument in arguments]
    keys = {override.get_key_element().lstrip("+~") for override in given}
    from_file = []
    for key, value in entries.items():
        if isinstance(value, Mapping | list | tuple) or value is None:
            raise UserError(f"tune.space: {key} is {value!r}; expected a text such as {FORMS}, or one value")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        override = _parsed(parser, f"{key}={text}")
        if override.get_key_element().lstrip("+~") not in keys:
            from_file.append(override)
    every = [*from_file, *given]
    dimensions = tuple(_dimension(override) for override in every if override.is_sweep_override())
    if not dimensions:
        raise UserError(f"tune.space searches nothing; give at least one KEY={FORMS}")
    if len({each.key for each in dimensions}) < len(dimensions):
        twice = next(each.key for each in dimensions if sum(d.key == each.key for d in dimensions) > 1)
        raise UserError(f"{twice} is given twice; give it once")
    fixed = tuple(str(override.input_line) for override in every if not override.is_sweep_override())
    return Space(dimensions, fixed)


def _parsed(parser: OverridesParser, text: str) -> Override:
    try:
        return parser.parse_override(text)
    except HydraException as error:
        reason = " ".join(str(error).partition("See https")[0].split())
        raise UserError(f"cannot read {text!r}: {reason}; expected KEY=VALUE or KEY={FORMS}") from error


def _dimension(override: Override) -> Dimension:
    key, written, sweep = override.get_key_element(), override.get_value_string(), override.value()
    if isinstance(sweep, IntervalSweep):
        return Dimension(key, written, _interval(key, written, sweep))
    if isinstance(sweep, RangeSweep):
        if sweep.tags or sweep.shuffle:
            raise UserError(
                f"{key}={written}: a range is drawn from evenly; for log give tag(log, int(interval(...)))"
            )
        numbers = _numbers(key, written, override, sweep)
        if not numbers:
            raise UserError(f"{key}={written} is empty; expected START before STOP, such as range(1, 5)")
        ordered = sorted(numbers, key=_float)
        step = abs(_float(sweep.step))
        low, high = ordered[0], ordered[-1]
        spread: BaseDistribution
        if all(isinstance(each, int) for each in ordered):
            spread = IntDistribution(int(_float(low)), int(_float(high)), step=int(step))
        else:
            spread = FloatDistribution(_float(low), _float(high), step=step)
        return Dimension(key, written, spread, tuple(str(each) for each in ordered))
    try:
        options = tuple(override.sweep_string_iterator())
    except (
        HydraException,
        OmegaConfBaseException,
    ) as error:  # glob() outside of a command; a sweep of sweeps
        raise UserError(f"{key}={written} cannot be listed here: {error}") from error
    if (
        isinstance(sweep, ChoiceSweep) and sweep.shuffle
    ):  # it would be another order, and so another study, each time
        options = tuple(sorted(options))
    if len(set(options)) < len(options) or not options:
        raise UserError(f"{key}={written}: expected one or more different options")
    return Dimension(key, written, CategoricalDistribution(options), options)


def _numbers(key: str, written: str, override: Override, sweep: RangeSweep) -> list[object]:
    """The values of a range."""
    start, stop, step = (_float(each) for each in (sweep.start, sweep.stop, sweep.step))
    if not all(map(math.isfinite, (start, stop, step))) or step == 0:
        raise UserError(
            f"{key}={written}: expected finite numbers and a step other than 0, such as range(1, 5)"
        )
    if abs(stop - start) / abs(step) > MOST_VALUES:
        raise UserError(
            f"{key}={written} has more than {MOST_VALUES:,} values; give an interval: int(interval(1, 5))"
        )
    return list(override.sweep_iterator())


def _interval(key: str, written: str, sweep: IntervalSweep) -> BaseDistribution:
    log = "log" in sweep.tags
    if unknown := sweep.tags - {"log"}:
        raise UserError(f"{key}={written}: the tag {', '.join(sorted(unknown))} is unknown; expected log")
    start, end = sweep.start, sweep.end
    if start is None or end is None or not _in_order(start, end, 0.0 if log else -math.inf):
        more = ", and more than 0 for log" if log else ""
        raise UserError(f"{key}={written}: expected interval(START, END), both finite, START < END{more}")
    if isinstance(start, int) and isinstance(end, int):
        return IntDistribution(start, end, log=log)
    return FloatDistribution(float(start), float(end), log=log)


def _in_order(start: float, end: float, above: float) -> bool:
    return above < start < end < math.inf


def _float(value: object) -> float:
    assert isinstance(value, int | float | str), value
    return float(value)
