"""Figures of scores and outcomes by the number of positives in train."""

from collections.abc import Mapping, Sequence

import altair as alt

from genome_lm.report.figures.base import Figure, Row, about_task, by_group, data, layers, level
from genome_lm.report.figures.rivalry import SCORES, scored, was_tested
from genome_lm.report.inputs import Task
from genome_lm.report.lookup import Pair, number, pair, whole
from genome_lm.report.palette import css, shown_groups
from genome_lm.report.words import count, group_name, percent, score, several, signed


def positives_rows(bins: Sequence[Mapping[str, object]]) -> list[Row]:
    """One row a bin of tasks that has any, for the dataset "positives"."""
    found: list[Row] = []
    for each in bins:
        low, high = number(each, "low"), number(each, "high")
        wins, ties, losses = (whole(each, name) or 0 for name in ("wins", "ties", "losses"))
        counted = wins + ties + losses
        if low is None or not counted:
            continue
        interval = pair(each, "interval")
        found.append(
            {
                "positives": count(low) + (" or more" if high is None else f"\N{EN DASH}{count(high)}"),
                "place": len(found),
                "low_end": low,
                "wins": wins,
                "counted": counted,
                "share": wins / counted,
                "label": f"{wins}/{counted}",
                "difference": number(each, "f1_difference"),
                "low": interval[0] if interval else None,
                "high": interval[1] if interval else None,
            }
        )
    return found


ROOMY = alt.ExprRef("width < 280 ? 0 : 1")  # no labels where they would run into each other
ASPECT = 0.75  # side by side where there is room

POINTING = [
    alt.Tooltip("positives:N", title="positives in train"),
    alt.Tooltip("label:N", title="tasks won"),
    alt.Tooltip("share:Q", title="share won", format=".0%"),
    alt.Tooltip("difference:Q", title="mean F1 difference", format="+.3f"),
    alt.Tooltip("low:Q", title="interval, low", format="+.3f"),
    alt.Tooltip("high:Q", title="interval, high", format="+.3f"),
]


def _bins() -> alt.X:
    return alt.X(
        "positives:O",
        sort=alt.EncodingSortField(field="place", op="min"),
        title="positive windows in train",
        axis=alt.Axis(labelAngle=-35, labelOverlap=False, grid=False),
    )


def wins_by_positives(bins: Sequence[Mapping[str, object]]) -> Figure | None:
    """Share of tasks won by number of train positives; None without bins."""
    rows = positives_rows(bins)
    if not rows:
        return None
    base = alt.Chart(data("positives")).encode(x=_bins())
    share = alt.Y(
        "share:Q",
        title="share of tasks won by the model",
        axis=alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1]),
    )
    bars = base.mark_bar(color=css("blue"), width=alt.RelativeBandSize(band=0.5)).encode(
        y=share.scale(domain=[0, 1.08], nice=False), tooltip=POINTING
    )
    labels = base.mark_text(dy=-8, fontSize=11, color=css("ink"), opacity=ROOMY).encode(
        y=share, text="label:N"
    )
    half = level(0.5, "ink")
    ends = (rows[0], rows[-1])
    shares = [f"{percent(number(row['share']))} of those with {row['positives']}" for row in ends]
    words = f"The model wins {shares[0]} positives in train"
    words += f" and {shares[1]}." if len(rows) > 1 else "."
    words += " Where there is room, bars are labelled with the tasks won and all that have an outcome."
    words += " Groups differ in their numbers of positives, so this is not the effect of the number alone."
    return Figure(
        "wins_by_positives", "Tasks won, by positives", words, layers(bars, half, labels), aspect=ASPECT
    )


def difference_by_positives(bins: Sequence[Mapping[str, object]], ahead: Sequence[Pair]) -> Figure | None:
    """Mean F1 difference with its interval by number of train positives; None if no bin has one.

    Args:
        ahead: ranges of numbers of train positives in which the model is ahead.
    """
    rows = [row for row in positives_rows(bins) if row["difference"] is not None]
    if not rows:
        return None
    base = alt.Chart(data("positives")).transform_filter("isValid(datum.difference)").encode(x=_bins())
    title = "mean F1 of model minus baseline"
    zero = level(0.0)
    intervals = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(color=css("blue"), strokeWidth=2)
        .encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    )
    points = base.mark_point(filled=True, size=70, opacity=1, color=css("blue")).encode(
        y=alt.Y("difference:Q", title=title, axis=alt.Axis(format="+.3~f", tickCount=6)), tooltip=POINTING
    )
    best = max(rows, key=lambda row: number(row["difference"]) or 0.0)
    words = (
        f"The mean difference is largest, {signed(number(best['difference']))}, among tasks with "
        f"{best['positives']} train positives."
    )
    if any(row["low"] is not None for row in rows):
        ranges = " and ".join(f"{count(low)} to {count(high)}" for low, high in ahead)
        words += (
            f" The model is ahead, its bootstrap interval (the rule) wholly above zero, with {ranges} train "
            "positives."
            if ranges
            else " No bootstrap interval (the rules) lies wholly above zero."
        )
    drawn = [zero, intervals, points] if any(row["low"] is not None for row in rows) else [zero, points]
    return Figure(
        "difference_by_positives", "Mean F1 difference, by positives", words, layers(*drawn), aspect=ASPECT
    )


def f1_by_positives(tasks: Sequence[Task]) -> Figure | None:
    """F1 of model and baseline on test against train positives, one point a task; None if no task has all."""
    shown = [task for task in scored(tasks) if (task.get("train_positives") or 0) > 0]
    if not shown:
        return None
    base = alt.Chart(data("tasks")).transform_filter(
        "datum.train_positives > 0 && isValid(datum.f1_model) && isValid(datum.f1_baseline)"
    )
    positives = alt.X(
        "train_positives:Q",
        title="positive windows in train",
        scale=alt.Scale(type="log", nice=False, padding=12),
        axis=alt.Axis(format=",", grid=False, tickCount=5),
    )
    lines = base.mark_rule(color=css("axis"), strokeWidth=0.8).encode(
        x=positives, y=alt.Y("f1_baseline:Q", title="F1 on test"), y2="f1_model:Q"
    )
    points = base.mark_point(strokeWidth=1.1).encode(
        x=positives,
        y=alt.Y("f1_model:Q", title="F1 on test"),
        tooltip=about_task(alt.Tooltip("train_positives:Q", title="positives in train", format=","), *SCORES),
        **by_group(shown_groups([group_name(task.group) for task in tasks]), was_tested(shown), 30),
    )
    words = "Each point is the F1 of the model on one task; its line ends at the F1 of the k-mer regression."
    return Figure(
        "f1_by_positives", "F1, by positives", f"{words} {_halves(shown)}", layers(lines, points), height=380
    )


def _halves(shown: Sequence[Task]) -> str:
    """Mean F1 of the tasks with the fewest and with the most positives."""
    ordered = sorted(shown, key=lambda task: task.values["train_positives"])
    if len(ordered) < 2:
        return ""
    middle = len(ordered) // 2
    parts = []
    for words, half in (("fewest", ordered[:middle]), ("most", ordered[middle:])):
        means = (
            sum(task.values[f"test_f1_{name}"] for task in half) / len(half) for name in ("model", "baseline")
        )
        ends = (count(half[at].values["train_positives"]) for at in (0, -1))
        parts.append(
            f"of the {several(len(half), 'task')} with the {words} positives ({' to '.join(ends)}) "
            f"{' and '.join(map(score, means))}"
        )
    return f"Mean F1 of model and regression is, {'; '.join(parts)}."
