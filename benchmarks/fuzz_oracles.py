"""Slow readers of text formats, written from their descriptions alone: what the fast ones must agree with.

Each returns what the file holds, or None for a file that is to be refused.
"""

import gzip
import re
import zlib
from collections.abc import Mapping

import numpy as np

CODE = {"A": 0, "C": 1, "G": 2, "T": 3, "U": 3}  # every other letter of IUPAC is an N
IUPAC = set("ACGTURYSWKMBDHVN")
SPACE = " \t\n\r\x0b\x0c"


def unpacked(data: bytes) -> bytes | None:
    """Without gzip, if it begins as gzip does."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, OSError):
        return None


def bed(data: bytes, lengths: Mapping[str, int]) -> list[tuple[str, int, int, list[str]]] | None:
    """Chromosome as written, start, end and further columns of each interval, in order."""
    plain = unpacked(data)
    if plain is None:
        return None
    found = []
    for number, line in enumerate(plain.decode("latin-1").split("\n"), start=1):
        bare = line.strip(SPACE)
        if not bare or bare[0] == "#" or re.match(r"(track|browser)(?![^ \t\n\r\x0b\x0c])", bare):
            continue
        if "\t" in bare:
            columns = line.rstrip("\r").split("\t")
        else:
            columns = [each for each in re.split(f"[{SPACE}]+", bare) if each]
        if len(columns) < 3:
            return None
        name, start, end = (each.strip(SPACE) for each in columns[:3])
        if number == 1 and start.lower() in ("start", "chromstart", "chrom_start"):
            continue
        if not name or not all(re.fullmatch("[0-9]{1,15}", each) for each in (start, end)):
            return None
        text = name.encode("latin-1").decode("utf-8", "replace")
        if not text.isprintable():
            return None
        other = text[3:] if text.startswith("chr") else "chr" + text
        limit = lengths.get(text, lengths.get(other))
        if int(end) <= int(start) or (limit is not None and int(end) > limit):
            return None
        found.append((text, int(start), int(end), columns[3:]))
    return found


def fasta(data: bytes) -> dict[str, list[int]] | None:
    """Base codes of each record."""
    plain = unpacked(data)
    if plain is None:
        return None
    records: dict[str, list[int]] = {}
    name = None
    for line in plain.decode("latin-1").split("\n"):
        if line.startswith(">"):
            header = line[1:].encode("latin-1").decode("utf-8", "replace")
            if not header.split() or line[1:2] in SPACE or not header.split()[0].isprintable():
                return None
            name = header.split()[0]
            if name in records:
                return None
            records[name] = []
        else:
            letters = line.replace("\r", "")
            # Letters of ASCII alone: in Python a sharp s in upper case is two of them.
            if (name is None and letters) or not set(letters) <= IUPAC | set("".join(IUPAC).lower()):
                return None
            if name is not None:
                records[name] += [CODE.get(letter, 4) for letter in letters.upper()]
    return records if records and all(records.values()) else None


def word_vectors(data: bytes, k: int) -> dict[int, np.ndarray]:
    """Vector of each k-mer that any line gives, by its base-4 value; the last one where there are several."""
    found = {}
    for line in re.split("\r\n|\r|\n", data.decode("utf-8"))[1:]:
        word, *numbers = line.split() or [""]
        if len(word) == k and set(word.upper()) <= set(CODE):
            value = 0
            for letter in word.upper():
                value = 4 * value + CODE[letter]
            found[value] = np.array([float(each) for each in numbers], dtype=np.float32)
    return found


def table(data: bytes) -> list[dict[str, str]]:
    """Rows of a tab-separated table with a header; empty lines and comments left out."""
    text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    header, *rows = ([each.strip() for each in line.split("\t")] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in rows]
