"""Figures of the model beside published scores of other models on the same experiments."""

from collections.abc import Sequence

import altair as alt

from genome_lm.report.figures.base import Figure, about_task, agreement, by_group, data, layers
from genome_lm.report.inputs import Task
from genome_lm.report.palette import shown_groups
from genome_lm.report.words import group_name, score, several

SOURCES = {"deepsea": "DeepSEA", "danq": "DanQ"}


def published_auroc(tasks: Sequence[Task], source: str) -> Figure | None:
    """AUROC on test against the published one, one point a task; None if no task has both.

    Args:
        source: a key of SOURCES.
    """
    column = f"reference_{source}_auroc"
    shown = [
        (task, task.values[column], task.values["test_auroc_model"])
        for task in tasks
        if task.get(column) is not None and task.get("test_auroc_model") is not None
    ]
    if not shown:
        return None
    name = SOURCES[source]
    lowest = min(min(theirs, ours) for _, theirs, ours in shown)
    start = min(0.5, int(lowest * 10) / 10)
    scale = alt.Scale(domain=[start, 1.0], nice=False)
    diagonal = agreement(start, 1.0)
    points = (
        alt.Chart(data("tasks"))
        .transform_filter(f"isValid(datum.{source}) && isValid(datum.auroc_model)")
        .mark_point(strokeWidth=1.1)
        .encode(
            x=alt.X(f"{source}:Q", title=f"AUROC published for {name}", scale=scale),
            y=alt.Y("auroc_model:Q", title="AUROC of the model, test", scale=scale),
            tooltip=about_task(
                alt.Tooltip(f"{source}:Q", title=f"AUROC, {name}", format=".3f"),
                alt.Tooltip("auroc_model:Q", title="AUROC, model", format=".3f"),
            ),
            **by_group(shown_groups([group_name(task.group) for task in tasks]), tested=False, size=36),
        )
    )
    theirs = sum(value for _, value, _ in shown) / len(shown)
    ours = sum(value for _, _, value in shown) / len(shown)
    higher = sum(mine > other for _, other, mine in shown)
    return Figure(
        f"auroc_beside_{source}",
        f"AUROC beside {name}",
        f"{several(len(shown), 'task has', 'tasks have')} a published value. Their mean AUROC is "
        f"{score(ours)} here and {score(theirs)} for {name}; this model is higher on "
        f"{several(higher, 'task') if higher else 'none'}.",
        layers(diagonal, points),
        height=440,
        aspect=1.0,
    )
