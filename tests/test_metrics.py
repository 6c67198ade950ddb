"""Metrics against scikit-learn, hand calculation, and their invariances."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from genome_lm.metrics import (
    auroc,
    auroc_and_average_precision,
    average_precision,
    best_f1_thresholds,
    binary_cross_entropy_per_task,
    confusion_at,
    perplexity,
    prior_cross_entropy,
    prior_logits,
    ranking,
)

SHAPES = st.tuples(st.integers(0, 30), st.integers(1, 4))
# Few distinct values make ties and constant columns; the others are any float32.
SCORES = st.one_of(
    st.sampled_from([-2.0, -0.5, -0.0, 0.0, 1.0]), st.floats(-50, 50, width=32, allow_subnormal=False)
)


@st.composite
def pairs(draw: st.DrawFn, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    scores = draw(hnp.arrays(dtype, shape, elements=SCORES))
    labels = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    return scores, labels


def both_classes(column: np.ndarray) -> bool:
    return 0 < column.sum() < len(column)


def columns(scores: np.ndarray, labels: np.ndarray) -> zip:
    return zip(scores.T, labels.T, strict=True)


@settings(deadline=None)
@given(pairs())
def test_ranking_equals_sklearn(pair):
    expected_auroc = [roc_auc_score(y, x) if both_classes(y) else np.nan for x, y in columns(*pair)]
    expected_ap = [average_precision_score(y, x) if both_classes(y) else np.nan for x, y in columns(*pair)]
    np.testing.assert_allclose(auroc(*pair), expected_auroc, rtol=0, atol=1e-12)
    np.testing.assert_allclose(average_precision(*pair), expected_ap, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        auroc_and_average_precision(*pair), (auroc(*pair), average_precision(*pair))
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_not_rounded(dtype):
    close = np.array([[1.0], [np.nextafter(dtype(1), dtype(2))]], dtype=dtype)
    assert auroc(close, np.array([[0], [1]])) == 1
    assert auroc(close, np.array([[1], [0]])) == 0


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_undefined(label):
    scores = np.linspace(-1, 1, 7, dtype=np.float32)[:, None]
    labels = np.full((7, 1), label, dtype=np.uint8)
    for measure in (auroc, average_precision, best_f1_thresholds):
        assert np.isnan(measure(scores, labels)).all()
    assert np.isnan(confusion_at(scores, labels, np.zeros(1)).f1).all()


def test_no_windows_is_undefined():
    scores, labels = np.empty((0, 3), dtype=np.float32), np.empty((0, 3), dtype=np.uint8)
    for measure in (auroc, average_precision, best_f1_thresholds, binary_cross_entropy_per_task):
        np.testing.assert_array_equal(measure(scores, labels), np.full(3, np.nan))
    assert np.isnan(confusion_at(scores, labels, np.zeros(3)).f1).all()


def test_no_tasks_give_empty_arrays():
    scores, labels = np.empty((5, 0), dtype=np.float32), np.empty((5, 0), dtype=np.uint8)
    for measure in (auroc, average_precision, best_f1_thresholds, binary_cross_entropy_per_task):
        assert measure(scores, labels).shape == (0,)


def test_constant_scores():
    labels = np.array([[1], [0], [0], [1], [0]], dtype=np.uint8)
    constant = np.full((5, 1), -3.0, dtype=np.float32)
    assert auroc(constant, labels) == 0.5
    assert average_precision(constant, labels) == 0.4
    assert best_f1_thresholds(constant, labels) == -3.0  # to call all is best, at the lowest score itself


@settings(deadline=None)
@given(pairs(), st.randoms(use_true_random=False))
def test_order_of_windows_does_not_matter(pair, random):
    scores, labels = pair
    order = list(range(len(scores)))
    random.shuffle(order)
    for measure in (auroc, average_precision, best_f1_thresholds):
        np.testing.assert_allclose(
            measure(scores[order], labels[order]), measure(scores, labels), rtol=0, atol=1e-12
        )


@settings(deadline=None)
@given(pairs(dtype=np.float64))
def test_only_the_order_of_scores_matters(pair):
    scores, labels = pair
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in scores.T], axis=1)
    stretched = np.exp(ranks.reshape(scores.shape) / 10.0) - 7
    for measure in (auroc, average_precision):
        np.testing.assert_allclose(measure(stretched, labels), measure(scores, labels), rtol=0, atol=1e-12)
    before = confusion_at(scores, labels, best_f1_thresholds(scores, labels))
    after = confusion_at(stretched, labels, best_f1_thresholds(stretched, labels))
    np.testing.assert_array_equal(before.true_positives, after.true_positives)
    np.testing.assert_array_equal(before.false_positives, after.false_positives)


def test_blocks_do_not_change_the_result(monkeypatch):
    generator = np.random.default_rng(3)
    scores = generator.normal(size=(50, 11)).astype(np.float32).round(1)
    labels = (generator.random((50, 11)) < 0.3).astype(np.uint8)
    labels[:, 4] = 0
    measures = (auroc, average_precision, best_f1_thresholds)
    whole = [measure(scores, labels) for measure in measures]
    for elements in (1, 100, 170):
        monkeypatch.setattr(ranking, "BLOCK_ELEMENTS", elements)
        for measure, expected in zip(measures, whole, strict=True):
            np.testing.assert_array_equal(measure(scores, labels), expected)


def test_inputs_are_left_as_they_were():
    scores = np.array([[3.0, 1.0], [2.0, 5.0]], dtype=np.float32)
    labels = np.array([[1, 0], [0, 1]], dtype=np.uint8)
    copies = scores.copy(), labels.copy()
    for measure in (auroc, average_precision, best_f1_thresholds, binary_cross_entropy_per_task):
        measure(scores, labels)
    confusion_at(scores, labels, np.zeros(2))
    np.testing.assert_array_equal(scores, copies[0])
    np.testing.assert_array_equal(labels, copies[1])


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros((2, 3), np.float32), np.zeros((2, 2), np.uint8), "must both be"),
        (np.zeros(2, np.float32), np.zeros(2, np.uint8), "must both be"),
        (np.zeros((2, 1), np.int64), np.zeros((2, 1), np.uint8), "floating"),
        (np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float32), "integer"),
        (np.zeros((2, 1), np.float32), np.full((2, 1), 2, np.uint8), "0 or 1"),
        (np.array([[np.nan], [np.inf]], np.float32), np.zeros((2, 1), np.uint8), "NaN"),
    ],
)
def test_unfit_arrays_are_refused(scores, labels, message):
    for measure in (auroc, average_precision, best_f1_thresholds, binary_cross_entropy_per_task):
        with pytest.raises(ValueError, match=message):
            measure(scores, labels)


def test_infinite_scores_rank_like_others():
    scores = np.array([[-np.inf], [0], [np.inf], [np.inf]])
    labels = np.array([[0], [1], [0], [1]])
    assert auroc(scores, labels) == 0.625  # of four pairs two are won, one is drawn and one lost


# Thresholds and what comes of them


@pytest.mark.parametrize(
    ("scores", "labels", "threshold", "f1"),
    [
        # Calls at 4: 1/1 of 2; at 3: 1/2 of 2; at 2: 2/3 of 2, F1 0.8, the best; at 1: 2/4 of 2.
        ([1, 2, 3, 4], [0, 1, 0, 1], 1.5, 0.8),
        ([1, 2, 3, 4], [0, 0, 1, 1], 2.5, 1.0),
        # F1 is 2/3 at 4 and at 1: the higher threshold is taken.
        ([1, 2, 3, 4], [1, 0, 0, 1], 3.5, 2 / 3),
        # The best is to call all: the lowest score itself.
        ([1, 2, 3, 4], [1, 1, 0, 1], 1.0, 6 / 7),
        # Tied scores are called together.
        ([1, 5, 5, 5], [0, 1, 0, 1], 3.0, 0.8),
    ],
)
def test_thresholds_by_hand(scores, labels, threshold, f1):
    logits = np.array(scores, dtype=np.float32)[:, None]
    labels = np.array(labels, dtype=np.uint8)[:, None]
    chosen = best_f1_thresholds(logits, labels)
    assert chosen == [threshold]
    np.testing.assert_allclose(confusion_at(logits, labels, chosen).f1, f1)


@settings(deadline=None)
@given(pairs())
def test_no_threshold_has_a_higher_f1(pair):
    logits, labels = pair
    thresholds = best_f1_thresholds(logits, labels)
    best = confusion_at(logits, labels, thresholds).f1
    for task, (x, y) in enumerate(columns(logits, labels)):
        if not both_classes(y):
            assert np.isnan(thresholds[task])
            assert np.isnan(best[task])
            continue
        tried = {value: f1_score(y, x >= value) for value in np.unique(x)}
        assert math.isclose(best[task], max(tried.values()))
        highest = max(value for value, f1 in tried.items() if f1 == max(tried.values()))
        np.testing.assert_array_equal(x >= thresholds[task], x >= highest)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbouring_floats_stay_apart(dtype):
    low = dtype(1)
    high = np.nextafter(low, dtype(2))
    logits, labels = np.array([[low], [high]]), np.array([[0], [1]])
    assert confusion_at(logits, labels, best_f1_thresholds(logits, labels)).f1 == 1


def test_threshold_beside_infinite_logits():
    logits, labels = np.array([[-np.inf], [np.inf], [-np.inf]]), np.array([[0], [1], [0]])
    assert confusion_at(logits, labels, best_f1_thresholds(logits, labels)).f1 == 1


@settings(deadline=None)
@given(pairs(), st.floats(-3, 3))
def test_confusion_equals_sklearn(pair, threshold):
    logits, labels = pair
    confusion = confusion_at(logits, labels, np.full(logits.shape[1], threshold))
    for task, (x, y) in enumerate(columns(logits, labels)):
        called = x >= np.float64(threshold)  # a plain float would be rounded to float32 first
        total = sum(
            getattr(confusion, f"{kind}s")[task]
            for kind in ("true_positive", "false_positive", "true_negative", "false_negative")
        )
        assert total == len(y)
        assert confusion.true_positives[task] + confusion.false_positives[task] == called.sum()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            if both_classes(y):
                assert math.isclose(confusion.f1[task], f1_score(y, called))
            if y.any():
                assert math.isclose(confusion.recall[task], recall_score(y, called))
            else:
                assert np.isnan(confusion.recall[task])
            if called.any():
                assert math.isclose(confusion.precision[task], precision_score(y, called))
            else:
                assert np.isnan(confusion.precision[task])


def test_a_missing_threshold_leaves_no_score():
    logits, labels = np.array([[0.0], [1.0]]), np.array([[0], [1]])
    confusion = confusion_at(logits, labels, np.array([np.nan]))
    assert np.isnan([confusion.f1, confusion.precision, confusion.recall, confusion.true_negatives]).all()
    # Infinity is a threshold: nothing is called.
    assert confusion_at(logits, labels, np.array([np.inf])).f1 == 0


def test_thresholds_must_match_the_tasks():
    with pytest.raises(ValueError, match="thresholds"):
        confusion_at(np.zeros((2, 3)), np.zeros((2, 3), np.uint8), np.zeros(2))


# Cross-entropy, perplexity, prior


@settings(deadline=None)
@given(pairs())
def test_cross_entropy_equals_sklearn(pair):
    logits, labels = pair
    entropy = binary_cross_entropy_per_task(logits, labels)
    for task, (x, y) in enumerate(columns(logits.astype(np.float64), labels)):
        if len(y) and np.abs(x).max() < 10:
            expected = log_loss(y, 1 / (1 + np.exp(-x)), labels=[0, 1])
            assert math.isclose(entropy[task], expected, rel_tol=1e-9)


def test_cross_entropy_of_extreme_logits():
    logits = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]], dtype=np.float32)
    np.testing.assert_array_equal(binary_cross_entropy_per_task(logits, np.array([[1, 0], [0, 1]])), [0, 0])
    np.testing.assert_array_equal(
        binary_cross_entropy_per_task(logits, np.array([[0, 1], [1, 0]])), [1000, 1000]
    )
    # A nearly certain and right prediction still costs something, to full precision.
    sure = np.full((1, 1), 40.0, dtype=np.float32)
    np.testing.assert_allclose(
        binary_cross_entropy_per_task(sure, np.ones((1, 1), np.uint8)), math.exp(-40), rtol=1e-12
    )


def test_perplexity():
    assert perplexity(0) == 1
    assert math.isclose(perplexity(math.log(2)), 2)
    assert perplexity(1e6) == math.inf
    assert math.isnan(perplexity(math.nan))


@settings(deadline=None)
@given(hnp.arrays(np.float64, 4, elements=st.floats(0.001, 0.999)))
def test_prior_is_the_best_constant(rate):
    logits = prior_logits(rate)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), rate)
    at_best = prior_cross_entropy(rate, rate)
    np.testing.assert_allclose(at_best, -rate * np.log(rate) - (1 - rate) * np.log(1 - rate))
    for other in (rate * 0.9, rate * 0.9 + 0.1):
        assert (prior_cross_entropy(other, rate) > at_best).all()


def test_prior_from_rates_equals_prior_from_logits():
    labels = (np.random.default_rng(0).random((300, 5)) < 0.2).astype(np.uint8)
    train_rate = np.array([0.0, 0.1, 0.2, 0.5, 1.0])
    logits = np.tile(prior_logits(train_rate), (300, 1))
    np.testing.assert_allclose(
        prior_cross_entropy(train_rate, labels.mean(axis=0)), binary_cross_entropy_per_task(logits, labels)
    )


def test_prior_of_unseen_tasks_is_finite():
    assert np.isfinite(prior_logits(np.array([0.0, 1.0]))).all()
    for rate in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            prior_logits(np.array([rate]))
    with pytest.raises(ValueError, match="least_rate"):
        prior_logits(np.array([0.1]), least_rate=0)
