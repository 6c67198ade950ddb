"""Prediction files: what is written is read, and nothing else is."""

import hashlib
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_comparison import small_dataset, small_predictions

from genome_lm.errors import UserError
from genome_lm.evaluation.prediction_file import FORMAT_VERSION
from genome_lm.evaluation.predictions import (
    Predictions,
    prior_predictions,
    read_predictions,
    write_predictions,
)
from genome_lm.metrics import binary_cross_entropy_per_task, perplexity, prior_cross_entropy


@pytest.fixture
def predictions() -> Predictions:
    return small_predictions(small_dataset(), "model", 1.0, 0)


@pytest.fixture
def written(tmp_path: Path, predictions: Predictions) -> Path:
    path = tmp_path / "predictions" / "model.h5"
    write_predictions(path, predictions)
    return path


def assert_same(first: Predictions, second: Predictions) -> None:
    for column in fields(Predictions):
        one, other = getattr(first, column.name), getattr(second, column.name)
        np.testing.assert_array_equal(one, other, err_msg=column.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype


def test_round_trip(predictions, written):
    assert_same(read_predictions(written), predictions)
    assert [path.name for path in written.parent.iterdir()] == ["model.h5"]


@given(
    logits=hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 20), st.integers(0, 5)),
        elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
    ),
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
)
def test_any_round_trip(tmp_path_factory, logits, text):
    predictions = Predictions(
        name="model",
        description=text,
        logits=logits,
        window=np.arange(len(logits)) * 3,
        split=np.full(len(logits), 2, dtype=np.uint8),
        task_ids=tuple(f"{text}{column}" for column in range(logits.shape[1])),
        dataset_checksum="sha256:1",
    )
    path = tmp_path_factory.mktemp("any") / "any.h5"
    write_predictions(path, predictions)
    assert_same(read_predictions(path), predictions)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_undefined_logit_is_named(predictions, written, value):
    predictions.logits[7, 3] = value
    expected = f"window {predictions.window[7]} and task 'task3' is {value}"
    with pytest.raises(UserError, match=expected):
        replace(predictions)
    with h5py.File(written, "r+") as file:
        file["logits"][7, 3] = value
        digest = hashlib.sha256(file["logits"][...].data).hexdigest()
        file["logits"].attrs["sha256"] = digest
    with pytest.raises(UserError, match=f"{written}.*{expected}"):
        read_predictions(written)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": np.zeros((60, 4), np.float32)}, "logits is float32"),
        ({"logits": np.zeros((60, 5))}, "logits is float64"),
        ({"split": np.zeros(59, np.uint8)}, "split is uint8"),
        ({"split": np.full(60, 3, np.uint8)}, "split code 3 is unknown"),
        ({"window": np.arange(60)[::-1].copy()}, "ascending"),
        ({"window": np.arange(60) - 1}, "ascending"),
        ({"window": np.zeros(60, np.int64)}, "ascending"),
        ({"task_ids": ("a", "b", "c", "b", "d")}, "'b' stands twice"),
    ],
)
def test_unfit_predictions_are_refused(predictions, change, message):
    with pytest.raises(UserError, match=message) as caught:
        replace(predictions, **change)
    assert "\n" not in str(caught.value)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("window\ttask\n")


def damage(path: Path) -> None:
    with h5py.File(path) as file:
        place = file["logits"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 40] ^= 1
    path.write_bytes(content)


def foreign(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["logits"] = np.zeros(3)


def newer(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = FORMAT_VERSION + 1


def without_windows(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["window"]


def hollow(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["logits"]
        file.create_dataset("logits", (10**9, 10**6), dtype=np.float32, chunks=(1000, 1000))


def packed(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["logits"]
        file.create_dataset("logits", data=np.zeros((1000, 1000), np.float32), compression="gzip")


def other_logits(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["logits"][3, 2] += 1


def group_for_array(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["split"]
        file.create_group("split")


def numbers_for_ids(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["task_ids"]
        file["task_ids"] = np.arange(5)


def without_name(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["name"]


def odd_version(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = "one"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (truncate, "cannot be read .* truncated"),
        (empty, "cannot be read"),
        (text, "cannot be read"),
        (damage, "cannot be read"),
        (foreign, "holds no genome_lm predictions"),
        (newer, "install a newer genome_lm"),
        (without_windows, "damaged: window is missing"),
        (hollow, "damaged: logits claims 4,000,000,000,000,000 bytes and stores 0"),
        (packed, "holds less than it claims"),
        (group_for_array, "damaged: split is missing"),
        (numbers_for_ids, "expected text of fixed length"),
        (without_name, "damaged: attribute name of / is missing"),
        (odd_version, "damaged: attribute format_version"),
        (other_logits, "damaged: the contents of logits do not agree with their digest"),
        (Path.unlink, "is no file"),
    ],
)
def test_unfit_files_are_refused(written, harm, message):
    harm(written)
    with pytest.raises(UserError, match=message) as caught:
        read_predictions(written)
    assert str(written) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", range(50, 4000, 450))
def test_every_truncation_is_noticed(written, cut):
    written.write_bytes(written.read_bytes()[:-cut])
    with pytest.raises(UserError):
        read_predictions(written)


def test_files_of_the_first_version_are_read(predictions, written):
    with h5py.File(written, "r+") as file:
        file.attrs["format_version"] = 1
        for column in file.values():
            del column.attrs["sha256"]
    assert_same(read_predictions(written), predictions)


def test_a_failed_write_leaves_the_old_file(monkeypatch, predictions, written):
    before = written.read_bytes()

    def fail(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(h5py.Group, "create_dataset", fail)
    with pytest.raises(OSError, match="disk full"):
        write_predictions(written, predictions)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["model.h5"]


def test_prior_is_the_training_rate():
    dataset = small_dataset()
    window, tasks = dataset.windows_of("test"), np.array([3, 0, 2])
    prior = prior_predictions(dataset, window, tasks)
    assert prior.task_ids == ("task3", "task0", "task2")
    rate = dataset.labels(dataset.windows_of("train"), tasks).mean(axis=0)
    np.testing.assert_allclose(1 / (1 + np.exp(-prior.logits[0])), rate, rtol=1e-6)
    entropy = binary_cross_entropy_per_task(prior.logits, dataset.labels(window, tasks))
    expected = prior_cross_entropy(rate, dataset.labels(window, tasks).mean(axis=0))
    np.testing.assert_allclose(perplexity(entropy.mean()), perplexity(expected.mean()), rtol=1e-6)


def test_prior_needs_training_windows():
    dataset = small_dataset()
    with pytest.raises(UserError, match="no training windows"):
        prior_predictions(replace(dataset, split=np.maximum(dataset.split, 1)), np.arange(3), np.arange(2))
