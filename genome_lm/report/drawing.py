"""Figures as files, and the script that draws them in the page: both from vl-convert, without a browser."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import altair as alt
import vl_convert

from genome_lm.atomic import replacing, write_text
from genome_lm.report.figures.base import Figure, Row
from genome_lm.report.palette import static

WIDTH = 640  # of the static figures, in CSS pixels; PNG files have twice as many
AXIS = 60  # about what the axis at the left takes of a width
VEGA_LITE = alt.SCHEMA_VERSION.rpartition(".")[0]  # vl-convert knows versions by major and minor


@cache
def javascript() -> str:
    """Vega, Vega-Lite and vega-embed as one script that asks for nothing."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE).replace(
        "</script", "<\\/script"
    )


def static_spec(figure: Figure, datasets: Mapping[str, Sequence[Row]]) -> dict[str, object]:
    """The figure's Vega-Lite with its data, a fixed width, its title and the light colours."""
    spec = copy.deepcopy(figure.spec())
    height = figure.height if figure.aspect is None else min(figure.height, round(WIDTH * figure.aspect))
    width = WIDTH if figure.aspect is None else round(height / figure.aspect) + AXIS
    own = spec.get("datasets")
    named = {name: list(rows) for name, rows in datasets.items() if uses(spec, name)}
    spec |= {
        "width": width,
        "height": height,
        "title": figure.title,
        "background": "var(--paper)",
        "padding": 12,
        "datasets": {**(own if isinstance(own, dict) else {}), **named},
    }
    drawn = static(spec)
    assert isinstance(drawn, dict)
    return drawn


def uses(spec: object, dataset: str) -> bool:
    """Whether a specification reads a dataset by that name."""
    if isinstance(spec, dict):
        own = spec.get("data")
        return (isinstance(own, dict) and own.get("name") == dataset) or any(
            uses(each, dataset) for each in spec.values()
        )
    return isinstance(spec, list) and any(uses(each, dataset) for each in spec)


def write_figure(figure: Figure, datasets: Mapping[str, Sequence[Row]], folder: Path) -> None:
    """Write NAME.svg and NAME.png; both from one drawing."""
    drawing = vl_convert.vegalite_to_svg(static_spec(figure, datasets), vl_version=VEGA_LITE)
    write_text(folder / f"{figure.name}.svg", drawing)
    with replacing(folder / f"{figure.name}.png") as temporary:
        temporary.write_bytes(vl_convert.svg_to_png(drawing, scale=2))
