"""The prediction file on disk: what is checked of it before a value is believed; imports little."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from genome_lm.errors import UserError

FORMAT = "genome_lm predictions"
FORMAT_VERSION = 1
COLUMNS = ("logits", "window", "split", "task_ids")

_BLOCK_BYTES = 1 << 24


def check_here(path: Path) -> None:
    """Check a prediction file in this process: structure, sizes, and every byte against its checksum.

    A file made to do harm can hang libhdf5 or crash it, and this process with it; see
    `genome_lm.isolation.checked`.

    Raises:
        UserError: it is missing, unreadable, truncated, damaged, of a newer format, or no prediction file.
    """
    with opened(path) as file:
        for column in columns_of(file, path).values():
            row = math.prod(column.shape[1:]) * column.dtype.itemsize
            step = max(1, _BLOCK_BYTES // max(row, 1))
            for first in range(0, len(column), step):
                column[first : first + step]


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The open file; whatever h5py stumbles over is an error in one line.

    Raises:
        UserError: see `check_here`.
    """
    if not path.is_file():
        raise UserError(f"{path} is no file, expected predictions; write them with `genome-lm evaluate`")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} is no whole prediction file ({reason}); write it again with `genome-lm evaluate`"
        ) from error


def columns_of(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """The datasets of a file by name, checked without reading them.

    Raises:
        UserError: one is missing, reached over a link, stored elsewhere, or claims more than the file has.
    """
    if file.attrs.get("format") != FORMAT:
        raise UserError(
            f"format is {file.attrs.get('format')!r}, expected {FORMAT!r}; choose a prediction file"
        )
    version = int(file.attrs.get("format_version", 0))
    if version != FORMAT_VERSION:
        raise UserError(
            f"format version {version}, this program reads {FORMAT_VERSION}; "
            + ("install a newer genome_lm" if version > FORMAT_VERSION else "predict again")
        )
    columns = {}
    for name in COLUMNS:
        if name not in file:
            raise ValueError(f"{name} is missing")
        column = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
        if not isinstance(column, h5py.Dataset) or column.external or column.is_virtual or not column.ndim:
            raise UserError("holds less than it claims; write it again with `genome-lm evaluate`")
        columns[name] = column
    # Read nothing before the sizes claimed fit the file: what is stored is not compressed.
    if sum(column.nbytes for column in columns.values()) > path.stat().st_size:
        raise UserError("holds less than it claims; write it again with `genome-lm evaluate`")
    for name in ("name", "description", "dataset_checksum"):
        if not isinstance(file.attrs.get(name), str):
            raise ValueError(f"attribute {name} is missing or no text")
    if columns["task_ids"].dtype.kind != "S":
        raise UserError(f"task_ids is {columns['task_ids'].dtype}, expected strings; predict again")
    return columns
