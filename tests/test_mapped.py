"""Datasets that stay in their file: the same contents, no copies, and no other file's bytes."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_run import SLICE

from genome_lm.choices import Storage
from genome_lm.dataset import reading, writing
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.memory import available_bytes, memory_of
from genome_lm.dataset.prepare import prepare
from genome_lm.dataset.reading import open_dataset
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.errors import UserError

ARRAYS = ("sequence", "packed_labels", "offset", "chromosome", "start", "split")


def small_settings(storage: Storage) -> PrepareSettings:
    return PrepareSettings(
        "hg19", test=("chr20:0-500,000",), valid=("chr20:500,000-900,000",), storage=storage
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slice of `small`, stored to be mapped."""
    file = tmp_path_factory.mktemp("mapped") / "mapped.h5"
    prepare(SLICE / "chr20_47Mb_49Mb.fa.gz", SLICE / "tracks.tsv", file, small_settings(Storage.mapped))
    return file


@pytest.fixture
def mapped(path: Path) -> Dataset:
    return open_dataset(path)


@pytest.fixture
def copy(path: Path, tmp_path: Path) -> Path:
    """A copy of the file, to do harm to."""
    file = tmp_path / "copy.h5"
    file.write_bytes(path.read_bytes())
    return file


def test_storage_changes_no_contents(mapped, small):
    assert mapped.checksum == small.checksum
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(mapped, name), getattr(small, name))
        assert mapped.is_mapped(name)
        assert not small.is_mapped(name)
        with pytest.raises(ValueError, match="read-only"):
            getattr(mapped, name)[0] = 0
    windows = np.array([3, 700, 3])
    np.testing.assert_array_equal(mapped.bases(windows, 900, 50), small.bases(windows, 900, 50))
    np.testing.assert_array_equal(mapped.labels(windows), small.labels(windows))
    np.testing.assert_array_equal(mapped.positive_rate("valid"), small.positive_rate("valid"))


def test_numbers_lie_on_pages(mapped):
    for name in ARRAYS:
        array = getattr(mapped, name)
        assert array.flags.aligned
        assert array.nbytes < 4096 or mapped.mapped[name].place.offset % 4096 == 0


def test_the_size_decides_unless_the_user_does(tmp_path, monkeypatch, small):
    n_bytes = sum(getattr(small, name).nbytes for name in ARRAYS)
    for limit, expected in ((n_bytes, True), (n_bytes + 1, False)):
        monkeypatch.setattr(writing, "MAPPED_BYTES", limit)
        file = tmp_path / f"{limit}.h5"
        prepare(SLICE / "chr20_47Mb_49Mb.fa.gz", SLICE / "tracks.tsv", file, small_settings(Storage.auto))
        assert open_dataset(file).is_mapped("sequence") == expected


def test_a_pickle_holds_places_only(mapped):
    raw = pickle.dumps(mapped)
    assert len(raw) < 20_000 < mapped.sequence.nbytes
    again = pickle.loads(raw)
    assert again.checksum == mapped.checksum
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(mapped, name))
        assert again.is_mapped(name)


def test_arrays_put_in_by_hand_are_pickled_as_they_are(mapped):
    changed = replace(mapped, packed_labels=np.zeros_like(mapped.packed_labels))
    again = pickle.loads(pickle.dumps(changed))
    assert again.is_mapped("sequence")
    assert not again.is_mapped("packed_labels")
    assert not again.packed_labels.any()


def test_another_file_under_the_name_is_not_taken_for_it(copy, path):
    dataset = open_dataset(copy)
    raw, before = pickle.dumps(dataset), dataset.sequence.copy()
    other = copy.with_name("other.h5")
    other.write_bytes(path.read_bytes())
    os.replace(other, copy)
    with pytest.raises(UserError, match="was changed since it was opened"):
        pickle.loads(raw)
    np.testing.assert_array_equal(dataset.sequence, before)  # the old file lives as long as it is mapped
    copy.unlink()
    with pytest.raises(UserError, match="was it moved"):
        pickle.loads(raw)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_compressed_file(mapped, small, workers):
    def batches(dataset: Dataset):
        return GenomeDataModule(
            dataset,
            np.arange(21),
            context_bp=900,
            batch_size=300,
            eval_batch_size=300,
            max_shift_bp=50,
            reverse_complement=True,
            num_workers=workers,
        ).train_dataloader()

    for ours, theirs in zip(batches(mapped), batches(small), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["sequence", "labels", "windows/offset", "windows/split"])
def test_a_changed_number_is_noticed(copy, name):
    with h5py.File(copy) as file:
        at = file[name].id.get_offset() + 8
    raw = bytearray(copy.read_bytes())
    raw[at] ^= 1
    copy.write_bytes(raw)
    with pytest.raises(UserError, match=f"contents of {name} do not agree with their digest"):
        open_dataset(copy)


def test_a_file_cut_off_is_noticed(copy):
    os.truncate(copy, copy.stat().st_size - 5000)
    with pytest.raises(UserError, match=r"copy\.h5"):
        open_dataset(copy)


def test_memory(mapped, small):
    n_bytes = sum(getattr(small, name).nbytes for name in ARRAYS)
    ours, theirs = memory_of(mapped), memory_of(small)
    assert (ours.mapped, ours.held) == (n_bytes, 0)
    assert (theirs.mapped, theirs.held) == (0, n_bytes)
    assert ours.sampling == theirs.sampling > 8 * len(small.windows_of("train"))
    free = available_bytes()
    assert free is None or free > 1 << 20


def test_more_than_there_is_memory_for_is_refused_before_it_is_read(small_file, path, monkeypatch):
    monkeypatch.setattr(reading, "available_bytes", lambda: 1000)
    with pytest.raises(UserError, match=r"GB of memory .* storage=mapped"):
        open_dataset(small_file)
    assert open_dataset(path).n_windows  # what is mapped takes none


def test_positives_are_counted_without_unpacking(small):
    draw = np.random.default_rng(0)
    for n in (0, 1, 2, 50, 1373):
        windows = draw.integers(0, small.n_windows, n)
        np.testing.assert_array_equal(small.positives(windows), small.labels(windows).sum(axis=0))
