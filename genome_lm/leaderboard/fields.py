"""Values of a JSON file that may be damaged: each of the type expected, or the reason why not."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genome_lm.plain import plain_json, plain_text

MAX_WHOLE = 2**63 - 1


class Damaged(Exception):
    """A file of a run that cannot be used; the message is one line that names the file and what is wrong."""


class Fields:
    """The entries of a JSON object.

    Every method takes a key, with a dot before each key of an object inside ("valid.perplexity.model"), and
    raises `Damaged` when the entry is of another type or out of range. A number that is undefined, which is
    null in strict JSON and NaN or Infinity in Python's, is None.
    """

    def __init__(self, file: str, entries: Mapping[str, Any]) -> None:
        self._file = file
        self._entries = entries

    def has(self, key: str) -> bool:
        """Whether there is such an entry; False also where a key before the last one is missing."""
        entries: object = self._entries
        for part in key.split("."):
            if not isinstance(entries, Mapping) or part not in entries:
                return False
            entries = entries[part]
        return True

    def text(self, key: str) -> str:
        """A string of printable characters."""
        value = self._value(key)
        if not isinstance(value, str) or not value.isprintable():
            raise self._wrong(key, value, "a text in one line")
        return value

    def whole(self, key: str) -> int:
        """A whole number of at least 0."""
        return self._whole(key, self._value(key))

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """A finite number within bounds, or None where it is undefined."""
        return self._number(key, self._value(key), low, high)

    def number_if_there(self, key: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """As `number`, and None also where there is no such entry."""
        return self.number(key, low, high) if self.has(key) else None

    def interval_if_there(self, key: str) -> tuple[float, float] | None:
        """Two finite numbers; None where there is no such entry or one of them is undefined."""
        if not self.has(key):
            return None
        value = self._value(key)
        if not isinstance(value, list) or len(value) != 2:
            raise self._wrong(key, value, "two numbers")
        low, high = (self._number(key, each, -math.inf, math.inf) for each in value)
        return None if low is None or high is None else (low, high)

    def items(self, key: str) -> list[Any]:
        """A list of anything."""
        value = self._value(key)
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return value

    def wholes(self, key: str) -> list[int]:
        """A list of whole numbers of at least 0."""
        return [self._whole(key, each) for each in self.items(key)]

    def _value(self, key: str) -> Any:
        value: Any = self._entries
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise Damaged(f"{self._file} lacks {key}")
            value = value[part]
        return value

    def _whole(self, key: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_WHOLE:
            raise self._wrong(key, value, "a whole number of at least 0")
        return value

    def _number(self, key: str, value: object, low: float, high: float) -> float | None:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > MAX_WHOLE:
            raise self._wrong(key, value, "a number")
        if not low <= value <= high:
            bounds = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
            raise self._wrong(key, value, f"a number of {bounds}")
        return float(value)

    def _wrong(self, key: str, value: object, expected: str) -> Damaged:
        return Damaged(f"{self._file}: {key} is {_shown(value)}; expected {expected}")


def _shown(value: object) -> str:
    """A value as part of a line."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) > MAX_WHOLE:
        return "a huge number"
    text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "..."


def read_fields(path: Path) -> Fields:
    """The JSON object in a file.

    Raises:
        Damaged: the file cannot be read, is no JSON, or holds something else than an object.
    """
    name = path.name if path.parent.name != "evaluation" else f"evaluation/{path.name}"
    try:
        content = plain_json(plain_text(path))
    except OSError as error:
        raise Damaged(f"{name} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, no JSON, or more of it than a run writes
        raise Damaged(f"{name} is damaged: no JSON") from error
    if not isinstance(content, dict):
        raise Damaged(f"{name} is damaged: expected a JSON object")
    return Fields(name, content)
