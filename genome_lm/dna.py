"""The DNA alphabet: base codes A0 C1 G2 T3 N4, encoding and reverse complement.

Ambiguous IUPAC letters are read as N: they name no single base.
"""

import numpy as np

BASES = "ACGTN"
N_CODE = 4
INVALID_CODE = 255

IUPAC = "ACGTUNRYSWKMBDHV"


def _encoding_table() -> np.ndarray:
    table = np.full(256, INVALID_CODE, dtype=np.uint8)
    for letter in IUPAC:
        code = BASES.find("T" if letter == "U" else letter)
        table[ord(letter)] = table[ord(letter.lower())] = code if code >= 0 else N_CODE
    return table


ENCODING = _encoding_table()
"""uint8 [256]: base code of each ASCII byte; `INVALID_CODE` where the byte is no IUPAC letter."""

COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)
"""uint8 [5]: complement of each base code; N stays N."""


def encode(letters: str | bytes) -> np.ndarray:
    """Base codes, uint8 [length], of a string of IUPAC letters in either case.

    Raises:
        ValueError: a character is no IUPAC letter; the message names it and its position.
    """
    raw = np.frombuffer(letters.encode("latin-1") if isinstance(letters, str) else letters, dtype=np.uint8)
    codes = ENCODING[raw]
    invalid = np.flatnonzero(codes == INVALID_CODE)
    if invalid.size:
        raise ValueError(f"character {chr(raw[invalid[0]])!r} at position {invalid[0]} is no IUPAC letter")
    return codes


def decode(codes: np.ndarray) -> str:
    """Letters of base codes, uint8 [length]."""
    return np.frombuffer(BASES.encode(), dtype=np.uint8)[codes].tobytes().decode()


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    """Reverse complement along the last axis of base codes, uint8 [..., length]."""
    return COMPLEMENT[codes[..., ::-1]]
