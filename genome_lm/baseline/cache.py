"""Baseline fits kept by content: the same data and settings are fitted once.

A fit is an HDF5 file named by the sha256 of everything that it depends on. A digest over its contents tells a
damaged file from a sound one; nothing in it is ever executed on reading.
"""

import hashlib
import json
import logging
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from genome_lm.atomic import replacing
from genome_lm.baseline.kmers import Strands
from genome_lm.baseline.result import BaselineFit
from genome_lm.choices import PenaltyChoice
from genome_lm.dataset.sink import new_hdf5

logger = logging.getLogger(__name__)

FORMAT = "genome_lm baseline fit"
_TEXTS = ("dataset_checksum", "strands", "choice")
_NUMBERS = ("context_bp", "seconds")
_ARRAYS = tuple(f.name for f in fields(BaselineFit) if f.name not in {*_TEXTS, *_NUMBERS, "task_ids"})


def cache_key(parts: dict[str, object]) -> str:
    """sha256 of `parts` (plain JSON values), hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def cache_path(folder: Path, key: str) -> Path:
    """Where the fit of `key` lies in `folder`."""
    return folder / f"baseline-{key[:32]}.h5"


def store_fit(folder: Path, key: str, fit: BaselineFit) -> None:
    """Write `fit` to the cache, whole or not at all.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    arrays = {name: np.ascontiguousarray(getattr(fit, name)) for name in _ARRAYS}
    attributes = _attributes(fit)
    with replacing(cache_path(folder, key)) as temporary, new_hdf5(temporary) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
        for name, value in attributes.items():
            file.attrs[name] = value
        file["task_ids"] = np.array([task.encode() for task in fit.task_ids])
        file.attrs["format"] = FORMAT
        file.attrs["key"] = key
        file.attrs["digest"] = _digest(arrays, attributes, fit.task_ids)


def load_fit(folder: Path, key: str) -> BaselineFit | None:
    """The cached fit of `key`; None where there is none, or (with a logged warning) where it is damaged."""
    path = cache_path(folder, key)
    if not path.exists():
        return None
    try:
        return _read(path, key)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        logger.warning("cached baseline %s is damaged (%s); fitting it again", path, reason)
        return None


def _read(path: Path, key: str) -> BaselineFit:
    with h5py.File(path, "r") as file:
        if file.attrs["format"] != FORMAT or file.attrs["key"] != key:
            raise ValueError("it is no baseline fit of these settings")
        arrays = {name: file[name][()] for name in _ARRAYS}
        task_ids = tuple(task.decode() for task in file["task_ids"][()])
        texts = {name: str(file.attrs[name]) for name in _TEXTS}
        context_bp, seconds = int(file.attrs["context_bp"]), float(file.attrs["seconds"])
        digest = file.attrs["digest"]
    if digest != _digest(arrays, texts | {"context_bp": context_bp, "seconds": seconds}, task_ids):
        raise ValueError("its contents do not match their digest")
    return BaselineFit(
        dataset_checksum=texts["dataset_checksum"],
        task_ids=task_ids,
        context_bp=context_bp,
        strands=Strands(texts["strands"]),
        choice=PenaltyChoice(texts["choice"]),
        seconds=seconds,
        **arrays,
    )


def _attributes(fit: BaselineFit) -> dict:
    return {name: str(getattr(fit, name)) for name in _TEXTS} | {
        name: getattr(fit, name) for name in _NUMBERS
    }


def _digest(arrays: dict[str, np.ndarray], attributes: dict, task_ids: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape};".encode())
        digest.update(arrays[name].tobytes())
    digest.update(json.dumps([sorted(attributes.items()), task_ids]).encode())
    return digest.hexdigest()
