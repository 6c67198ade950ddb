"""Dataset and prediction files made to do harm: a clear error or a right answer, and nothing else."""

import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_comparison import small_dataset, small_predictions
from test_format import HEADER, SOURCES, pieces, task_table

from genome_lm.choices import Storage
from genome_lm.dataset.checking import check_bytes, check_here
from genome_lm.dataset.reading import open_dataset
from genome_lm.dataset.writing import write_dataset
from genome_lm.errors import UserError
from genome_lm.evaluation import prediction_file
from genome_lm.evaluation.predictions import read_predictions, write_predictions
from genome_lm.isolation.client import Limits, check_in_child

HUGE = 10**12
MADE, LABELS = pieces(11)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[Storage, bytes]:
    """The contents of a small dataset file in either storage."""
    found = {}
    for storage in (Storage.compressed, Storage.mapped):
        path = tmp_path_factory.mktemp("whole") / "toy.h5"
        write_dataset(path, HEADER, task_table(11), MADE, SOURCES, storage=storage)
        found[storage] = path.read_bytes()
    return found


@pytest.fixture
def path(tmp_path, whole) -> Path:
    (tmp_path / "toy.h5").write_bytes(whole[Storage.mapped])
    return tmp_path / "toy.h5"


def instead(name: str, **how) -> Callable[[h5py.File], None]:
    """Put another dataset in the place of `name`."""

    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **how)

    return change


def in_windows(**how) -> Callable[[h5py.File], None]:
    """Every column of windows claims 10^12 of them."""

    def change(file: h5py.File) -> None:
        for name in ("windows/offset", "windows/chromosome", "windows/start", "windows/split", "labels"):
            dtype, tail = file[name].dtype, file[name].shape[1:]
            chunks = {"chunks": (1 << 16, *tail)} if how.get("chunks") else {}
            del file[name]
            file.create_dataset(name, shape=(HUGE, *tail), dtype=dtype, **{**how, **chunks})

    return change


def virtual(file: h5py.File) -> None:
    del file["sequence"]
    layout = h5py.VirtualLayout(shape=(46,), dtype="u1")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape=(46,))
    file.create_virtual_dataset("sequence", layout)


def external(file: h5py.File) -> None:
    del file["sequence"]
    file.create_dataset("sequence", shape=(46,), dtype="u1", external=[("/etc/passwd", 0, 46)])


def soft_link(file: h5py.File) -> None:
    file.move("labels", "other")
    file["labels"] = h5py.SoftLink("/other")


def external_link(file: h5py.File) -> None:
    del file["tasks"]
    file["tasks"] = h5py.ExternalLink("other.h5", "/tasks")


def cyclic(file: h5py.File) -> None:
    del file["windows"]
    file["windows"] = file["/"]


def many_members(file: h5py.File) -> None:
    for number in range(3000):
        file["tasks/reference"].create_group(f"{number}")


def deep(file: h5py.File) -> None:
    del file["tasks/reference"]
    file.create_group("tasks/reference" + "/a" * 2000)


def attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(name, value)


TEXT = h5py.string_dtype()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_windows(), "windows/offset claims .* and stores 0"),
        (in_windows(chunks=True), "claims .* and stores 0"),
        (in_windows(chunks=True, compression="gzip"), "claims .* and stores 0"),
        (instead("sequence", shape=(HUGE,), dtype="u1", chunks=(HUGE // 300,)), "blocks of more than"),
        (instead("sequence", data=np.zeros(46, "u1"), chunks=(46,), compression="lzf"), "does not use"),
        (instead("sequence", data=np.zeros(46, "u1"), chunks=(46,), scaleoffset=2), "does not use"),
        (external, "sequence is stored in a way"),
        (virtual, "sequence is stored in a way"),
        (soft_link, "labels is missing"),
        (external_link, "is missing"),
        (cyclic, "windows/offset is missing"),
        (many_members, "tasks/reference has 3,00. members"),
        (deep, "tasks/reference/a is missing"),
        (instead("tasks/id", data=["x" * 9] * 11, dtype=TEXT), "tasks/id has type text of variable length"),
        (instead("tasks/id", data=np.full(11, b"x" * 70_000)), "expected text of fixed length"),
        (instead("tasks/n_peaks", shape=(11,), dtype=h5py.ref_dtype), "tasks/n_peaks has type"),
        (instead("tasks/n_peaks", shape=(11,), dtype="i8,i8"), "tasks/n_peaks has type TypeCompoundID"),
        (instead("windows/split", data=np.zeros(12, bool)), "windows/split has type TypeEnumID"),
        (instead("tasks/n_peaks", data=np.zeros(11, ">i8")), "tasks/n_peaks has type >i8"),
        (instead("sequence", data=np.uint8(3)), "sequence has 0 dimensions"),
        (instead("sequence", data=h5py.Empty("u1")), "sequence has no dimensions"),
        (attribute("recipe", ["{}"] * 999), "attribute recipe of / is missing or no text"),
        (attribute("recipe", "[" * 3_000_000), "attribute recipe of / is no text of at most 1,048,576"),
        (attribute("genome_build", b"\xff"), "cannot be read"),
        (attribute("window_bp", np.arange(5)), "attribute window_bp of / is missing or no whole number"),
        (attribute("window_bp", 10.0), "attribute window_bp of / is missing or no whole number"),
        (attribute("bin_bp", np.uint64(2**64 - 1)), "bins of 18446744073709551615 bp"),
    ],
)
def test_bombs_and_detours_are_refused(path, change, message):
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(UserError, match=message) as caught:
        open_dataset(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    with pytest.raises(UserError, match=message):
        check_here(path)


def test_a_chunk_that_unpacks_to_far_more_than_it_should(path):
    """zlib is not told how large a chunk is: 300 MB of zeros come in 300 kB."""
    with h5py.File(path, "r+") as file:
        instead("sequence", shape=(46,), dtype="u1", chunks=(46,), compression="gzip")(file)
        file["sequence"].id.write_direct_chunk((0,), zlib.compress(bytes(300 << 20), 1))
        file["sequence"].attrs["sha256"] = "0" * 64
    with pytest.raises(UserError, match=r"toy\.h5"):
        check_in_child(check_here, path, Limits(cpu_seconds=20, seconds=200, memory=128 << 20))


def test_small_columns_are_small(path):
    with h5py.File(path, "r+") as file:
        many = np.zeros(1 << 24, "i8")
        instead("sources/bytes", data=many, chunks=(1 << 20,), compression="gzip", compression_opts=9)(file)
    with pytest.raises(UserError, match=r"sources/bytes claims 134,217,728 bytes; expected at most"):
        open_dataset(path)


def mutate(draw: st.DataObject, raw: bytes) -> bytes:
    """A few bytes changed, and at times the rest cut off."""
    changed = bytearray(raw)
    for _ in range(draw.draw(st.integers(1, 4))):
        changed[draw.draw(st.integers(0, len(raw) - 1))] = draw.draw(st.integers(0, 255))
    return bytes(changed[: draw.draw(st.one_of(st.none(), st.integers(1, len(raw))))])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), storage=st.sampled_from([Storage.mapped, Storage.compressed]))
def test_a_changed_dataset_is_refused_or_says_the_same(whole, data, storage):
    raw = mutate(data, whole[storage])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "toy.h5"
        path.write_bytes(raw)
        try:
            dataset = open_dataset(path)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017 - refusal is one of two right outcomes
            return
        np.testing.assert_array_equal(dataset.labels(np.arange(12)), LABELS)
        np.testing.assert_array_equal(dataset.sequence, np.concatenate([each.sequence for each in MADE]))
        assert dataset.tasks.id == task_table(11).id
        check_bytes(raw)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_changed_predictions_are_refused_or_say_the_same(written, data):
    original, raw = written
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        path.write_bytes(mutate(data, raw))
        try:
            predictions = read_predictions(path)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017 - refusal is one of two right outcomes
            return
        np.testing.assert_array_equal(predictions.logits, original.logits)
        np.testing.assert_array_equal(predictions.window, original.window)
        prediction_file.check_here(path)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Predictions, and the file that holds them."""
    predictions = small_predictions(small_dataset(), "model", 1.0, 0)
    path = tmp_path_factory.mktemp("written") / "model.h5"
    write_predictions(path, predictions)
    return predictions, path.read_bytes()


def test_windows_out_of_order_across_a_block(tmp_path, monkeypatch):
    """The order is looked at in blocks of windows, and between them, too."""
    from genome_lm.dataset import checking

    swapped = MADE[0].start.copy()
    swapped[[2, 3]] = swapped[[3, 2]]
    write_dataset(tmp_path / "toy.h5", HEADER, task_table(11), [replace(MADE[0], start=swapped), MADE[1]])
    for block in (1, 2, 3, 100):
        monkeypatch.setattr(checking, "_WINDOWS", block)
        with pytest.raises(UserError, match="not in genome order"):
            check_here(tmp_path / "toy.h5")
