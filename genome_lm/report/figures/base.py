"""What all figures share: the figure with its words, the look, and how groups of tasks are told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from genome_lm.report.palette import GROUP_COLOURS, GROUP_SHAPES, css

Row = Mapping[str, object]


@dataclass(frozen=True)
class Choice:
    """A drop-down beside a figure that sets one parameter of its chart."""

    parameter: str
    label: str
    options: Sequence[str]


@dataclass(frozen=True)
class Figure:
    """A chart with what is said about it."""

    name: str  # of its files, and its key in the page
    title: str
    caption: str  # what it shows and finds, in words: also its text alternative
    chart: alt.Chart | alt.LayerChart  # as wide as its container
    height: int = 340
    aspect: float | None = None  # height as a share of the width, `height` at most
    choice: Choice | None = None

    def spec(self) -> dict[str, object]:
        """Vega-Lite for the page: data by name, colours by CSS variable."""
        return {**self.chart.to_dict(), "config": CONFIG, "height": self.height, "background": "transparent"}


FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

CONFIG: dict[str, object] = {
    "aria": False,  # the figure as a whole has a text alternative; a label on each of 900 points helps nobody
    "mark": {"aria": False},
    "font": FONT,
    "view": {"stroke": None},
    "autosize": {"type": "fit-x", "contains": "padding"},
    "axis": {
        "labelColor": css("muted"),
        "titleColor": css("ink"),
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelFontSize": 12,
        "titleFontSize": 13,
        "gridColor": css("grid"),
        "domainColor": css("axis"),
        "tickColor": css("axis"),
        "labelOverlap": True,
    },
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": css("ink"),
        "labelFontSize": 12,
        "labelLimit": 190,
        "symbolSize": 80,
        "symbolStrokeWidth": 1.5,
        "columnPadding": 14,
        "offset": 10,
    },
    "title": {"color": css("ink"), "anchor": "start", "fontSize": 15, "fontWeight": "bold", "offset": 12},
}

# Few columns where the chart is narrow, as on a phone; Vega does not wrap a legend by itself.
COLUMNS = alt.ExprRef("width < 460 ? 2 : 4")

PREDICTOR_COLOURS = {"model": css("blue"), "baseline": css("vermillion"), "prior": css("muted")}


def data(name: str) -> alt.NamedData:
    """The dataset of that name, which the page holds once for all charts."""
    return alt.NamedData(name=name)


def layers(*charts: alt.Chart) -> alt.LayerChart:
    """Charts on top of each other, as wide as their container."""
    return alt.LayerChart(layer=list(charts), width="container")


def epoch_axis(epochs: Sequence[int]) -> alt.Axis:
    """Whole epochs only, and every one where there are few."""
    few = sorted(set(epochs))
    if len(few) <= 25:
        return alt.Axis(values=few, format="d", grid=False)
    return alt.Axis(tickMinStep=1, format="d", grid=False)


def agreement(start: float, end: float) -> alt.Chart:
    """The diagonal on which x and y are equal, to be drawn under points on a scale from `start` to `end`."""
    corners: list[Row] = [{"x": at, "y": at} for at in (start, end)]
    return (
        alt.Chart(alt.InlineData(values=corners))
        .mark_line(color=css("axis"), strokeDash=[6, 4], strokeWidth=1.5)
        .encode(x=alt.X("x:Q").scale(zero=False), y=alt.Y("y:Q").scale(zero=False))
    )


def level(at: float, colour: str = "axis") -> alt.Chart:
    """A horizontal line at a value of y."""
    return (
        alt.Chart(alt.InlineData(values=[{"y": at}]))
        .mark_rule(color=css(colour), strokeWidth=1.5)
        .encode(y="y:Q")
    )


def by_group(groups: Sequence[str], tested: bool, size: int) -> dict[str, object]:
    """Encodings of points by group: colour and shape; filled where significant, or all if nothing was tested.

    Args:
        groups: as `shown_groups` gives them; the field is "shown".
        tested: whether any task was; those that were not are then small.
        size: area of a point in square pixels.
    """
    legend = alt.Legend(columns=COLUMNS) if len(groups) > 1 else None
    colours = alt.Scale(domain=list(groups), range=[css(name) for name in GROUP_COLOURS[: len(groups)]])
    shapes = alt.Scale(domain=list(groups), range=list(GROUP_SHAPES[: len(groups)]))
    filled = alt.when("datum.significance").then(alt.value(0.8)).otherwise(alt.value(0.0))
    return {
        "stroke": alt.Stroke("shown:N", scale=colours, legend=legend),
        "fill": alt.Fill("shown:N", scale=colours, legend=legend),
        "shape": alt.Shape("shown:N", scale=shapes, legend=legend),
        "fillOpacity": filled if tested else alt.value(0.55),
        "size": alt.when("isValid(datum.q)").then(alt.value(size)).otherwise(alt.value(size / 4))
        if tested
        else alt.value(size),
    }


def about_task(*further: alt.Tooltip) -> list[alt.Tooltip]:
    """What pointing at a task shows: which experiment it is, and further numbers."""
    return [
        alt.Tooltip("id:N", title="task"),
        alt.Tooltip("cell:N", title="cell"),
        alt.Tooltip("target:N", title="target"),
        alt.Tooltip("treatment:N", title="treatment"),
        alt.Tooltip("group:N", title="group"),
        *further,
    ]
