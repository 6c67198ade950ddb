"""Opening a dataset file: everything is checked before it is believed."""

import hashlib
import json
import math
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np

from genome_lm.dataset.contents import SPLITS, Dataset, TaskTable
from genome_lm.dataset.layout import (
    FORMAT,
    FORMAT_VERSION,
    NUMBERS,
    REFERENCE_GROUP,
    TASK_TEXT,
    TEXTS,
    WINDOW_COLUMNS,
    content_digest,
)
from genome_lm.dna import N_CODE
from genome_lm.errors import UserError

_LARGEST_CHUNK = 1 << 26
# zlib expands at most 1,032-fold; a claim beyond that would only be filled up with zeros.
_LARGEST_EXPANSION = 1100
_LONGEST_TEXT = 1 << 16


class _Damaged(Exception):
    """Why a file is no valid dataset; the caller adds its name and the remedy."""


def embedded_dataset_path() -> Path:
    """Path of the dataset shipped with the package: 560 tracks over chromosome 20 of hg19."""
    return Path(__file__).parent.parent / "assets" / "hg19_chr20.h5"


def open_dataset(path: Path) -> Dataset:
    """Open and check a dataset file; all of it is read into memory.

    Raises:
        UserError: missing, no HDF5, truncated, not a dataset, written in a newer format, or its contents
            do not agree with each other or with their digest.
    """
    if not path.is_file():
        raise UserError(f"dataset {path} does not exist; give a file made by `genome-lm prepare`")
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except _Damaged as reason:
        raise UserError(f"dataset {path} is damaged: {reason}; make or copy it again") from reason
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        # Whatever libhdf5 stumbles over: h5py hands on its errors under all of these types.
        cause = str(error).strip("'\"").partition("\n")[0] or type(error).__name__
        raise UserError(
            f"dataset {path} cannot be read ({cause}); it is truncated, damaged or no HDF5 file: make "
            "or copy it again"
        ) from error


def _fail(reason: str) -> NoReturn:
    raise _Damaged(reason)


def _read(file: h5py.File, path: Path) -> Dataset:
    version = _version(file, path)
    genome_build, recipe_text = _text_attribute(file, "genome_build"), _text_attribute(file, "recipe")
    window_bp, bin_bp = _number_attribute(file, "window_bp"), _number_attribute(file, "bin_bp")
    recipe = json.loads(recipe_text)
    if not 1 <= bin_bp <= window_bp or not isinstance(recipe, dict):
        _fail(f"bins of {bin_bp} bp in windows of {window_bp} bp, recipe of type {type(recipe).__name__}")

    references = _reference_names(file)
    described = []
    arrays: dict[str, np.ndarray] = {}
    names = [*NUMBERS, *TEXTS, *(f"{REFERENCE_GROUP}/{name}" for name in references)]
    datasets = {name: _dataset(file, name) for name in names}
    _check_shapes(datasets, window_bp)
    for name, dataset in datasets.items():
        arrays[name] = values = dataset[...]
        digest = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
        if digest != _text_attribute(dataset, "sha256"):
            _fail(f"the contents of {name} do not agree with their digest")
        described.append((name, values.dtype, values.shape, digest))
    checksum = content_digest(genome_build, window_bp, bin_bp, recipe_text, described)
    if checksum != _text_attribute(file, "content_digest"):
        _fail(f"the contents do not agree with the content digest (format version {version})")

    texts = {name: _texts(name, arrays[name]) for name in TEXTS}
    tasks = TaskTable(
        **{column: texts[f"tasks/{column}"] for column in TASK_TEXT},
        selects_bins=arrays["tasks/selects_bins"].astype(bool),
        n_peaks=arrays["tasks/n_peaks"],
        reference={name: arrays[f"{REFERENCE_GROUP}/{name}"] for name in references},
    )
    dataset = Dataset(
        path=path,
        genome_build=genome_build,
        checksum=checksum,
        window_bp=window_bp,
        bin_bp=bin_bp,
        recipe=recipe,
        sequence=arrays["sequence"],
        offset=arrays["windows/offset"],
        chromosome=arrays["windows/chromosome"],
        chromosomes=texts["chromosomes"],
        start=arrays["windows/start"],
        split=arrays["windows/split"],
        packed_labels=arrays["labels"],
        tasks=tasks,
    )
    _check_values(dataset)
    return dataset


def _version(file: h5py.File, path: Path) -> int:
    if "format" not in file.attrs or _text_attribute(file, "format") != FORMAT:
        raise UserError(
            f"{path} is an HDF5 file but no dataset of ours; give a file made by `genome-lm prepare`"
        )
    version = _number_attribute(file, "format_version")
    if version > FORMAT_VERSION:
        raise UserError(
            f"dataset {path} has format version {version}, this program reads up to {FORMAT_VERSION}; "
            "upgrade genome-lm or prepare the dataset again"
        )
    if version < 1:
        _fail(f"format version {version}")
    return version


def _text_attribute(owner: h5py.HLObject, name: str) -> str:
    value = owner.attrs.get(name)
    if not isinstance(value, str):
        _fail(f"attribute {name} of {owner.name} is missing or no text")
    return value


def _number_attribute(owner: h5py.HLObject, name: str) -> int:
    value = owner.attrs.get(name)
    if not isinstance(value, (int, np.integer)):
        _fail(f"attribute {name} of {owner.name} is missing or no whole number")
    return int(value)


def _member(file: h5py.File, name: str) -> h5py.HLObject | None:
    """What stands at `name`; None when absent or reached over a link that could leave the file."""
    member: h5py.HLObject = file
    for part in name.split("/"):
        if not isinstance(member, h5py.Group) or not isinstance(
            member.get(part, getlink=True), h5py.HardLink
        ):
            return None
        member = member[part]
    return member


def _reference_names(file: h5py.File) -> tuple[str, ...]:
    group = _member(file, REFERENCE_GROUP)
    if not isinstance(group, h5py.Group):
        _fail(f"group {REFERENCE_GROUP} is missing")
    return tuple(sorted(group))


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """The dataset of that name, checked without reading it: type, place, compression and size."""
    dataset = _member(file, name)
    if not isinstance(dataset, h5py.Dataset):
        _fail(f"{name} is missing")
    if dataset.external or dataset.is_virtual or dataset.compression not in (None, "gzip"):
        _fail(f"{name} is stored in a way that this format does not use")
    expected = NUMBERS.get(name, np.dtype("<f8") if name.startswith(REFERENCE_GROUP) else None)
    if expected is None:
        if dataset.dtype.kind != "S" or not 1 <= dataset.dtype.itemsize <= _LONGEST_TEXT:
            _fail(f"{name} has type {dataset.dtype}, expected text of fixed length")
    elif dataset.dtype != expected:
        _fail(f"{name} has type {dataset.dtype}, expected {expected}")
    if dataset.ndim != (2 if name == "labels" else 1):
        _fail(f"{name} has {dataset.ndim} dimensions")
    claimed = math.prod(dataset.shape) * dataset.dtype.itemsize
    if claimed > _LARGEST_EXPANSION * dataset.id.get_storage_size():
        _fail(f"{name} claims {claimed:,} bytes and stores {dataset.id.get_storage_size():,}")
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > _LARGEST_CHUNK:
        _fail(f"{name} is stored in blocks of more than {_LARGEST_CHUNK:,} bytes")
    return dataset


def _check_shapes(datasets: dict[str, h5py.Dataset], window_bp: int) -> None:
    n_windows, n_tasks = len(datasets["windows/offset"]), len(datasets["tasks/id"])
    n_sources = len(datasets["sources/name"])
    if not n_windows or not n_tasks:
        _fail(f"{n_windows} windows and {n_tasks} tasks")
    for name, dataset in datasets.items():
        if name in WINDOW_COLUMNS:
            expected: tuple[int, ...] = (n_windows,)
        elif name == "labels":
            expected = (n_windows, -(-n_tasks // 8))
        elif name.startswith("tasks/"):
            expected = (n_tasks,)
        elif name.startswith("sources/"):
            expected = (n_sources,)
        else:
            continue
        if dataset.shape != expected:
            _fail(f"{name} has shape {dataset.shape}, expected {expected}")
    n_bases = len(datasets["sequence"])
    if not window_bp <= n_bases <= n_windows * window_bp:
        _fail(f"{n_bases:,} bases for {n_windows:,} windows of {window_bp:,} bp")


def _texts(name: str, values: np.ndarray) -> tuple[str, ...]:
    try:
        return tuple(value.decode("utf-8") for value in values.tolist())
    except UnicodeDecodeError:
        _fail(f"{name} holds text that is not UTF-8")


def _check_values(dataset: Dataset) -> None:
    if int(dataset.sequence.max()) > N_CODE:
        _fail(f"base code {int(dataset.sequence.max())}; 0 to {N_CODE} exist")
    if int(dataset.offset.min()) < 0 or int(dataset.offset.max()) > len(dataset.sequence) - dataset.window_bp:
        _fail("a window lies outside the stored bases")
    if int(dataset.chromosome.max()) >= len(dataset.chromosomes):
        _fail("a window lies on a chromosome that is not named")
    if int(dataset.split.max()) >= len(SPLITS):
        _fail(f"split code {int(dataset.split.max())}; 0 to {len(SPLITS) - 1} exist")
    padding = -len(dataset.tasks) % 8
    if padding and int(dataset.packed_labels[:, -1].max()) >> (8 - padding):
        _fail("label bits beyond the last task")
    for name, values in (("task ids", dataset.tasks.id), ("chromosome names", dataset.chromosomes)):
        if len(set(values)) != len(values) or "" in values:
            _fail(f"{name} are empty or not unique")
    keys = dataset.chromosome.astype(np.int64)
    steps = np.diff(keys)
    if np.any(steps < 0) or np.any((steps == 0) & (np.diff(dataset.start) <= 0)):
        _fail("windows are not in genome order")
