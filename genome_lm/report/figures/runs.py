"""Figures of several runs side by side."""

from collections.abc import Mapping, Sequence

import altair as alt

from genome_lm.report.figures.base import Figure, Row, data, epoch_axis, layers
from genome_lm.report.inputs import Epoch
from genome_lm.report.palette import GROUP_COLOURS, GROUP_SHAPES, css
from genome_lm.report.words import score, several

DISTINCT = 10  # runs with a look of their own: as many as a legend can hold and a reader can follow
COLOURS = GROUP_COLOURS[:6]  # without grey, which is that of the further runs
SHAPES = GROUP_SHAPES[:6]
DASHES = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3])
LABEL = 22  # characters of a run's name in the legend: its end, where names differ


def runs_rows(curves: Mapping[str, Sequence[Epoch]]) -> list[Row]:
    """One row a run and epoch with a validation perplexity, for the dataset "runs"; drawn in this order.

    Args:
        curves: by run, best first; a run without epochs keeps its place.
    """
    labels = _labels(curves)
    rows: list[Row] = [
        {
            "run": run,
            "place": place,
            "shown": labels[run],
            "epoch": epoch.number,
            "perplexity": epoch.valid,
        }
        for place, (run, epochs) in enumerate(curves.items(), start=1)
        for epoch in epochs
        if epoch.valid is not None
    ]
    return sorted(rows, key=lambda row: -int(str(row["place"])))  # the best on top


def validation_curves(curves: Mapping[str, Sequence[Epoch]]) -> Figure | None:
    """Validation perplexity by epoch, one line a run; None if no run has any.

    Args:
        curves: as for `runs_rows`. The best `DISTINCT` have a look of their own, further ones are thin lines.
    """
    rows = runs_rows(curves)
    labels = _labels(curves)
    drawn = {run: [epoch.valid for epoch in curves[run] if epoch.valid is not None] for run in labels}
    runs = [run for run in labels if drawn[run]]
    if not runs:
        return None
    shown = list(dict.fromkeys(labels[run] for run in runs))
    place_of = {label: place for place, label in reversed(list(enumerate(labels.values())))}
    looks = [_look(place_of[label]) for label in shown]
    colours, dashes, shapes = ([look[part] for look in looks] for part in range(3))
    legend = alt.Legend(columns=alt.ExprRef("width < 460 ? 1 : 3"), symbolSize=90)
    base = alt.Chart(data("runs")).encode(
        x=alt.X("epoch:Q", title="epoch", axis=epoch_axis([int(str(row["epoch"])) for row in rows])).scale(
            zero=False, nice=False, padding=12
        ),
        y=alt.Y("perplexity:Q", title="validation perplexity").scale(zero=False),
        color=alt.Color("shown:N", legend=legend).scale(domain=shown, range=colours),
    )
    is_own = f"datum.place <= {DISTINCT}"
    lines = base.mark_line().encode(
        detail="run:N",
        strokeDash=alt.StrokeDash("shown:N", legend=legend).scale(domain=shown, range=dashes),
        strokeWidth=alt.when(is_own).then(alt.value(2)).otherwise(alt.value(0.8)),
    )
    points = base.mark_point(filled=True, opacity=1).encode(
        shape=alt.Shape("shown:N", legend=legend).scale(domain=shown, range=shapes),
        size=alt.when(is_own).then(alt.value(55)).otherwise(alt.value(10)),
        tooltip=[
            alt.Tooltip("run:N", title="run"),
            alt.Tooltip("place:Q", title="place"),
            alt.Tooltip("epoch:Q", title="epoch"),
            alt.Tooltip("perplexity:Q", title="perplexity", format=".5f"),
        ],
    )
    lowest = min(runs, key=lambda run: min(drawn[run]))
    words = (
        f"{several(len(runs), 'run')}; the lowest validation perplexity, {score(min(drawn[lowest]), 5)}, is "
        f"that of {lowest}. Numbers are places in the table above."
    )
    if place_of[shown[-1]] >= DISTINCT:
        words += f" Thin lines are the runs after the best {DISTINCT}; pointing at one names it."
    return Figure("validation_curves", "Validation perplexity by epoch", words, layers(lines, points))


def _look(place: int) -> tuple[str, list[int], str]:
    """Colour, dashes and shape by place from 0: no two of the first 10 agree in two of the three."""
    if place >= DISTINCT:
        return css("axis"), DASHES[0], "circle"
    return (
        css(COLOURS[place % len(COLOURS)]),
        DASHES[place % len(DASHES)],
        SHAPES[(place + place // len(COLOURS)) % len(SHAPES)],
    )


def _labels(curves: Mapping[str, Sequence[Epoch]]) -> dict[str, str]:
    """What the legend calls every run: its place and the end of its name, or that it is a further one."""
    return {
        run: _further(len(curves)) if place > DISTINCT else f"{place}: {_end(run)}"
        for place, run in enumerate(curves, start=1)
    }


def _further(runs: int) -> str:
    return f"places {DISTINCT + 1} to {runs}" if runs > DISTINCT + 1 else f"place {DISTINCT + 1}"


def _end(name: str) -> str:
    return name if len(name) <= LABEL else "\N{HORIZONTAL ELLIPSIS}" + name[len(name) - LABEL + 1 :]
