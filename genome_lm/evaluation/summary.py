"""The comparison in figures: means and counts over all tasks and over each group, and strict JSON of them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from genome_lm.choices import Protocol
from genome_lm.evaluation.aligned import SCORED_SPLITS
from genome_lm.evaluation.calibration import CalibrationBin
from genome_lm.evaluation.compare import Comparison
from genome_lm.evaluation.figures import Figures, figures
from genome_lm.evaluation.members import Member, spread
from genome_lm.evaluation.published import REPORT
from genome_lm.evaluation.task_sets import TaskSets, task_sets
from genome_lm.evaluation.uncertainty import CONDITIONAL_ON, Interval, Uncertainty

OPTIMISTIC = "optimistic (thresholds chosen here)"
OPTIMISTIC_STOPPING = "optimistic (training was stopped by this split)"


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint that was evaluated."""

    name: str
    path: str
    sha256: str
    seed: int | None
    model_name: str


@dataclass(frozen=True)
class Details:
    """What is known of a comparison besides its scores; all of it may be left out.

    Attributes:
        command: the command line that repeats the evaluation.
        baseline: how the baseline was fitted, such as context, penalties and gradient norm: numbers, strings,
            lists and dictionaries of them, shown as they are.
        uncertainty: intervals and tests, for the sets that `genome_lm.evaluation.task_sets.task_sets` gives.
        calibration: by split, see `genome_lm.evaluation.calibration.calibration`.
        checkpoints: what the model is made of.
        members: the figures of each, where there are several.
        tuned: the test figures of the tuned protocol on the same checkpoint, to stand beside those of the
            report's; None if there are none or this is the tuned protocol.
        trained_on: checksum of the dataset that the checkpoints were trained on; empty if not known.
    """

    command: str = ""
    baseline: Mapping[str, object] = field(default_factory=dict)
    uncertainty: Uncertainty | None = None
    calibration: Mapping[str, Mapping[str, Mapping[str, list[CalibrationBin]]]] = field(default_factory=dict)
    checkpoints: tuple[CheckpointFile, ...] = ()
    members: tuple[Member, ...] = ()
    tuned: Mapping[str, object] | None = None
    trained_on: str = ""


@dataclass(frozen=True)
class PositivesFigures:
    """Outcomes of the tasks with `low` to `high` positives in train."""

    low: int
    high: int
    tasks: int
    wins: int
    ties: int
    losses: int
    f1_difference: float  # mean, model minus baseline
    interval: Interval | None

    @property
    def is_ahead(self) -> bool:
        """Whether the model is ahead of the baseline here, see `SplitSummary.ahead`."""
        return self.wins > self.losses if self.interval is None else self.interval[0] > 0


@dataclass(frozen=True)
class SplitSummary:
    """Figures of one split."""

    windows: int
    windows_in_dataset: int
    note: str  # empty, or why the figures are optimistic
    overall: Figures
    groups: dict[str, Figures]
    calibration: Mapping[str, Mapping[str, list[CalibrationBin]]]
    by_positives: tuple[PositivesFigures, ...]

    @property
    def ahead(self) -> list[tuple[int, int]]:
        """Ranges of numbers of train positives in which the model is ahead of the baseline, ascending.

        Neighbouring bins of `by_positives` that are ahead make one range. A bin is ahead when the interval of
        its mean F1 difference lies above 0; without intervals, when it has more wins than losses.
        """
        ranges: list[tuple[int, int]] = []
        open_range = False
        for each in self.by_positives:
            if each.is_ahead:
                low = ranges.pop()[0] if open_range else each.low
                ranges.append((low, each.high))
            open_range = each.is_ahead
        return ranges

    def as_dict(self) -> dict[str, object]:
        """`overall` at the top level, the groups nested under "groups"."""
        head: dict[str, object] = {"windows": self.windows, "windows_in_dataset": self.windows_in_dataset}
        if self.note:
            head["note"] = self.note
        return (
            head
            | asdict(self.overall)
            | {
                "groups": {group: asdict(each) for group, each in self.groups.items()},
                "calibration": {
                    name: {group: [asdict(each) for each in bins] for group, bins in by_group.items()}
                    for name, by_group in self.calibration.items()
                },
                "by_positives": [asdict(each) for each in self.by_positives],
                "ahead": self.ahead,
            }
        )


@dataclass(frozen=True)
class Summary:
    """What summary.json holds."""

    comparison: Comparison
    valid: SplitSummary
    test: SplitSummary
    details: Details

    @property
    def caution(self) -> str:
        """What a reader must know first; empty if there is nothing."""
        trained_on = self.details.trained_on
        if trained_on in ("", self.comparison.dataset_checksum):
            return ""
        return (
            f"The network was trained on another dataset ({trained_on}) than it is tested on "
            f"({self.comparison.dataset_checksum}): windows that it has seen in training may be among those "
            "called test here."
        )

    def as_dict(self) -> dict[str, object]:
        """Nested: n_tasks, task_set, ..., valid, test, baseline, report. Undefined floats are NaN."""
        comparison, details = self.comparison, self.details
        return {
            "n_tasks": len(comparison.tasks),
            "task_set": comparison.task_set,
            "command": details.command,
            "dataset": {
                "genome_build": comparison.genome_build,
                "checksum": comparison.dataset_checksum,
                "positions": comparison.positions,
                "train_windows": comparison.counts["train"].windows,
                "trained_on": details.trained_on or comparison.dataset_checksum,
            },
            "caution": self.caution,
            "protocol": comparison.protocol.value,
            "thresholds": comparison.protocol.rule,
            "predictors": dict(comparison.descriptions),
            "bootstrap": _bootstrap(details.uncertainty),
            "checkpoints": [asdict(each) for each in details.checkpoints],
            "valid": self.valid.as_dict(),
            "test": self.test.as_dict(),
            "members": [asdict(each) for each in details.members],
            "spread": spread(details.members),
            "baseline": dict(details.baseline),
            "tuned": details.tuned,
            "report": asdict(REPORT),
        }


def _bootstrap(uncertainty: Uncertainty | None) -> dict[str, object] | None:
    if uncertainty is None:
        return None
    settings = uncertainty.settings
    return {
        "block_bp": list(settings.block_bp),
        "n_blocks": {str(length): n for length, n in uncertainty.splits["test"].n_blocks.items()},
        "resamples": settings.resamples,
        "test_resamples": settings.test_resamples,
        "level": settings.level,
        "seed": settings.seed,
        "conditional_on": CONDITIONAL_ON,
    }


NO_DETAILS = Details()


def summarise(comparison: Comparison, details: Details = NO_DETAILS) -> Summary:
    """The comparison in figures."""
    sets = task_sets(comparison)
    valid, test = (_summarise_split(comparison, split, sets, details) for split in SCORED_SPLITS)
    return Summary(comparison, valid, test, details)


def _note(split: str, protocol: Protocol) -> str:
    if split != "valid":
        return ""
    return OPTIMISTIC if protocol is Protocol.tuned else OPTIMISTIC_STOPPING


def _summarise_split(comparison: Comparison, split: str, sets: TaskSets, details: Details) -> SplitSummary:
    counts = comparison.counts[split]
    known = details.uncertainty.splits[split] if details.uncertainty else None
    every = [
        figures(
            comparison,
            split,
            mask,
            {length: found[place] for length, found in known.intervals.items()} if known else {},
            known.test if known else None,
        )
        for place, mask in enumerate(sets.masks)
    ]
    overall, groups, bins = every[0], every[1 : 1 + len(sets.groups)], every[1 + len(sets.groups) :]
    return SplitSummary(
        windows=counts.windows,
        windows_in_dataset=counts.windows_in_dataset,
        note=_note(split, comparison.protocol),
        overall=overall,
        groups=dict(zip(sets.groups, groups, strict=True)),
        calibration=details.calibration.get(split, {}),
        by_positives=tuple(
            PositivesFigures(
                low=each.low,
                high=each.high,
                tasks=found.n_tasks,
                wins=found.wins,
                ties=found.ties,
                losses=found.losses,
                f1_difference=found.f1["difference"],
                interval=found.interval("f1", "difference"),
            )
            for each, found in zip(sets.by_positives, bins, strict=True)
        ),
    )


def to_json(summary: Summary) -> str:
    """Strict JSON (RFC 8259): a float that is no finite number becomes null.

    Raises:
        TypeError: the baseline's details hold something that JSON has no form for.
    """
    return json.dumps(_strict(summary.as_dict()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _strict(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
