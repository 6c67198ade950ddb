"""Figures of several runs side by side."""

from collections.abc import Mapping, Sequence

import altair as alt

from genome_lm.report.figures.base import Figure, Row, data, epoch_axis, layers
from genome_lm.report.inputs import Epoch
from genome_lm.report.palette import GROUP_COLOURS, css
from genome_lm.report.words import score, several

DASHES = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3])


def runs_rows(curves: Mapping[str, Sequence[Epoch]]) -> list[Row]:
    """One row a run and epoch with a validation perplexity, for the dataset "runs"."""
    return [
        {"run": run, "epoch": epoch.number, "perplexity": epoch.valid}
        for run, epochs in curves.items()
        for epoch in epochs
        if epoch.valid is not None
    ]


def validation_curves(curves: Mapping[str, Sequence[Epoch]]) -> Figure | None:
    """Validation perplexity by epoch, one line a run; None if no run has any.

    Args:
        curves: by run, best first. Of more than 28 runs some share a look and are told apart by pointing.
    """
    rows = runs_rows(curves)
    runs = list(dict.fromkeys(str(row["run"]) for row in rows))
    if not runs:
        return None
    n = len(GROUP_COLOURS)
    colours = [css(GROUP_COLOURS[place % n]) for place in range(len(runs))]
    dashes = [DASHES[(place // n + place) % len(DASHES)] for place in range(len(runs))]
    base = alt.Chart(data("runs")).encode(
        x=alt.X("epoch:Q", title="epoch", axis=epoch_axis([int(str(row["epoch"])) for row in rows])).scale(
            zero=False, nice=False, padding=12
        ),
        y=alt.Y("perplexity:Q", title="validation perplexity").scale(zero=False),
        color=alt.Color(
            "run:N",
            legend=alt.Legend(
                columns=alt.ExprRef("width < 460 ? 1 : 3"), symbolType="stroke", symbolSize=300
            ),
        ).scale(domain=runs, range=colours),
    )
    lines = base.mark_line(strokeWidth=2).encode(
        strokeDash=alt.StrokeDash("run:N", legend=alt.Legend()).scale(domain=runs, range=dashes)
    )
    points = base.mark_point(filled=True, size=40, opacity=1).encode(
        tooltip=[
            alt.Tooltip("run:N", title="run"),
            alt.Tooltip("epoch:Q", title="epoch"),
            alt.Tooltip("perplexity:Q", title="perplexity", format=".4f"),
        ]
    )
    best = {run: min(epoch.valid for epoch in curves[run] if epoch.valid is not None) for run in runs}
    lowest = min(best, key=lambda run: best[run])
    words = (
        f"{several(len(runs), 'run')}; the lowest validation perplexity, {score(best[lowest], 4)}, is that "
        f"of {lowest}."
    )
    return Figure("validation_curves", "Validation perplexity by epoch", words, layers(lines, points))
