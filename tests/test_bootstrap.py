"""Resampled scores against scikit-learn and torchmetrics on windows physically repeated, and intervals."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)
from torchmetrics.functional.classification import binary_calibration_error

from genome_lm.evaluation import block_ranking, block_sums
from genome_lm.evaluation.blocks import Blocks
from genome_lm.evaluation.bootstrap import (
    MEASURES,
    draw_weights,
    normal_interval,
    percentile_interval,
    resample_scores,
)
from genome_lm.metrics import (
    auroc_and_average_precision,
    binary_cross_entropy_per_task,
    brier_score_per_task,
    confusion_at,
    expected_calibration_error,
)

# Few distinct values make ties and constant columns, and are thresholds too; the others are any float32.
FEW = [-2.0, -0.5, -0.0, 0.0, 1.0]
# Up to 10: beyond, scikit-learn's log_loss loses digits.
SCORES = st.one_of(st.sampled_from(FEW), st.floats(-10, 10, width=32, allow_subnormal=False))


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, Blocks]:
    """Logits, labels, thresholds and blocks in any order."""
    n_windows, n_tasks = draw(st.integers(1, 25)), draw(st.integers(1, 2))
    logits = draw(hnp.arrays(np.float32, (n_windows, n_tasks), elements=SCORES))
    labels = draw(hnp.arrays(np.uint8, (n_windows, n_tasks), elements=st.integers(0, 1)))
    thresholds = draw(hnp.arrays(np.float64, n_tasks, elements=st.sampled_from([*FEW, math.nan])))
    places = draw(hnp.arrays(np.int64, n_windows, elements=st.integers(0, 5)))
    block = np.unique(places, return_inverse=True)[1]
    return logits, labels, thresholds, Blocks(1, int(block.max()) + 1, block)


def weak_predictor(n_windows: int, n_tasks: int, seed: int, decimals: int = 1):
    """Tied logits, the first task's constant; labels at 5 to 60%; thresholds; blocks of ten windows."""
    generator = np.random.default_rng(seed)
    labels = (generator.random((n_windows, n_tasks)) < np.linspace(0.05, 0.6, n_tasks)).astype(np.uint8)
    logits = (generator.normal(size=labels.shape) + labels - 1).round(decimals).astype(np.float32)
    logits[:, 0] = -1.5
    return logits, labels, np.full(n_tasks, -0.25), Blocks(1, -(-n_windows // 10), np.arange(n_windows) // 10)


def by_the_book(logits: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, float]:
    """Each measure of one task by scikit-learn or torchmetrics, NaN where this package says undefined."""
    called, probability = logits >= threshold, 1 / (1 + np.exp(-logits.astype(np.float64)))
    both = 0 < labels.sum() < len(labels)
    there = not math.isnan(threshold)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, called, pos_label=1, average="binary", zero_division=0
    )
    ece = binary_calibration_error(torch.from_numpy(probability), torch.from_numpy(labels).long(), n_bins=15)
    return {
        "f1": f1 if both and there else np.nan,
        "precision": precision if called.any() and there else np.nan,
        "recall": recall if labels.any() and there else np.nan,
        "auroc": roc_auc_score(labels, logits) if both else np.nan,
        "ap": average_precision_score(labels, logits) if both else np.nan,
        "cross_entropy": log_loss(labels, probability, labels=[0, 1]),
        "brier": brier_score_loss(labels, probability, pos_label=1),
        "ece": float(ece),
    }


@settings(deadline=None, max_examples=25)
@given(cases(), st.integers(0, 1_000))
def test_equals_the_measure_on_windows_physically_repeated(case, seed):
    logits, labels, thresholds, blocks = case
    weights = draw_weights(blocks.n_blocks, 2, seed)
    resampled = resample_scores(logits, labels, thresholds, blocks, weights)
    assert tuple(resampled) == MEASURES
    for row, drawn in enumerate(weights):
        windows = np.repeat(np.arange(len(logits)), drawn[blocks.of_window].astype(int))
        for task in range(logits.shape[1]):
            expected = by_the_book(logits[windows, task], labels[windows, task], thresholds[task])
            for measure in MEASURES:
                # torchmetrics computes the calibration error in float32.
                tolerance = 1e-6 if measure == "ece" else 1e-11
                np.testing.assert_allclose(
                    resampled[measure][row, task], expected[measure], rtol=0, atol=tolerance, err_msg=measure
                )


@settings(deadline=None, max_examples=60)
@given(cases())
def test_every_block_once_gives_the_exact_measures(case):
    logits, labels, thresholds, blocks = case
    once = np.ones((1, blocks.n_blocks), dtype=np.float32)
    resampled = resample_scores(logits, labels, thresholds, blocks, once)
    confusion = confusion_at(logits, labels, thresholds)
    auroc, ap = auroc_and_average_precision(logits, labels)
    expected = {
        "f1": confusion.f1,
        "precision": confusion.precision,
        "recall": confusion.recall,
        "auroc": auroc,
        "ap": ap,
        "cross_entropy": binary_cross_entropy_per_task(logits, labels),
        "brier": brier_score_per_task(logits, labels),
        "ece": expected_calibration_error(logits, labels),
    }
    for measure in MEASURES:
        np.testing.assert_allclose(resampled[measure][0], expected[measure], rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=40)
@given(cases(), st.randoms(use_true_random=False))
def test_order_of_windows_does_not_matter(case, random):
    logits, labels, thresholds, blocks = case
    order = list(range(len(logits)))
    random.shuffle(order)
    weights = draw_weights(blocks.n_blocks, 4, 1)
    shuffled = Blocks(1, blocks.n_blocks, blocks.of_window[order])
    one = resample_scores(logits, labels, thresholds, blocks, weights)
    other = resample_scores(logits[order], labels[order], thresholds, shuffled, weights)
    for measure in MEASURES:
        np.testing.assert_allclose(one[measure], other[measure], rtol=1e-12, atol=1e-14)


def test_weights_are_those_of_sklearn():
    logits, labels, thresholds, blocks = weak_predictor(80, 4, seed=2)
    weights = np.random.default_rng(3).integers(0, 1_000, size=(5, blocks.n_blocks))
    resampled = resample_scores(logits, labels, thresholds, blocks, weights)
    for row, drawn in enumerate(weights):
        each = drawn[blocks.of_window]
        for task in range(4):
            y, z = labels[:, task], logits[:, task]
            expected = {
                "auroc": roc_auc_score(y, z, sample_weight=each),
                "ap": average_precision_score(y, z, sample_weight=each),
                "f1": f1_score(y, z >= thresholds[task], sample_weight=each),
            }
            for measure, value in expected.items():
                assert math.isclose(resampled[measure][row, task], value, abs_tol=1e-12)


def test_counts_beyond_float32_stay_exact():
    # 2^24 + 1 is no float32: rounded, the windows above the positive would lose the single one.
    logits = np.array([[3.0], [2.0], [1.0], [0.0]], dtype=np.float32)
    labels = np.array([[0], [0], [1], [0]], dtype=np.uint8)
    weights = np.array([[2**24, 1, 1, 1]], dtype=np.float32)
    scores = resample_scores(logits, labels, np.zeros(1), Blocks(1, 4, np.arange(4)), weights)
    assert scores["ap"] == 1 / (2**24 + 2)
    assert scores["auroc"] == 1 / (2**24 + 2)


def test_pieces_do_not_change_the_result(monkeypatch):
    case = weak_predictor(90, 7, seed=4)
    weights = draw_weights(case[3].n_blocks, 20, seed=0)
    whole = resample_scores(*case, weights)
    for elements in (1, 45, 200):
        monkeypatch.setattr(block_ranking, "BLOCK_ELEMENTS", elements)
        monkeypatch.setattr(block_sums, "BLOCK_ELEMENTS", elements)
        for measure, values in resample_scores(*case, weights).items():
            np.testing.assert_allclose(values, whole[measure], rtol=1e-13, err_msg=measure)


def test_a_constant_predictor():
    logits, labels, thresholds, blocks = weak_predictor(60, 3, seed=5)
    labels[:, 0] = np.arange(60) // 3 == 0  # all positives in the first block
    weights = draw_weights(blocks.n_blocks, 30, seed=0)
    scores = resample_scores(logits, labels, thresholds, blocks, weights)
    rate = weights @ blocks.sums(labels) / (weights @ blocks.windows)[:, None]
    defined = rate[:, 0] > 0
    assert 0 < defined.sum() < 30
    np.testing.assert_array_equal(scores["auroc"][defined, 0], 0.5)
    np.testing.assert_allclose(scores["ap"][defined, 0], rate[defined, 0], rtol=1e-12)
    for measure in ("auroc", "ap", "f1", "recall"):
        np.testing.assert_array_equal(np.isnan(scores[measure][:, 0]), ~defined)
    assert np.isnan(scores["precision"][:, 0]).all()  # nothing is called
    for measure in ("cross_entropy", "brier", "ece"):
        assert np.isfinite(scores[measure]).all()


def test_arguments_stay_as_they_are():
    case = weak_predictor(50, 3, seed=6)
    before = [array.copy() for array in case[:3]]
    weights = draw_weights(case[3].n_blocks, 5, seed=0)
    for array in (*case[:3], weights):
        array.setflags(write=False)
    resample_scores(*case, np.asfortranarray(weights))
    for array, copy in zip(case, before, strict=False):
        np.testing.assert_array_equal(array, copy)


def test_nothing_to_score():
    none = Blocks(1, 0, np.zeros(0, dtype=np.int64))
    empty = np.zeros((0, 2))
    scores = resample_scores(empty, empty.astype(np.uint8), np.zeros(2), none, draw_weights(0, 3, 0))
    for values in scores.values():
        np.testing.assert_array_equal(values, np.full((3, 2), np.nan))
    logits, labels, _, blocks = weak_predictor(20, 2, seed=7)
    scores = resample_scores(logits[:, :0], labels[:, :0], np.zeros(0), blocks, draw_weights(2, 3, 0))
    assert {values.shape for values in scores.values()} == {(3, 0)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds": np.zeros(3)}, r"thresholds \(3,\)"),
        ({"blocks": Blocks(1, 2, np.arange(2))}, r"blocks of 2 windows do not fit 20 windows"),
        ({"weights": np.ones((5, 3))}, r"weights \(5, 3\)"),
        ({"weights": -np.ones((5, 2))}, r"whole numbers from 0 on"),
        ({"weights": np.full((5, 2), np.nan)}, r"whole numbers"),
        ({"weights": np.full((5, 2), 0.5)}, r"whole numbers"),
        ({"labels": np.full((20, 2), 2)}, r"labels must be 0 or 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    names = ("logits", "labels", "thresholds", "blocks")
    case = (
        dict(zip(names, weak_predictor(20, 2, seed=8), strict=True)) | {"weights": np.ones((5, 2))} | change
    )
    with pytest.raises(ValueError, match=message):
        resample_scores(*(case | change).values())


def test_draws_are_those_of_blocks_with_replacement():
    weights = draw_weights(7, 4_000, seed=1)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights.sum(axis=1), 7)
    # Multinomial: mean 1, variance 1 - 1/7, covariance -1/7; five standard errors.
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=5 * math.sqrt(6 / 7 / 4_000))
    np.testing.assert_allclose(np.cov(weights.T), np.eye(7) - 1 / 7, atol=0.12)
    np.testing.assert_array_equal(draw_weights(7, 10, seed=1), weights[:10])
    assert (draw_weights(7, 10, seed=2) != weights[:10]).any()


def test_percentile_interval():
    values = np.random.default_rng(0).permutation(np.append(np.arange(101.0), [np.nan] * 9))
    np.testing.assert_allclose(percentile_interval(values, 0.9), (5, 95))
    np.testing.assert_allclose(percentile_interval(values), (2.5, 97.5))
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()


def test_normal_interval():
    values = np.array([1.0, 3.0, np.nan])  # standard deviation sqrt(2)
    z = NormalDist().inv_cdf(0.95)
    np.testing.assert_allclose(normal_interval(10, values, 0.9), (10 - z * 2**0.5, 10 + z * 2**0.5))
    assert normal_interval(10, values, 0.9, low=9, high=11) == (9, 11)
    np.testing.assert_allclose(
        normal_interval(10, values), (10 - 1.96 * 2**0.5, 10 + 1.96 * 2**0.5), rtol=1e-4
    )
    assert np.isnan(normal_interval(math.nan, values)).all()
    assert np.isnan(normal_interval(1, values[1:])).all()


@pytest.mark.parametrize("level", [0, 1, 95, math.nan])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        percentile_interval(np.ones(3), level)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        normal_interval(1, np.ones(3), level)
