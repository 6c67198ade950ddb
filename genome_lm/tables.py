"""Tables as Markdown, as tab-separated values (these read, too) and as plain text."""

import csv
import io
import re
from collections.abc import Collection, Sequence
from pathlib import Path

Rows = Sequence[Sequence[str]]
"""Cells as they are shown; the first row is the header, and all rows have as many cells as it."""


# What spreadsheets take for the beginning of a formula, behind any number of guards.
_FORMULA = re.compile(r"'*[=+\-@\t].", re.DOTALL)
# What Markdown takes for HTML, or for the end of a link's text.
_TAG, _LINK = re.compile(r"<(?=[A-Za-z/!?])"), "]("


def to_markdown(rows: Rows, left: Collection[int] = (0,)) -> str:
    """A Markdown table without a final newline, padded so that it also reads well as text.

    Args:
        rows: header and body; a bar in a cell is escaped and so is what would be HTML or a link, a line break
            becomes a space.
        left: columns aligned to the left; the others are aligned to the right.
    """
    cells = [[in_markdown(cell).replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, width) for width in _widths(cells)]
    rule = ["-" * width if column in left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    header, *body = cells
    return "\n".join("| " + " | ".join(_padded(row, widths, left)) + " |" for row in (header, rule, *body))


def to_tsv(rows: Rows) -> str:
    """Tab-separated values, one line a row; a cell with a tab, a quote or a line break is quoted.

    Text that a spreadsheet would take for a formula is guarded, see `guarded`.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return text.getvalue()


def guarded(cell: str) -> str:
    """A cell with an apostrophe before it if a spreadsheet would take it for a formula; numbers stay.

    `unguarded` takes one away again, so that every text comes back as it was.
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def in_markdown(text: str) -> str:
    """Text for a line of Markdown: one line, without HTML and links."""
    return _TAG.sub("&lt;", _one_line(text)).replace(_LINK, "]\\(")


def read_tsv(path: Path) -> list[dict[str, str]]:
    """Rows of tab-separated values by the names in the header, as `to_tsv` writes them.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no header, or a row has more or fewer fields than that.
    """
    with path.open(newline="", encoding="utf-8") as file:
        try:
            header, *rows = csv.reader(file, delimiter="\t", strict=True)
            return [dict(zip(header, map(unguarded, row), strict=True)) for row in rows]
        except csv.Error as error:
            raise ValueError(str(error)) from error


def to_text(rows: Rows, left: Collection[int] = (0,)) -> str:
    """Columns with two spaces between them, for a terminal, without a final newline."""
    cells = [[_one_line(cell) for cell in row] for row in rows]
    widths = _widths(cells)
    return "\n".join("  ".join(_padded(row, widths, left)).rstrip() for row in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _one_line(cell: str) -> str:
    return " ".join(cell.splitlines())


def _widths(cells: Rows) -> list[int]:
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def _padded(row: Sequence[str], widths: Sequence[int], left: Collection[int]) -> list[str]:
    return [
        cell.ljust(width) if column in left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
