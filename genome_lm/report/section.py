"""A section of the page: its template, what the template shows, and the figures it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from genome_lm.report.figures.base import Figure


@dataclass(frozen=True)
class Section:
    """One section; templates/sections/TEMPLATE.html.j2 draws it."""

    id: str
    title: str
    template: str
    content: Mapping[str, object] = field(default_factory=dict)
    figures: Sequence[Figure] = ()
    missing: Sequence[str] = ()  # what is not shown and why, a sentence each


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    note: str = ""  # in small print below, such as an interval
    heading: bool = False


@dataclass(frozen=True)
class Table:
    """A table as it is shown; the first column names the rows."""

    caption: str
    header: Sequence[str]
    body: Sequence[Sequence[Cell]]
    note: str = ""
    dense: bool = False  # many columns: names are broken and little room is left between


def gathered(*figures: Figure | None) -> list[Figure]:
    """The figures that there are."""
    return [figure for figure in figures if figure is not None]
