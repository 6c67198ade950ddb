"""Values out of files of any age: what is missing, null or of another type is None."""

import math
from collections.abc import Mapping, Sequence

Pair = tuple[float, float]


def number(value: object, *keys: str) -> float | None:
    """The finite number at the end of nested keys, or None."""
    value = inner(value, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def whole(value: object, *keys: str) -> int | None:
    """The whole number at the end of nested keys, or None."""
    found = number(value, *keys)
    return int(found) if found is not None and found == int(found) else None


def text(value: object, *keys: str) -> str:
    """The string at the end of nested keys, or an empty one."""
    value = inner(value, *keys)
    return value if isinstance(value, str) else ""


def pair(value: object, *keys: str) -> Pair | None:
    """Both ends of an interval at the end of nested keys, or None unless both are finite numbers."""
    value = inner(value, *keys)
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (low, high)


def pairs(value: object, *keys: str) -> list[Pair]:
    """The pairs of finite numbers in the list at the end of nested keys, or none."""
    value = inner(value, *keys)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [found for entry in value if (found := pair(entry)) is not None]


def table(value: object, *keys: str) -> Mapping[str, object]:
    """The mapping at the end of nested keys, or an empty one."""
    value = inner(value, *keys)
    return value if isinstance(value, Mapping) else {}


def rows(value: object, *keys: str) -> list[Mapping[str, object]]:
    """The mappings in the list at the end of nested keys, or none."""
    value = inner(value, *keys)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [entry for entry in value if isinstance(entry, Mapping)]


def inner(value: object, *keys: str) -> object:
    """Whatever is at the end of nested keys, or None."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value
