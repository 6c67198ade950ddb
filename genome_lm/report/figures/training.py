"""Figures of the training: perplexity by epoch."""

from collections.abc import Sequence

import altair as alt

from genome_lm.report.figures.base import Figure, Row, data, epoch_axis, layers
from genome_lm.report.inputs import Epoch
from genome_lm.report.palette import css
from genome_lm.report.words import score

TRAIN, VALID = "model, training", "model, validation"
PRIOR, BASELINE = "prior, validation", "k-mer regression, validation"


NARROW = alt.ExprRef("width < 460 ? 1 : 4")  # columns of the legend; these names are long


def curve_rows(epochs: Sequence[Epoch], baseline: float | None) -> list[Row]:
    """One row an epoch and series, for the dataset "epochs"."""
    rows: list[Row] = []
    for epoch in epochs:
        values = {TRAIN: epoch.train, VALID: epoch.valid, PRIOR: epoch.prior, BASELINE: baseline}
        rows += [
            {"epoch": epoch.number, "series": series, "perplexity": value}
            for series, value in values.items()
            if value is not None
        ]
    return rows


def training_curves(epochs: Sequence[Epoch], baseline: float | None, best: int | None) -> Figure | None:
    """Train and validation perplexity by epoch beside the prior and the baseline; None without any epoch.

    Args:
        baseline: its validation perplexity.
        best: epoch of the checkpoint that was kept.
    """
    present = {str(row["series"]) for row in curve_rows(epochs, baseline)}
    looks = {
        TRAIN: (css("sky"), [2, 3]),
        VALID: (css("blue"), [1, 0]),
        PRIOR: (css("muted"), [8, 4]),
        BASELINE: (css("vermillion"), [8, 3, 2, 3]),
    }
    series = [name for name in looks if name in present]
    if not series:
        return None
    colours = alt.Scale(domain=series, range=[looks[name][0] for name in series])
    dashes = alt.Scale(domain=series, range=[looks[name][1] for name in series])
    base = alt.Chart(data("epochs")).encode(
        x=alt.X("epoch:Q", title="epoch", axis=epoch_axis([epoch.number for epoch in epochs])).scale(
            zero=False, nice=False, padding=12
        ),
        y=alt.Y("perplexity:Q", title="perplexity", axis=alt.Axis(tickCount=6)).scale(zero=False),
    )
    lines = base.mark_line(strokeWidth=2).encode(
        color=alt.Color(
            "series:N", scale=colours, legend=alt.Legend(columns=NARROW, symbolType="stroke", symbolSize=300)
        ),
        strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=alt.Legend(columns=NARROW)),
    )
    points = (
        base.transform_filter(alt.FieldOneOfPredicate(field="series", oneOf=[TRAIN, VALID]))
        .mark_point(filled=True, size=45, opacity=1)
        .encode(
            color=alt.Color("series:N", scale=colours),
            tooltip=[
                alt.Tooltip("series:N", title="series"),
                alt.Tooltip("epoch:Q", title="epoch"),
                alt.Tooltip("perplexity:Q", title="perplexity", format=".4f"),
            ],
        )
    )
    return Figure(
        "training_curves",
        "Perplexity by epoch",
        _caption(epochs, baseline, best),
        layers(lines, points),
    )


def _caption(epochs: Sequence[Epoch], baseline: float | None, best: int | None) -> str:
    validated = [(epoch.number, epoch.valid) for epoch in epochs if epoch.valid is not None]
    words = []
    if validated:
        (first, begin), (last, end) = validated[0], min(validated, key=lambda pair: pair[1])
        kept = f"; the checkpoint of epoch {best} was kept" if best is not None else ""
        final, value = validated[-1]
        later = f", and {score(value, 4)} in the last, {final}" if final != first else ""
        if first == last:
            words.append(f"Validation perplexity is lowest in epoch {first}, {score(end, 4)}{later}{kept}.")
        else:
            words.append(
                f"Validation perplexity falls from {score(begin, 4)} in epoch {first} to {score(end, 4)} in "
                f"epoch {last}, its lowest{kept}."
            )
        prior = next((epoch.prior for epoch in reversed(epochs) if epoch.prior is not None), None)
        beside = {"the constant prior": prior, "the k-mer regression": baseline}
        given = [f"{name} has {score(value, 4)}" for name, value in beside.items() if value is not None]
        if given:
            words.append(f"On the same windows {' and '.join(given)}.")
    if any(epoch.train is not None for epoch in epochs):
        words.append(
            "The training curve is the mean over an epoch while the weights change, with any dropout "
            "on, and on other windows: compare its shape, not its height."
        )
    return " ".join(words)
