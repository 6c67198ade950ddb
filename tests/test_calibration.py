"""Brier score, reliability and calibration error against scikit-learn, torchmetrics and hand calculation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from genome_lm.metrics import (
    ECE_EDGES,
    PLOT_EDGES,
    brier_score_per_task,
    calibration,
    expected_calibration_error,
    reliability,
)

SCORES = st.one_of(
    st.sampled_from([-2.0, -0.5, -0.0, 0.0, 1.0]), st.floats(-30, 30, width=32, allow_subnormal=False)
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(0, 30), st.integers(1, 4)))
    logits = draw(hnp.arrays(np.float32, shape, elements=SCORES))
    labels = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    return logits, labels


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def columns(logits: np.ndarray, labels: np.ndarray) -> enumerate:
    return enumerate(zip(sigmoid(logits).T, labels.T, strict=True))


@settings(deadline=None)
@given(pairs())
def test_brier_score_equals_sklearn(pair):
    brier = brier_score_per_task(*pair)
    for task, (p, y) in columns(*pair):
        if len(y):
            assert math.isclose(brier[task], brier_score_loss(y, p, pos_label=1), abs_tol=1e-15)
        else:
            assert np.isnan(brier[task])


@settings(deadline=None)
@given(pairs())
def test_calibration_error_equals_torchmetrics(pair):
    error = expected_calibration_error(*pair)
    for task, (p, y) in columns(*pair):
        inside = np.abs(p[:, None] - ECE_EDGES[1:-1]).min(initial=1) > 1e-12
        if len(y) and inside:  # at an edge, the last digit of the probability decides
            expected = binary_calibration_error(torch.tensor(p), torch.tensor(y).long(), n_bins=15, norm="l1")
            assert math.isclose(error[task], expected, abs_tol=1e-14)
        assert np.isnan(error[task]) == (len(y) == 0)


@pytest.mark.parametrize("label", [0, 1])
def test_a_probability_at_an_edge_belongs_to_the_upper_bin_as_in_torchmetrics(label):
    logits = np.array([0.0, 0.0, -0.5, 0.5, 2.0], dtype=np.float32)[:, None]  # sigmoid(0) is 0.5 exactly
    labels = np.array([label, label, 1 - label, 0, 1], dtype=np.uint8)[:, None]
    found = reliability(logits, labels, np.array([0, 0.5, 1]))
    np.testing.assert_array_equal(found.windows, [[1, 4]])
    expected = binary_calibration_error(
        torch.sigmoid(torch.tensor(logits[:, 0]).double()), torch.tensor(labels[:, 0]).long(), n_bins=2
    )
    assert math.isclose(found.expected_calibration_error()[0], expected)


@settings(deadline=None)
@given(pairs())
def test_bins_hold_every_window_and_agree_with_sklearn(pair):
    logits, labels = pair
    found = reliability(logits, labels, PLOT_EDGES)
    n_bins = len(PLOT_EDGES) - 1
    for array in (found.windows, found.positives, found.predicted):
        assert array.shape == (logits.shape[1], n_bins)
    assert found.windows.dtype == found.positives.dtype == np.int64
    np.testing.assert_array_equal(found.windows.sum(1), len(logits))
    np.testing.assert_array_equal(found.positives.sum(1), labels.sum(0))
    np.testing.assert_allclose(found.predicted.sum(1), sigmoid(logits).sum(0), atol=1e-12)
    equal = reliability(logits, labels)
    for task, (p, y) in columns(logits, labels):
        if len(y) and np.abs(p[:, None] - ECE_EDGES[1:-1]).min() > 1e-12:
            observed, predicted = calibration_curve(y, p, n_bins=15)
            occupied = equal.windows[task] > 0
            np.testing.assert_allclose(
                (equal.positives[task] / equal.windows[task].clip(1))[occupied], observed
            )
            np.testing.assert_allclose(
                (equal.predicted[task] / equal.windows[task].clip(1))[occupied], predicted
            )


def test_calibration_error_by_hand():
    # Bins [0.2, 0.267) with two windows of 0.25, one of them positive, and [0.733, 0.8) with one of 0.75.
    logits = np.log([[1 / 3], [1 / 3], [3.0]])
    labels = np.array([[1], [0], [1]])
    expected = (abs(0.25 - 0.5) * 2 + abs(0.75 - 1) * 1) / 3
    assert math.isclose(expected_calibration_error(logits, labels)[0], expected)


def test_a_constant_at_the_rate_is_calibrated():
    labels = (np.random.default_rng(0).random((400, 3)) < 0.1).astype(np.uint8)
    rate = labels.mean(0)
    logits = np.tile(np.log(rate / (1 - rate)), (400, 1))
    np.testing.assert_allclose(expected_calibration_error(logits, labels), 0, atol=1e-15)
    np.testing.assert_allclose(brier_score_per_task(logits, labels), rate * (1 - rate))


def test_extreme_logits():
    logits = np.array([[np.inf, -np.inf, 1000.0, -1000.0]])
    right, wrong = np.array([[1, 0, 1, 0]]), np.array([[0, 1, 0, 1]])
    for measure in (brier_score_per_task, expected_calibration_error):
        np.testing.assert_array_equal(measure(logits, right), 0)
        np.testing.assert_array_equal(measure(logits, wrong), 1)
    # Probability 1 belongs to the last bin.
    np.testing.assert_array_equal(reliability(logits, right).windows[:, -1], [1, 0, 1, 0])


def test_half_precision_logits_are_not_rounded_further():
    logits = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float16)
    labels = np.random.default_rng(2).integers(0, 2, (50, 2))
    for measure in (brier_score_per_task, expected_calibration_error):
        np.testing.assert_array_equal(measure(logits, labels), measure(logits.astype(np.float64), labels))


def test_blocks_do_not_change_the_result_nor_the_input(monkeypatch):
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(57, 5)).astype(np.float64)
    labels = (generator.random((57, 5)) < 0.3).astype(np.uint8)
    copies = logits.copy(), labels.copy()
    brier, whole = brier_score_per_task(logits, labels), reliability(logits, labels)
    for elements in (1, 50, 100):
        monkeypatch.setattr(calibration, "BLOCK_ELEMENTS", elements)
        np.testing.assert_allclose(brier_score_per_task(logits, labels), brier, rtol=1e-14)
        parts = reliability(logits, labels)
        np.testing.assert_array_equal(parts.windows, whole.windows)
        np.testing.assert_array_equal(parts.positives, whole.positives)
        np.testing.assert_allclose(parts.predicted, whole.predicted, rtol=1e-14)
    np.testing.assert_array_equal(logits, copies[0])
    np.testing.assert_array_equal(labels, copies[1])


def test_no_tasks_give_empty_arrays():
    logits, labels = np.empty((5, 0), dtype=np.float32), np.empty((5, 0), dtype=np.uint8)
    assert brier_score_per_task(logits, labels).shape == (0,)
    assert expected_calibration_error(logits, labels).shape == (0,)


@pytest.mark.parametrize("edges", [[0, 0.5], [0.1, 1], [0, 0.5, 0.5, 1], [0, 0.6, 0.4, 1], [1], [[0, 1]]])
def test_unfit_edges_are_refused(edges):
    with pytest.raises(ValueError, match="ascend from 0 to 1"):
        reliability(np.zeros((2, 1)), np.zeros((2, 1), np.uint8), np.array(edges))


def test_unfit_arrays_are_refused():
    for measure in (brier_score_per_task, expected_calibration_error):
        with pytest.raises(ValueError, match="must both be"):
            measure(np.zeros((2, 3)), np.zeros((2, 2), np.uint8))
        with pytest.raises(ValueError, match="NaN"):
            measure(np.full((2, 1), np.nan), np.zeros((2, 1), np.uint8))
