"""How often each bit is set in rows of packed bits, without unpacking them."""

import numpy as np

_ROWS = 9 << 10  # counted together: 1 MB at 919 bits, so that a core's cache holds it
_FEW = 16


def count_bits(packed: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """How many of `rows` have each bit set, int64 [8 * n_bytes].

    Full adders over whole rows (carry-save addition: Harley and Seal, in Warren 2013, Hacker's Delight, 5-1):
    three rows of weight w become one of weight w and one of weight 2w, and few are left to unpack.

    Args:
        packed: uint8 [n_rows, n_bytes], lowest bit first.
        rows: indices, int64 [n]; a row named twice counts twice.
    """
    counts = np.zeros(8 * packed.shape[1], dtype=np.int64)
    for first in range(0, len(rows), _ROWS):
        _add(counts, packed[rows[first : first + _ROWS]])
    return counts


def _add(counts: np.ndarray, rows: np.ndarray) -> None:
    weight = 1
    while len(rows):
        carries = []
        while len(rows) > _FEW:
            third = len(rows) // 3
            one, two, three, rest = np.split(rows, [third, 2 * third, 3 * third])
            either = one ^ two
            carries.append((one & two) | (either & three))
            rows = np.concatenate((either ^ three, rest))
        counts += weight * np.unpackbits(rows, axis=1, bitorder="little").sum(axis=0, dtype=np.int64)
        rows = np.concatenate(carries) if carries else rows[:0]
        weight *= 2
