"""Opening an HDF5 file and what stands in it: hard links, plain attributes, and one kind of error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np

from genome_lm.errors import UserError

_LONGEST_ATTRIBUTE = 1 << 20


class Damaged(Exception):
    """Why a file is not what it should be; whoever opened it adds its name and the remedy."""


def fail(reason: str) -> NoReturn:
    raise Damaged(reason)


@contextmanager
def opened(path: Path, kind: str, remedy: str) -> Iterator[h5py.File]:
    """The file, open for reading; whatever goes wrong in the block becomes one line.

    Args:
        kind: what it should be, such as "dataset".
        remedy: what to do about one that is damaged.

    Raises:
        UserError: it is no HDF5 file, truncated or damaged, or the block raised `Damaged`.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except Damaged as reason:
        raise UserError(f"{kind} {path} is damaged: {reason}; {remedy}") from reason
    except MemoryError as error:
        raise UserError(f"{kind} {path} takes more memory than there is; {remedy}") from error
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Whatever libhdf5 stumbles over: h5py hands on its errors under all of these types.
        cause = str(error).strip("'\"").partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{kind} {path} cannot be read ({cause}); it is truncated, damaged or no HDF5 file: {remedy}"
        ) from error


def descriptor(file: h5py.File) -> int:
    """Of the file that libhdf5 has open."""
    return int(file.id.get_vfd_handle())


def text_attribute(owner: h5py.HLObject, name: str) -> str:
    """A text; its length is looked at before it is read.

    Raises:
        Damaged: missing, no text, an array, or longer than a megabyte.
    """
    attribute = _attribute(owner, name)
    kind = None if attribute is None else attribute.get_type()
    if attribute is None or not isinstance(kind, h5py.h5t.TypeStringID) or attribute.shape != ():
        fail(f"attribute {name} of {owner.name} is missing or no text")
    # Of a text of variable length, which h5py writes, the header holds a reference of 16 bytes only.
    if not kind.is_variable_str() and kind.get_size() > _LONGEST_ATTRIBUTE:
        fail(f"attribute {name} of {owner.name} is longer than {_LONGEST_ATTRIBUTE:,} bytes")
    value = owner.attrs[name]
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    if not isinstance(text, str) or len(text) > _LONGEST_ATTRIBUTE:
        fail(f"attribute {name} of {owner.name} is no text of at most {_LONGEST_ATTRIBUTE:,} bytes")
    return text


def number_attribute(owner: h5py.HLObject, name: str) -> int:
    """A whole number.

    Raises:
        Damaged: missing, an array, or no whole number.
    """
    attribute = _attribute(owner, name)
    kind = None if attribute is None else attribute.get_type()
    if (
        attribute is None
        or not isinstance(kind, h5py.h5t.TypeIntegerID)
        or attribute.shape != ()
        or kind.get_size() > 8
    ):
        fail(f"attribute {name} of {owner.name} is missing or no whole number")
    value = owner.attrs[name]
    if not isinstance(value, (int, np.integer)):
        fail(f"attribute {name} of {owner.name} is missing or no whole number")
    return int(value)


def _attribute(owner: h5py.HLObject, name: str) -> h5py.h5a.AttrID | None:
    return owner.attrs.get_id(name) if name in owner.attrs else None


def member(file: h5py.File, name: str) -> h5py.HLObject | None:
    """What stands at `name`; None when absent or reached over a link that could leave the file."""
    found: h5py.HLObject = file
    for part in name.split("/"):
        if not isinstance(found, h5py.Group) or not isinstance(found.get(part, getlink=True), h5py.HardLink):
            return None
        found = found[part]
    return found


def names_in(file: h5py.File, group_name: str, most: int) -> tuple[str, ...]:
    """Names of the members of a group, sorted.

    Raises:
        Damaged: no such group, or it has more than `most` members.
    """
    group = member(file, group_name)
    if not isinstance(group, h5py.Group):
        fail(f"group {group_name} is missing")
    if len(group) > most:
        fail(f"group {group_name} has {len(group):,} members; expected at most {most:,}")
    return tuple(sorted(group))
