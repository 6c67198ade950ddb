"""Values out of files by others: text, numbers, lists and mappings within bounds, and nothing else."""

import json
from collections.abc import Callable, Collection
from pathlib import Path

MOST_VALUES = 2_000_000
"""Values in one file, each counted as often as it is reached."""
MOST_TEXT = 1 << 26
"""Characters in all of them."""
MOST_DEPTH = 100
LARGEST_WHOLE = 1 << 128
"""The state of a generator of random numbers holds whole numbers of 128 bits."""


class NotPlain(ValueError):
    """Why a value is none that a file of this program holds, in words."""


def check_plain(value: object, leaves: Collection[type] = ()) -> None:
    """Check that a value is made of lists, tuples, mappings, text, numbers, booleans and None alone.

    A part that is reached over several ways (an alias in YAML, the memo of a pickle) counts each time: a few
    bytes can stand for 10^12 values, and whoever prints, copies or compares them would never end. So a
    structure that holds itself is refused too.

    Args:
        leaves: types of further values that are allowed and not looked into.

    Raises:
        NotPlain: there is something else in it, text that is no UTF-8 or holds a NUL, a whole number of more
            than 128 bits, a key that is neither text nor a whole number, or too much of anything.
    """
    others: tuple[type, ...] = (float, type(None), *leaves)
    values = characters = 0
    level: list[object] = [value]
    for _ in range(MOST_DEPTH):
        below: list[object] = []
        for each in level:
            if isinstance(each, str):
                characters += len(each)
                _check_text(each)
            elif isinstance(each, dict):
                for key in each:
                    if not isinstance(key, str | int) or isinstance(key, bool):
                        raise NotPlain(f"a key of type {type(key).__name__}")
                below += each.keys()
                below += each.values()
            elif isinstance(each, list | tuple):
                below += each
            elif isinstance(each, int):  # booleans as well
                if abs(each) >= LARGEST_WHOLE:
                    raise NotPlain("a whole number of more than 128 bits")
            elif not isinstance(each, others):
                raise NotPlain(f"a value of type {type(each).__name__}")
            if values + len(below) > MOST_VALUES or characters > MOST_TEXT:
                raise NotPlain("more values than a file of this kind holds")
        values += len(below)
        level = below
        if not level:
            return
    raise NotPlain(f"values inside each other for more than {MOST_DEPTH} levels")


def plain_text(path: Path, most_bytes: int = MOST_TEXT) -> str:
    """The UTF-8 text in a file: an ordinary one, since a pipe or a device may never end.

    Raises:
        OSError: it cannot be read.
        NotPlain: it is no ordinary file, no UTF-8 or longer than `most_bytes`.
    """
    if path.exists() and not path.is_file():
        raise NotPlain("no ordinary file")
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise NotPlain(f"more than {most_bytes:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotPlain("no UTF-8") from error


def plain_json(text: str) -> object:
    """The value that a JSON text holds.

    Raises:
        NotPlain: it is no JSON, names a key twice, or `check_plain` refuses it.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise NotPlain("no JSON: nested too deeply") from error
    except ValueError as error:
        raise NotPlain(f"no JSON: {error}") from error
    check_plain(value)
    return value


def holds(value: object, condition: Callable[[str], bool]) -> bool:
    """Whether a plain value has text, keys included, for which `condition` is true."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            if condition(each):
                return True
        elif isinstance(each, dict):
            left += each.keys()
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
    return False


def one_line(text: str) -> bool:
    """Whether a text has no control characters, such as a tab, a line break or a terminal's escape."""
    return not any(character < " " or "\x7f" <= character < "\xa0" for character in text)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotPlain("text that cannot be written as UTF-8") from error
    if "\0" in text:
        raise NotPlain("text with a NUL")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise NotPlain("a key that stands there twice")
    return value
