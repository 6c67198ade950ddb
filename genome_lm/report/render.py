"""From sections to one HTML file: templates, style and scripts put together, data embedded once."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from genome_lm.atomic import write_text
from genome_lm.report.drawing import javascript, uses
from genome_lm.report.figures.base import Figure, Row
from genome_lm.report.palette import style_rules
from genome_lm.report.section import Section


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    heading: str
    subtitle: str
    sections: Sequence[Section]
    datasets: Mapping[str, Sequence[Row]]

    def figures(self) -> list[Figure]:
        """The figures of all sections."""
        return [figure for section in self.sections for figure in section.figures]


def write_page(page: Page, path: Path) -> None:
    """Write the page whole or not at all."""
    write_text(path, render(page))


def render(page: Page) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("genome_lm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _asset(environment, "page.js")
    libraries = javascript() if page.figures() else ""
    return environment.get_template("page.html.j2").render(
        page=page,
        colours=style_rules(),
        style=_asset(environment, "page.css"),
        libraries=libraries,
        script=script,
        policy=policy(libraries, script),
        data=embedded(page_data(page)),
    )


def page_data(page: Page) -> dict[str, object]:
    """What the script reads: charts by name, and the datasets, each as columns."""
    charts = {
        figure.name: {"spec": figure.spec(), "aspect": figure.aspect, "height": figure.height}
        for figure in page.figures()
    }
    needed = {
        name: rows
        for name, rows in page.datasets.items()
        if name == "tasks" or any(uses(chart["spec"], name) for chart in charts.values())
    }
    return {"charts": charts, "datasets": {name: columns(rows) for name, rows in needed.items()}}


def columns(rows: Sequence[Row]) -> dict[str, list[object]]:
    """Rows as columns, so that a page has every name once."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def embedded(value: object) -> str:
    """JSON that is inert inside a script element: no tag can begin or end in it."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written


def policy(*scripts: str) -> str:
    """A Content-Security-Policy: these scripts run and no other, and no machine is asked for anything."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
        if script
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri "
        "'none'; form-action 'none'"
    )


def _asset(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
