"""Lines of BED files: which are passed over, their columns and coordinates, and what is wrong with them."""

from collections.abc import Iterator
from pathlib import Path

from genome_lm.dataset.source import blocks
from genome_lm.errors import UserError

LONGEST_NUMBER = 15
"""Digits of a coordinate: far beyond any chromosome, well inside int64."""

SKIPPED = (b"#", b"track", b"browser")
"""How lines begin that are no intervals."""

_LONGEST_LINE = 1 << 20
_HEADER_STARTS = {b"start", b"chromstart", b"chrom_start"}


def whole_lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield whole lines, a block of the file (plain or gzip) at a time, and the 1-based number of the first.

    Raises:
        UserError: a line is longer than a megabyte, or the file cannot be read.
    """
    carry, line = b"", 1
    for block in blocks(path):
        text = carry + block
        cut = text.rfind(b"\n") + 1
        text, carry = text[:cut], text[cut:]
        if text:
            yield text, line
            line += text.count(b"\n")
        if len(carry) > _LONGEST_LINE:
            raise UserError(f"{path}: line {line}: longer than {_LONGEST_LINE:,} bytes; expected BED lines")
    if carry:
        yield carry, line


def columns_of(path: Path, number: int, raw: bytes) -> list[bytes] | None:
    """Columns of a line, at least three, no white space around the first three; None if it is no interval.

    Passed over are empty lines, those that begin with "#", "track" or "browser", and column names in line 1.

    Raises:
        UserError: fewer than three columns, no name of a chromosome, or one that cannot be printed.
    """
    line = raw.strip()
    first_word = line.split(None, 1)[0] if line else b""
    if not line or line.startswith(b"#") or first_word in SKIPPED:
        return None
    columns = raw.rstrip(b"\r").split(b"\t") if b"\t" in line else line.split()
    if len(columns) < 3:
        raise UserError(
            f"{path}: line {number}: {len(columns)} column{'s' * (len(columns) != 1)} "
            f"({_shown(line)}); expected at least chromosome, start and end, separated by tabs"
        )
    columns[:3] = [column.strip() for column in columns[:3]]
    if number == 1 and columns[1].lower() in _HEADER_STARTS:
        return None
    if not columns[0]:
        raise UserError(f"{path}: line {number}: empty chromosome name; expected chromosome, start and end")
    if not columns[0].decode("utf-8", "replace").isprintable():
        raise UserError(
            f"{path}: line {number}: chromosome {_shown(columns[0])} has characters that cannot be printed; "
            "is it a text file?"
        )
    return columns


def coordinate(path: Path, line: int, column: str, text: bytes) -> int:
    """The number in a column.

    Raises:
        UserError: it is negative or no whole number.
    """
    if text.isdigit() and len(text) <= LONGEST_NUMBER:
        return int(text)
    if text.startswith(b"-") and text[1:].isdigit():
        raise UserError(
            f"{path}: line {line}: {column} {_shown(text)} is negative; BED coordinates are 0-based, from 0"
        )
    raise UserError(
        f"{path}: line {line}: {column} {_shown(text)} is no whole number of bases; expected digits only"
    )


def bad_interval(path: Path, line: int, name: bytes, start: int, end: int, limit: int) -> UserError:
    """Why `start` to `end` is no interval of a chromosome of `limit` bp."""
    where = f"{path}: line {line}: {name.decode('utf-8', 'replace')}:{start}-{end}"
    if end <= start:
        return UserError(
            f"{where}: end is not after start; BED intervals are 0-based, half-open, start < end"
        )
    return UserError(
        f"{where}: past the chromosome's end at {limit:,}; "
        "are the intervals and the FASTA of the same assembly?"
    )


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "replace"))
