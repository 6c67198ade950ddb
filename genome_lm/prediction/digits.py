"""Probabilities as text of fixed width, all at once: "0.012346"."""

import numpy as np

WIDTH = 8
"""Characters of a probability: a digit, a point and six decimals."""

_HIGH = np.array([f"{number // 1000}.{number % 1000:03d}" for number in range(1001)], dtype="S5")
_LOW = np.array([f"{number:03d}" for number in range(1000)], dtype="S3")


def _packed(texts: np.ndarray, at: int) -> np.ndarray:
    """Texts as little-endian words of eight bytes, in which they stand from byte `at` on."""
    width = texts.dtype.itemsize
    out = np.zeros((len(texts), WIDTH), dtype=np.uint8)
    out[:, at : at + width] = texts.view(np.uint8).reshape(-1, width)
    return out.reshape(-1).view("<u8")


_HIGH_WORD, _LOW_WORD = _packed(_HIGH, 0), _packed(_LOW, 5)


def format_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """ASCII digits, uint8 [..., 8], of probabilities, floating [...] in 0 to 1, rounded to six decimals."""
    millionths = np.rint(np.ascontiguousarray(probabilities) * 1e6).astype(np.uint32)
    high, low = np.divmod(millionths, np.uint32(1000))
    words = _HIGH_WORD[high] | _LOW_WORD[low]
    return words.view(np.uint8).reshape(*probabilities.shape, WIDTH)
