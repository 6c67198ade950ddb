"""Figures of outcome by number of positives: how much data a task needs for the model to win."""

from collections.abc import Mapping, Sequence

import altair as alt

from genome_lm.report.figures.base import Figure, Row, data, layers, level
from genome_lm.report.lookup import Pair, number, pair, whole
from genome_lm.report.palette import css
from genome_lm.report.words import count, percent, signed


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
    words += " The bars are labelled with the tasks won and all that have an outcome."
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
