"""Figures of the model against the baseline: F1 of both, and their difference, one point a task."""

import statistics
from collections.abc import Sequence

import altair as alt

from genome_lm.report.figures.base import Figure, about_task, agreement, by_group, data, layers, level
from genome_lm.report.inputs import FEW_POSITIVES, Task
from genome_lm.report.palette import css, shown_groups
from genome_lm.report.words import group_name, several, signed

HEIGHT = 380  # of the differences; the ticks at the foot are measured from it

TENTHS = alt.Axis(format=".1f", tickCount=10)

SCORES = (
    alt.Tooltip("test_positives:Q", title="positives in test", format=","),
    alt.Tooltip("f1_model:Q", title="F1, model", format=".3f"),
    alt.Tooltip("f1_baseline:Q", title="F1, baseline", format=".3f"),
    alt.Tooltip("difference_text:N", title="difference"),
    alt.Tooltip("q_text:N", title="q"),
)


def scored(tasks: Sequence[Task]) -> list[Task]:
    """Tasks with an F1 of both predictors on test."""
    return [
        task
        for task in tasks
        if task.get("test_f1_model") is not None and task.get("test_f1_baseline") is not None
    ]


def difference_of(task: Task) -> float:
    """F1 of the model minus that of the baseline, of a task that has both."""
    stored = task.get("test_f1_difference")
    return task.values["test_f1_model"] - task.values["test_f1_baseline"] if stored is None else stored


def was_tested(tasks: Sequence[Task]) -> bool:
    """Whether any task has a q value."""
    return any(task.get("test_f1_difference_q") is not None for task in tasks)


def f1_scatter(tasks: Sequence[Task]) -> Figure | None:
    """F1 on test, model against baseline; None if no task has both."""
    shown = scored(tasks)
    if not shown:
        return None
    tested = was_tested(shown)
    highest = max(max(task.values["test_f1_model"], task.values["test_f1_baseline"]) for task in shown)
    end = min(1.0, (int(round(highest * 100) / 10) + 1) / 10)
    scale = alt.Scale(domain=[0, end], nice=False)
    diagonal = agreement(0.0, end)
    points = (
        alt.Chart(data("tasks"))
        .transform_filter("isValid(datum.f1_model) && isValid(datum.f1_baseline)")
        .mark_point(strokeWidth=1.2)
        .encode(
            x=alt.X("f1_baseline:Q", title="F1 of the k-mer regression", scale=scale, axis=TENTHS),
            y=alt.Y("f1_model:Q", title="F1 of the model", scale=scale, axis=TENTHS),
            tooltip=about_task(*SCORES),
            **by_group(shown_groups([group_name(task.group) for task in tasks]), tested, 42),
        )
    )
    return Figure(
        "f1_model_against_baseline",
        "F1 on test, model against baseline",
        _scatter_caption(shown, tested),
        layers(diagonal, points),
        height=560,
        aspect=1.0,
    )


def _scatter_caption(shown: Sequence[Task], tested: bool) -> str:
    above, below = (sum(sign * difference_of(task) > 0 for task in shown) for sign in (1, -1))
    words = [
        f"Each point is a task. {several(above, 'task lies', 'tasks lie')} above the diagonal, where the "
        f"model has the higher F1, and {several(below, 'task')} below."
    ]
    if tested:
        wins, losses = (sum(task.significance == outcome for task in shown) for outcome in ("win", "loss"))
        untested = sum(task.get("test_f1_difference_q") is None for task in shown)
        words.append(
            f"Filled points differ significantly (q at most 0.05): {wins} for the model and {losses} for the "
            f"baseline, of {several(len(shown) - untested, 'task')} tested. Hollow ones were tested and did "
            "not."
        )
        if untested:
            words.append(f"{_untested(untested)}, too few blocks of the genome with positives found.")
    else:
        words.append(
            "No test of single tasks is stored with this evaluation, so all points are filled alike."
        )
    return " ".join(words)


def _untested(tasks: int) -> str:
    return f"Small hollow points, {several(tasks, 'task')}, were not tested"


def f1_differences(tasks: Sequence[Task]) -> Figure | None:
    """F1 differences on test in ascending order, with their intervals; None if no task has one."""
    shown = scored(tasks)
    if not shown:
        return None
    tested = was_tested(shown)
    estimated = any(task.get("test_f1_difference_low") is not None for task in shown)
    base = alt.Chart(data("tasks")).transform_filter("isValid(datum.difference)")
    place = alt.X(
        "place:Q",
        title="tasks, by their difference",
        axis=alt.Axis(grid=False, format="d", tickMinStep=1),
        scale=alt.Scale(domain=[0, len(shown) + 1], nice=False),
    )
    zero = level(0.0)
    intervals = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(color=css("axis"), strokeWidth=0.8, opacity=0.7)
        .encode(x=place, y=alt.Y("low:Q", title="F1 of model minus baseline"), y2="high:Q")
    )
    points = base.mark_point(strokeWidth=1.1).encode(
        x=place,
        y=alt.Y("difference:Q", title="F1 of model minus baseline", axis=alt.Axis(format="+.3~f")),
        tooltip=about_task(*SCORES),
        **by_group(shown_groups([group_name(task.group) for task in tasks]), tested, 26),
    )
    few = (
        base.transform_filter("datum.few")
        .mark_rule(color=css("ink"), strokeWidth=1.2)
        .encode(x=place, y=alt.value(HEIGHT - 9), y2=alt.value(HEIGHT))
    )
    return Figure(
        "f1_differences",
        "F1 difference of every task",
        _difference_caption(shown, tested),
        layers(zero, *([intervals] if estimated else []), points, few),
        height=HEIGHT,
    )


def _difference_caption(shown: Sequence[Task], tested: bool) -> str:
    ordered = sorted(shown, key=difference_of)
    ends = []
    for task in (ordered[-1], ordered[0]):
        name = f"{task.target or task.id} in {task.cell}" if task.cell else task.target or task.id
        ends.append(f"{signed(difference_of(task))} ({name})")
    median = statistics.median(difference_of(task) for task in shown)
    words = [
        f"Differences range from {ends[1]} to {ends[0]}, with a median of {signed(median)}."
        if len(shown) > 1
        else f"The one difference is {ends[0]}."
    ]
    if any(task.get("test_f1_difference_low") is not None for task in shown):
        words.append("Thin lines are bootstrap intervals of single tasks.")
    if tested:
        untested = sum(task.get("test_f1_difference_q") is None for task in shown)
        words.append(
            "Filled points are significant."
            + (f" {_untested(untested)} and have no interval." if untested else "")
        )
    few = sum(task.few for task in shown)
    if few:
        words.append(
            f"Ticks at the foot mark the {several(few, 'task')} with fewer than {FEW_POSITIVES} positives in "
            "validation, whose thresholds are close to a guess."
        )
    return " ".join(words)
