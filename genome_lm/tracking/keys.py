"""Names and values of the figures that a dashboard shows: flat keys, one number each."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

COUNTS = (
    "n_tasks",
    "wins",
    "ties",
    "losses",
    "significant_wins",
    "significant_losses",
    "untested",
    "few_valid_positives",
)
MEASURES = (
    "f1",
    "precision",
    "recall",
    "auroc",
    "ap",
    "brier",
    "ece",
    "perplexity",
    "bits",
    "skill",
    "task_skill",
)
GROUP_COUNTS = ("n_tasks", "wins", "ties", "losses")
GROUP_MEASURES = ("f1", "auroc", "ap", "perplexity", "skill")
GROUP_PREDICTORS = ("model", "baseline", "difference")

NOT_FIGURES = {"seed", "best_epoch"}
"""Numbers of training.json that are no outcome, or have a key of their own."""


def training_figures(result: Mapping[str, object]) -> dict[str, float]:
    """The figures of a finished training, from the values of `training.json`.

    What it says of the best epoch is `best/epoch`, `best/valid_perplexity`, ...; what it says of the whole
    run keeps its name: `parameters`, `epochs`, `seconds`, `windows_per_second`, ... Values that are not
    numbers, and NaN, are left out.
    """
    figures = {"best/epoch": float(epoch)} if _is_number(epoch := result.get("best_epoch")) else {}
    for name, value in result.items():
        if _is_number(value) and name not in NOT_FIGURES:
            figures[f"best/{name}" if name.startswith("valid_") else name] = value
    return figures


def evaluation_figures(summary: Mapping[str, Any]) -> dict[str, float]:
    """The figures of an evaluation, from `summary.json`.

    Keys are `SPLIT/MEASURE/PREDICTOR`, such as `test/f1/model`, and counts such as `test/wins`.
    `test/f1/difference_low` and `_high` are the ends of a bootstrap interval, with blocks of the first length
    that the summary names. `test/counted` is the number of tasks that have an outcome, and `test/win_share`
    the wins among them. Groups of tasks are given for test and the main measures: `test/groups/TF/f1/model`.
    What is undefined is left out.
    """
    blocks = _main_block(summary)
    figures: dict[str, float] = {}
    for split in ("valid", "test"):
        values = summary[split]
        figures.update(_flat(split, values, COUNTS, MEASURES, None, blocks))
    for group, values in summary["test"].get("groups", {}).items():
        prefix = f"test/groups/{group.replace('/', '_').replace('.', '_')}"
        figures.update(_flat(prefix, values, GROUP_COUNTS, GROUP_MEASURES, GROUP_PREDICTORS, blocks))
    return figures


def evaluation_facts(summary: Mapping[str, Any]) -> dict[str, str | int]:
    """What the figures are of: protocol, task set, dataset checksum, block length of the intervals."""
    facts: dict[str, str | int] = {
        "evaluation/protocol": summary["protocol"],
        "evaluation/task_set": summary["task_set"],
        "evaluation/dataset_checksum": summary["dataset"]["checksum"],
    }
    if block := _main_block(summary):
        facts["evaluation/interval_block_bp"] = int(block)
    return facts


def _main_block(summary: Mapping[str, Any]) -> str | None:
    lengths = summary.get("bootstrap", {}).get("block_bp", [])
    return str(lengths[0]) if lengths else None


def _flat(
    prefix: str,
    figures: Mapping[str, Any],
    counts: tuple[str, ...],
    measures: tuple[str, ...],
    predictors: tuple[str, ...] | None,
    block: str | None,
) -> Iterator[tuple[str, float]]:
    """Keys and values of one set of tasks; `predictors` null: all of them."""
    intervals = figures.get("intervals", {}).get(block, {})
    for name in counts:
        if _is_number(figures.get(name)):
            yield f"{prefix}/{name}", figures[name]
    counted = sum(figures[name] for name in ("wins", "ties", "losses"))
    yield f"{prefix}/counted", counted
    if counted:
        yield f"{prefix}/win_share", figures["wins"] / counted
    yield from _ends(f"{prefix}/wins", intervals.get("wins"))
    for measure in measures:
        for name, value in figures.get(measure, {}).items():
            if predictors is None or name in predictors:
                if _is_number(value):
                    yield f"{prefix}/{measure}/{name}", value
                yield from _ends(f"{prefix}/{measure}/{name}", intervals.get(measure, {}).get(name))


def _ends(name: str, interval: list[float] | None) -> Iterator[tuple[str, float]]:
    for end, value in zip(("low", "high"), interval or (), strict=False):
        if _is_number(value):
            yield f"{name}_{end}", value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
