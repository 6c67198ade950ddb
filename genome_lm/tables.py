"""Tables as Markdown, as tab-separated values (these read, too) and as plain text."""

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

Rows = Sequence[Sequence[str]]
"""Cells as they are shown; the first row is the header, and all rows have as many cells as it."""


def to_markdown(rows: Rows, left: Collection[int] = (0,)) -> str:
    """A Markdown table without a final newline, padded so that it also reads well as text.

    Args:
        rows: header and body; a bar in a cell is escaped, a line break becomes a space.
        left: columns aligned to the left; the others are aligned to the right.
    """
    cells = [[_one_line(cell).replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, width) for width in _widths(cells)]
    rule = ["-" * width if column in left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    header, *body = cells
    return "\n".join("| " + " | ".join(_padded(row, widths, left)) + " |" for row in (header, rule, *body))


def to_tsv(rows: Rows) -> str:
    """Tab-separated values, one line a row; a cell with a tab, a quote or a line break is quoted."""
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)
    return text.getvalue()


def read_tsv(path: Path) -> list[dict[str, str]]:
    """Rows of tab-separated values by the names in the header, as `to_tsv` writes them.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no header, or a row has more or fewer fields than that.
    """
    with path.open(newline="", encoding="utf-8") as file:
        try:
            header, *rows = csv.reader(file, delimiter="\t", strict=True)
            return [dict(zip(header, row, strict=True)) for row in rows]
        except csv.Error as error:
            raise ValueError(str(error)) from error


def to_text(rows: Rows, left: Collection[int] = (0,)) -> str:
    """Columns with two spaces between them, for a terminal, without a final newline."""
    cells = [[_one_line(cell) for cell in row] for row in rows]
    widths = _widths(cells)
    return "\n".join("  ".join(_padded(row, widths, left)).rstrip() for row in cells)


def _one_line(cell: str) -> str:
    return " ".join(cell.splitlines())


def _widths(cells: Rows) -> list[int]:
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def _padded(row: Sequence[str], widths: Sequence[int], left: Collection[int]) -> list[str]:
    return [
        cell.ljust(width) if column in left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
