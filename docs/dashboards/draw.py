"""The dashboard's panels drawn from what offline W&B runs have written, without an account.

    WANDB_MODE=offline python train.py -m model=gru,bigru logger=wandb
    WANDB_MODE=offline python evaluate.py ckpt_path=RUN_DIR/checkpoints/best.ckpt
    python docs/dashboards/draw.py RUN_DIR... docs/images/dashboard.png

Nothing but the .wandb files and their media is read, so what is missing here is missing in W&B too.
"""

import base64
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

sys.path.insert(0, str(Path(__file__).parent))
from offline_runs import OfflineRun, read_run
from panels import SECTIONS, Bars, Curves, Panel, Pictures, Scatter, Table

WIDTH, HEIGHT = 380, 220
WIDE = 3 * WIDTH // 2  # where a section has two panels instead of three
TALL = 360  # the last section, so that its pictures can be read
ROWS = 17  # of the table, as many as are readable
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5f6670")

SIDES = (("'right'", "'left'"), ("-4", "4"))
"""Alignment and shift of a bar's number, left and right of zero: outside of the bar."""

Rows = list[dict[str, Any]]


def draw(runs: Sequence[OfflineRun], path: Path) -> None:
    """Write the dashboard of these runs as a PNG.

    Raises:
        ValueError: the runs lack what a panel shows.
    """
    sections = [
        alt.hconcat(*(_panel(panel, runs, _width(panels)) for panel in panels), spacing=45)
        .resolve_scale(color="shared", strokeDash="independent")
        .properties(title=alt.TitleParams(name, fontSize=18, anchor="start", offset=14))
        for name, panels in SECTIONS
    ]
    chart = alt.vconcat(*sections, spacing=35).resolve_scale(color="independent").configure_view(stroke=None)
    chart = chart.configure_axis(grid=True, gridColor="#e4e7eb", labelFontSize=11, titleFontWeight="normal")
    chart = chart.configure_legend(title=None, orient="bottom", labelLimit=260).properties(
        background="white", padding=20
    )
    path.write_bytes(vl_convert.vegalite_to_png(chart.to_json(), scale=1.25))


def _width(panels: Sequence[Panel]) -> int:
    return WIDTH if len(panels) > 2 else WIDE


def _panel(panel: Panel, runs: Sequence[OfflineRun], width: int) -> alt.Chart | alt.LayerChart:
    if isinstance(panel, Curves):
        chart = _curves(panel, runs)
    elif isinstance(panel, Bars):
        chart = _model_bars(panel, runs) if panel.by_model else _run_bars(panel, runs)
    elif isinstance(panel, Scatter):
        chart = _scatter(panel, runs)
    elif isinstance(panel, Table):
        chart = _table(panel, runs)
    else:
        return _pictures(panel, runs, width)
    height = TALL if isinstance(panel, Table) else HEIGHT
    return chart.properties(title=panel.title, width=width, height=height)


def _curves(panel: Curves, runs: Sequence[OfflineRun]) -> alt.Chart | alt.LayerChart:
    rows: Rows = [
        {"run": run.name, "metric": key, "over": over, "value": value}
        for run in runs
        for key in panel.keys
        for over, value in run.curve(key, panel.over)
    ]
    ticks = sorted({row["over"] for row in rows})
    ticks = ticks[:: 1 + len(ticks) // 12]
    dashes = (
        alt.Legend(symbolType="stroke", symbolStrokeColor="#444a52", symbolSize=300)
        if len(panel.keys) > 1
        else None
    )
    base = alt.Chart(_data(rows, panel)).encode(
        x=alt.X("over:Q", title=panel.over, axis=alt.Axis(values=ticks, format="d")),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
        color=_colour(runs),
    )
    dashed = alt.StrokeDash("metric:N", legend=dashes, sort=list(panel.keys))
    return base.mark_line().encode(strokeDash=dashed) + base.mark_circle(opacity=1).encode(detail="metric:N")


def _run_bars(panel: Bars, runs: Sequence[OfflineRun]) -> alt.Chart | alt.LayerChart:
    rows: Rows = [
        {"run": run.name, "metric": key, "value": run.summary[key]}
        for run in runs
        for key in panel.keys
        if key in run.summary
    ]
    margin = 40 if any(row["value"] < 0 for row in rows) else 0  # for the numbers
    base = alt.Chart(_data(rows, panel)).encode(
        y=alt.Y("metric:N", title=None, sort=list(panel.keys), axis=alt.Axis(labelLimit=170)),
        yOffset=alt.YOffset("run:N", sort=[run.name for run in runs]),
        x=alt.X("value:Q", title=None, axis=alt.Axis(tickCount=5), scale=alt.Scale(padding=margin)),
    )
    align, dx = (alt.ExprRef(f"datum.value < 0 ? {left} : {right}") for left, right in SIDES)
    numbers = base.mark_text(align=align, dx=dx).encode(text=alt.Text("value:Q", format=".3~g"))
    return base.mark_bar().encode(color=_colour(runs)) + numbers


def _model_bars(panel: Bars, runs: Sequence[OfflineRun]) -> alt.Chart | alt.LayerChart:
    (key,) = panel.keys
    rows: Rows = [
        {"model": run.config["model"]["name"], "value": run.summary[key]}
        for run in runs
        if key in run.summary
    ]
    base = alt.Chart(_data(rows, panel)).encode(
        y=alt.Y("model:N", title=None, sort="-x"),
        x=alt.X("mean(value):Q", title=key, axis=alt.Axis(tickCount=5)),
    )
    numbers = base.mark_text(align="left", dx=4).encode(text=alt.Text("mean(value):Q", format=".4~g"))
    return base.mark_bar(color=COLOURS[-1]) + numbers


def _scatter(panel: Scatter, runs: Sequence[OfflineRun]) -> alt.Chart | alt.LayerChart:
    rows: Rows = [
        {"run": run.name, "x": run.summary[panel.x], "y": run.summary[panel.y]}
        for run in runs
        if {panel.x, panel.y} <= run.summary.keys()
    ]
    base = alt.Chart(_data(rows, panel)).encode(
        x=alt.X("x:Q", title=panel.x, scale=alt.Scale(zero=False, padding=30), axis=alt.Axis(tickCount=5)),
        y=alt.Y("y:Q", title=panel.y, scale=alt.Scale(zero=False, padding=15)),
        color=_colour(runs),
    )
    return base.mark_point(size=90, filled=True, opacity=1)


def _table(panel: Table, runs: Sequence[OfflineRun]) -> alt.Chart | alt.LayerChart:
    """The first rows of the first run that has the table, as text."""
    run = next(run for run in runs if run.latest(panel.key) is not None)
    table = json.loads(run.file(panel.key).read_text(encoding="utf-8"))
    places = [table["columns"].index(name) for name in panel.columns]
    shown = table["data"][:ROWS]
    rows: Rows = [
        {"row": number, "column": name, "text": _cell(row[place])}
        for number, row in enumerate(shown)
        for name, place in zip(panel.columns, places, strict=True)
    ]
    rows += [{"row": -1, "column": name, "text": name} for name in panel.columns]
    if len(table["data"]) > ROWS:
        rest = f"... {len(table['data']) - ROWS} more rows ({run.name})"
        rows.append({"row": ROWS, "column": panel.columns[0], "text": rest})
    return (
        alt.Chart(_data(rows, panel))
        .mark_text(align="left", fontSize=11)
        .encode(
            x=alt.X("column:N", sort=list(panel.columns), axis=None),
            y=alt.Y("row:O", axis=None),
            text="text:N",
            color=alt.condition("datum.row < 0", alt.value("#000000"), alt.value("#444a52")),
        )
    )


def _pictures(panel: Pictures, runs: Sequence[OfflineRun], width: int) -> alt.Chart | alt.LayerChart:
    """The pictures of the first run that has them, side by side."""
    run = next(run for run in runs if run.latest(panel.keys[0]) is not None)
    rows: Rows = []
    for number, key in enumerate(panel.keys):
        content = base64.b64encode(run.file(key).read_bytes()).decode()
        rows.append({"x": number, "url": f"data:image/png;base64,{content}", "name": key})
    chart = alt.Chart(_data(rows, panel), title=f"{panel.title} ({run.name})", width=width, height=TALL)
    return chart.mark_image(width=width / len(rows) - 10, height=TALL).encode(
        x=alt.X("x:O", axis=None), y=alt.value(TALL / 2), url="url:N"
    )


def _colour(runs: Sequence[OfflineRun]) -> alt.Color:
    return alt.Color("run:N", scale=alt.Scale(domain=[run.name for run in runs], range=COLOURS[: len(runs)]))


def _data(rows: Rows, panel: Panel) -> alt.InlineData:
    if not rows:
        raise ValueError(f'no run has what the panel "{panel.title}" shows; evaluate one of them first')
    return alt.InlineData(values=rows)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def main() -> None:
    if len(sys.argv) < 3 or not sys.argv[-1].endswith(".png"):
        sys.exit(__doc__)
    *folders, output = map(Path, sys.argv[1:])
    draw([read_run(folder) for folder in folders], output)
    print(output)


if __name__ == "__main__":
    main()
