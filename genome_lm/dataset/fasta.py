"""FASTA: plain, gzip or bgzip, in blocks; letters are checked against IUPAC."""

import mmap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from genome_lm.dataset.source import blocks
from genome_lm.dna import ENCODING, IUPAC
from genome_lm.errors import UserError

_ALLOWED = (IUPAC + IUPAC.lower() + "\r\n").encode()
_CODES = ENCODING.tobytes()
_LONGEST_HEADER = 1 << 16


def _segments(path: Path, advance: Callable[[int], object]) -> Iterator[tuple[str | None, bytes, int]]:
    """Yield (name, b"", line) at each header and (None, letters with line ends, line) between headers.

    `line` is the 1-based line on which the segment begins.
    """
    line = 1
    header: bytes | None = None  # collected so far, when the block ended inside a header
    line_start = True
    seen = False
    for block in blocks(path):
        at = 0
        while at < len(block):
            if header is not None:
                end = block.find(b"\n", at)
                header += block[at : end if end >= 0 else len(block)]
                if len(header) > _LONGEST_HEADER:
                    raise UserError(
                        f"{path}: line {line}: header longer than {_LONGEST_HEADER} bytes; is it FASTA?"
                    )
                if end < 0:
                    break
                yield _name(path, header, line), b"", line
                header, line, at, line_start = None, line + 1, end + 1, True
                continue
            if line_start and block[at : at + 1] == b">":
                header, seen, at = b"", True, at + 1
                continue
            end = block.find(b"\n>", at)
            letters = block[at : end + 1 if end >= 0 else len(block)]
            if not seen and letters.strip():
                line += letters[: len(letters) - len(letters.lstrip())].count(b"\n")
                raise UserError(
                    f"{path}: line {line}: not FASTA: expected a line that begins with '>', "
                    f"found {letters.strip()[:20].decode('latin-1')!r}"
                )
            yield None, letters, line
            line += letters.count(b"\n")
            line_start = letters.endswith(b"\n")
            at += len(letters)
        advance(len(block))
    if header is not None:
        yield _name(path, header, line), b"", line


def _name(path: Path, header: bytes, line: int) -> str:
    words = header.decode("utf-8", "replace").split()
    if not words or header[:1].isspace():
        raise UserError(f"{path}: line {line}: record without a name; write it right after the '>'")
    if not words[0].isprintable():
        raise UserError(
            f"{path}: line {line}: record {words[0][:40]!r} has characters that cannot be printed; rename it"
        )
    return words[0]


def _check_letters(path: Path, letters: bytes, line: int) -> None:
    foreign = letters.translate(None, _ALLOWED)
    if foreign:
        where = line + letters[: letters.index(foreign[:1])].count(b"\n")
        raise UserError(
            f"{path}: line {where}: character {chr(foreign[0])!r} is no IUPAC nucleotide; expected one "
            f"of {IUPAC}"
        )


def scan_fasta(path: Path, advance: Callable[[int], object] = lambda _: None) -> dict[str, int]:
    """Check a FASTA file and return the length of each record in bp, in file order.

    Args:
        advance: called with the number of (decompressed) bytes gone through since the last call.

    Raises:
        UserError: not FASTA, empty, a character outside IUPAC (names its line), a repeated name, a record
            without letters, or a damaged file.
    """
    lengths: dict[str, int] = {}
    name = ""
    for record, letters, line in _segments(path, advance):
        if record is not None:
            if record in lengths:
                raise UserError(
                    f"{path}: line {line}: second record named {record!r}; names must be unique, rename "
                    "or remove one"
                )
            name = record
            lengths[name] = 0
        elif letters:
            _check_letters(path, letters, line)
            lengths[name] = lengths.get(name, 0) + len(letters) - letters.count(b"\n") - letters.count(b"\r")
    lengths.pop("", None)
    if not lengths:
        raise UserError(
            f"{path}: empty; expected FASTA records, each a line that begins with '>' and a sequence"
        )
    for record, length in lengths.items():
        if not length:
            raise UserError(f"{path}: record {record!r} has no sequence; remove it or complete the file")
    return lengths


def read_fasta(
    path: Path, lengths: Mapping[str, int], advance: Callable[[int], object] = lambda _: None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, base codes uint8 [length]) of the records named in `lengths`, in file order.

    One record is held at a time. `lengths` is (part of) what `scan_fasta` found; the others are passed over.

    Raises:
        UserError: the file is damaged or was changed since it was scanned.
    """
    name = ""
    codes: np.ndarray | None = None
    filled = 0
    for record, letters, _line in _segments(path, advance):
        if record is not None:
            if codes is not None:
                yield name, _complete(path, name, codes, filled)
            name, filled = record, 0
            codes = _own_memory(lengths[name]) if name in lengths else None
        elif codes is not None:
            part = np.frombuffer(letters.translate(_CODES, b"\r\n"), dtype=np.uint8)
            if filled + len(part) <= len(codes):
                codes[filled : filled + len(part)] = part
            filled += len(part)
    if codes is not None:
        yield name, _complete(path, name, codes, filled)


def _own_memory(length: int) -> np.ndarray:
    """uint8 [length] that goes back to the system when dropped, even where malloc keeps what is freed."""
    return np.frombuffer(mmap.mmap(-1, length), dtype=np.uint8)


def _complete(path: Path, name: str, codes: np.ndarray, filled: int) -> np.ndarray:
    if filled != len(codes):
        raise UserError(
            f"{path}: record {name!r} has {filled:,} bp now and had {len(codes):,} a moment ago; "
            "leave the file alone while it is read"
        )
    return codes
