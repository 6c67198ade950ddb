"""What may be compared: predictions of one dataset, the same tasks and windows; all else is refused."""

from dataclasses import replace

import numpy as np
import pytest
from small_comparison import N_TASKS, small_dataset, small_predictions, small_rivals

from genome_lm.dataset.contents import Dataset
from genome_lm.errors import UserError
from genome_lm.evaluation.aligned import align
from genome_lm.evaluation.predictions import Predictions

TASKS = np.arange(N_TASKS)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset()


@pytest.fixture(scope="module")
def rivals(dataset: Dataset) -> dict[str, Predictions]:
    return small_rivals(dataset)


def test_rows_labels_and_logits_belong_together(dataset, rivals):
    aligned = align(dataset, rivals, np.array([3, 1]))
    for split, code in (("valid", 1), ("test", 2)):
        np.testing.assert_array_equal(aligned.windows(split), np.flatnonzero(dataset.split == code))
        np.testing.assert_array_equal(
            aligned.labels(split), dataset.labels(aligned.windows(split))[:, [3, 1]]
        )
        rows = np.isin(rivals["model"].window, aligned.windows(split))
        np.testing.assert_array_equal(aligned.logits(split, "model"), rivals["model"].logits[rows][:, [3, 1]])


def test_other_datasets_are_refused(dataset, rivals):
    elsewhere = small_predictions(small_dataset("sha256:2"), "baseline", 1.0, 2)
    with pytest.raises(UserError, match=r"model.*baseline.*sha256:1.*sha256:2"):
        align(dataset, rivals | {"baseline": elsewhere}, TASKS)
    with pytest.raises(UserError, match=r"sha256:1.*small.h5.*sha256:3"):
        align(replace(dataset, checksum="sha256:3"), rivals, TASKS)


def drop_window(predictions: Predictions) -> Predictions:
    return replace(
        predictions,
        logits=predictions.logits[1:],
        window=predictions.window[1:],
        split=predictions.split[1:],
    )


def drop_task(predictions: Predictions) -> Predictions:
    return replace(predictions, logits=predictions.logits[:, :4].copy(), task_ids=predictions.task_ids[:4])


def swap_tasks(predictions: Predictions) -> Predictions:
    return replace(predictions, task_ids=predictions.task_ids[::-1])


def move_window(predictions: Predictions) -> Predictions:
    return replace(predictions, split=3 - predictions.split)


def shift_windows(predictions: Predictions) -> Predictions:
    return replace(predictions, window=predictions.window + 1000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_window, "differ in windows or splits, 60 and 59"),
        (drop_task, "differ in tasks, 5 and 4, 1 not shared, such as 'task4'"),
        (swap_tasks, "another order"),
        (move_window, "differ in windows or splits"),
    ],
)
def test_unlike_predictions_are_refused(dataset, rivals, change, message):
    for name in ("baseline", "prior"):
        with pytest.raises(UserError, match=rf"model predictions.*{name} predictions.*{message}") as caught:
            align(dataset, rivals | {name: change(rivals[name])}, TASKS)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (move_window, "split of a window"),
        (shift_windows, "name window 10"),
        (drop_task, "lack 1 of the 5 tasks to score, such as 'task4'"),
    ],
)
def test_predictions_that_do_not_fit_the_dataset_are_refused(dataset, rivals, change, message):
    changed = {name: change(predictions) for name, predictions in rivals.items()}
    with pytest.raises(UserError, match=message):
        align(dataset, changed, TASKS)


def test_what_is_missing_is_named(dataset, rivals):
    with pytest.raises(UserError, match="no predictions of prior"):
        align(dataset, {name: rivals[name] for name in ("model", "baseline")}, TASKS)
    with pytest.raises(UserError, match="no task to score"):
        align(dataset, rivals, np.array([], dtype=np.int64))
    for split, code in (("valid", 2), ("test", 1)):
        rest = {
            name: replace(
                predictions,
                logits=predictions.logits[predictions.split == code],
                window=predictions.window[predictions.split == code],
                split=predictions.split[predictions.split == code],
            )
            for name, predictions in rivals.items()
        }
        with pytest.raises(UserError, match=f"no {split} windows"):
            align(dataset, rest, TASKS)
