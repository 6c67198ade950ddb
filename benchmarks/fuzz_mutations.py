"""Changes to bytes as fuzzers make them: bits, spans, lines, numbers at the edge, words of the format."""

import random
from collections.abc import Callable, Sequence

NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"255",
    b"65536",
    b"2147483647",
    b"-2147483648",
    b"4294967295",
    b"9223372036854775807",
    b"9223372036854775808",
    b"999999999999999",
    b"1e308",
    b"1e999",
    b"-0",
    b"nan",
    b"inf",
    b"0x10",
    b"1_000",
    b"",
    b"\xd9\xa1",
    b"00",
    b"+5",
    b" 7 ",
    b"1" * 400,
)
BYTES = (0, 1, 9, 10, 13, 32, 34, 35, 62, 127, 128, 192, 255)
LONGEST = 1 << 20


def mutate(data: bytes, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A few changes, mostly small ones, to `data`.

    Args:
        seeds: other inputs, for splicing.
        words: of the format.
    """
    changed = bytearray(data)
    for number in range(12):
        if number and draw.random() < 0.55:
            break
        draw.choice(_CHANGES)(changed, draw, seeds, words)
        if len(changed) > LONGEST:
            del changed[LONGEST:]
    return bytes(changed)


def _span(data: bytearray, draw: random.Random) -> tuple[int, int]:
    first = draw.randrange(len(data) + 1)
    return first, min(len(data), first + draw.choice((1, 1, 2, 4, 8, 30)))


def _bit(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _byte(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    if data:
        data[draw.randrange(len(data))] = draw.choice(BYTES)


def _delete(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    first, end = _span(data, draw)
    del data[first:end]


def _copy(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    first, end = _span(data, draw)
    at = draw.randrange(len(data) + 1)
    data[at:at] = data[first:end] * (1 if draw.random() < 0.95 else draw.randrange(1, 2000))


def _number(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    """A number in the place of one, or anywhere."""
    digits = [place for place, byte in enumerate(data[:4096]) if 48 <= byte <= 57]
    first = draw.choice(digits) if digits and draw.random() < 0.8 else draw.randrange(len(data) + 1)
    end = first
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    data[first:end] = draw.choice(NUMBERS)


def _word(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    first, end = _span(data, draw)
    data[first : end if draw.random() < 0.5 else first] = draw.choice(words) if words else b"\n"


def _binary(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    """A whole number of 1 to 8 bytes at the edge of its range."""
    if len(data) >= 8:
        width = draw.choice((1, 2, 4, 8))
        value = draw.choice((0, 1, (1 << 8 * width) - 1, 1 << 8 * width - 1, draw.getrandbits(8 * width)))
        at = draw.randrange(len(data) - width + 1)
        data[at : at + width] = value.to_bytes(width, draw.choice(("little", "big")))


def _lines(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    """Lines repeated, left out, or in another order."""
    lines = bytes(data).split(b"\n")
    first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
    how = draw.randrange(3)
    if how == 0:
        lines[first], lines[second] = lines[second], lines[first]
    elif how == 1:
        lines.insert(second, lines[first])
    else:
        del lines[first]
    data[:] = b"\n".join(lines)


def _cut(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _splice(data: bytearray, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    other = draw.choice(seeds)
    data[draw.randrange(len(data) + 1) :] = other[draw.randrange(len(other) + 1) :]


_CHANGES: tuple[Callable[[bytearray, random.Random, Sequence[bytes], Sequence[bytes]], None], ...] = (
    _bit,
    _bit,
    _byte,
    _byte,
    _delete,
    _copy,
    _number,
    _number,
    _word,
    _word,
    _binary,
    _lines,
    _cut,
    _splice,
)
