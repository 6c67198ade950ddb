"""Figures of calibration: predicted probability against observed rate."""

from collections.abc import Mapping

import altair as alt

from genome_lm.report.figures.base import PREDICTOR_COLOURS, Choice, Figure, Row, agreement, data, layers
from genome_lm.report.lookup import number, rows, table
from genome_lm.report.words import group_name, percent, several

ALL = "all tasks"
NAMES = {"model": "model", "baseline": "k-mer regression"}
FEW_PAIRS = 100  # below that many pairs of a window and a task a bin says little


def reliability_rows(calibration: Mapping[str, object]) -> list[Row]:
    """One row a predictor, set of tasks and bin, for the dataset "calibration".

    Args:
        calibration: that of one split in summary.json.
    """
    return [
        {
            "predictor": name,
            "set": ALL if group == "all" else group_name(group),
            "predicted": number(each, "predicted"),
            "observed": number(each, "observed"),
            "windows": number(each, "windows"),
            "bin": f"{number(each, 'low')} to {number(each, 'high')}",
            "many": (number(each, "windows") or 0) >= FEW_PAIRS,
        }
        for key, name in NAMES.items()
        for group in table(calibration, key)
        for each in rows(calibration, key, group)
        if number(each, "predicted") is not None and number(each, "observed") is not None
    ]


def reliability_curves(calibration: Mapping[str, object]) -> Figure | None:
    """Observed rate by predicted probability, for one set of tasks at a time; None if there are no bins."""
    found = reliability_rows(calibration)
    if not found:
        return None
    sets = list(dict.fromkeys(str(row["set"]) for row in found))
    if ALL in sets:
        sets = [ALL, *(name for name in sets if name != ALL)]
    present = [name for name in NAMES.values() if any(row["predictor"] == name for row in found)]
    colours = [PREDICTOR_COLOURS[key] for key, name in NAMES.items() if name in present]
    dashes = [dash for name, dash in zip(NAMES.values(), ([1, 0], [6, 3]), strict=True) if name in present]
    shapes = [
        shape for name, shape in zip(NAMES.values(), ("circle", "square"), strict=True) if name in present
    ]
    scale = alt.Scale(type="symlog", constant=0.002, domain=[0, 1], nice=False)
    axis = alt.Axis(values=[0, 0.002, 0.01, 0.03, 0.1, 0.3, 1], format=".1~%")
    chosen = alt.param(name="chosen_set", value=sets[0])
    legend = alt.Legend(columns=2)
    base = (
        alt.Chart(data("calibration"))
        .transform_filter("datum.set === chosen_set")
        .encode(
            x=alt.X("predicted:Q", title="mean predicted probability", scale=scale, axis=axis),
            y=alt.Y("observed:Q", title="observed share of positives", scale=scale, axis=axis),
        )
    )
    lines = base.mark_line(strokeWidth=2).encode(
        stroke=alt.Stroke("predictor:N", legend=legend).scale(domain=present, range=colours),
        strokeDash=alt.StrokeDash("predictor:N", legend=legend).scale(domain=present, range=dashes),
    )
    points = base.mark_point(size=60, strokeWidth=1.5, opacity=1).encode(
        stroke=alt.Stroke("predictor:N", legend=legend).scale(domain=present, range=colours),
        fill=alt.Fill("predictor:N", legend=legend).scale(domain=present, range=colours),
        fillOpacity=alt.when("datum.many").then(alt.value(1.0)).otherwise(alt.value(0.0)),
        shape=alt.Shape("predictor:N", legend=legend).scale(domain=present, range=shapes),
        tooltip=[
            alt.Tooltip("predictor:N", title="predictor"),
            alt.Tooltip("predicted:Q", title="predicted", format=".4f"),
            alt.Tooltip("observed:Q", title="observed", format=".4f"),
            alt.Tooltip("bin:N", title="bin"),
            alt.Tooltip("windows:Q", title="windows times tasks", format=","),
        ],
    )
    return Figure(
        "calibration",
        "Predicted probability against observed rate, test",
        _caption(found, sets[0]),
        layers(agreement(0.0, 1.0), lines, points).add_params(chosen),
        height=480,
        aspect=1.0,
        choice=Choice("chosen_set", "Tasks", sets) if len(sets) > 1 else None,
    )


def _caption(found: list[Row], shown: str) -> str:
    words = [
        "Pairs of a window and a task are sorted into bins by predicted probability, and the share that is "
        "truly positive is drawn above the mean prediction. On the diagonal the two agree; below it the "
        "predictor promises too much, above it too little."
    ]
    for name in NAMES.values():
        bins = [row for row in found if row["predictor"] == name and row["set"] == shown and row["many"]]
        ends = [(number(row["predicted"]) or 0.0, number(row["observed"]) or 0.0) for row in bins]
        ends = [(predicted, observed) for predicted, observed in ends if predicted > 0]
        if ends:
            above = sum(observed > predicted for predicted, observed in ends)
            predicted, observed = max(ends, key=lambda pair: abs(pair[1] / pair[0] - 1))
            words.append(
                f"For {shown}, the {name} lies above the diagonal in {above} of {several(len(ends), 'bin')} "
                f"of at least {FEW_PAIRS} predictions; it is furthest off, as a share of the prediction, "
                f"where it predicts {percent(predicted, 1)} and {percent(observed, 1)} are positive."
            )
    words.append(
        f"Bins with fewer than {FEW_PAIRS} predictions are hollow. Both axes are stretched near zero, where "
        "rare labels have most of their predictions."
    )
    return " ".join(words)
