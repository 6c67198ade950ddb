"""The streaming scores against the exact ones: bounds, exact figures, merging, precision, and two ranks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from torchmetrics.functional.classification import multilabel_auroc
from two_ranks import figures, run_two_ranks

from genome_lm.metrics import (
    TaskHistograms,
    best_f1_thresholds,
    binary_cross_entropy_per_task,
    brier_score_per_task,
    confusion_at,
    expected_calibration_error,
)
from genome_lm.metrics.histogram_scores import bounded_auroc, bounded_average_precision

STATES = ("counts", "excess", "cross_entropy", "squared_error")
# Few distinct values make ties and constant columns; some lie on edges, some beyond the outermost bins.
SCORES = st.one_of(
    st.sampled_from([-20.0, -2.0, -1.9, -0.0, 0.0, 1e-9, 9.0]),
    st.floats(-30, 30, width=32, allow_subnormal=False),
)
N_BINS = st.sampled_from([4, 16, 512])
quick = settings(max_examples=40, deadline=None)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 4)))
    logits = draw(hnp.arrays(np.float32, shape, elements=SCORES))
    labels = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    return logits, labels


def histograms(logits: np.ndarray, labels: np.ndarray, n_bins: int = 512) -> TaskHistograms:
    metric = TaskHistograms(logits.shape[1], n_bins)
    metric.update(torch.from_numpy(logits), torch.from_numpy(labels))
    return metric


def weak_predictor(n_windows: int, n_tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """Rates of 0.5 to 20%; the last two tasks have one class only."""
    generator = np.random.default_rng(0)
    rate = np.geomspace(0.005, 0.2, n_tasks)
    labels = (generator.random((n_windows, n_tasks)) < rate).astype(np.uint8)
    labels[:, -2], labels[:, -1] = 0, 1
    logits = generator.normal(size=labels.shape) + 0.8 * labels + np.log(rate / (1 - rate))
    return logits.astype(np.float32), labels


def both_classes(column: np.ndarray) -> bool:
    return 0 < column.sum() < len(column)


@quick
@given(pairs(), N_BINS)
def test_the_exact_score_lies_within_the_bounds_whose_width_is_as_claimed(pair, n_bins):
    logits, labels = pair
    metric = histograms(logits, labels, n_bins)
    scores = metric.per_task()
    negatives, positives = metric.counts
    within = (negatives * positives).sum(1).double() / (negatives.sum(1) * positives.sum(1))
    for task, (x, y) in enumerate(zip(logits.T, labels.T, strict=True)):
        auroc, ap = (
            [float(bound[task]) for bound in (score.low, score.value, score.high)]
            for score in (scores.auroc, scores.average_precision)
        )
        if not both_classes(y):
            assert np.isnan([*auroc, *ap, scores.f1[task], scores.threshold[task]]).all()
            continue
        for (low, value, high), exact in ((auroc, roc_auc_score(y, x)), (ap, average_precision_score(y, x))):
            assert low - 1e-12 <= exact <= high + 1e-12
            assert low - 1e-12 <= value <= high + 1e-12
        assert math.isclose(auroc[2] - auroc[0], within[task], abs_tol=1e-12)
        assert abs(auroc[1] - roc_auc_score(y, x)) <= within[task] / 2 + 1e-12


@quick
@given(hnp.arrays(np.int64, (2, 3), elements=st.integers(0, 6)))
def test_each_bound_is_reached_by_some_order_within_the_bins(counts):
    """Worst: negatives first, all apart. Best: positives first, tied."""
    negatives, positives = (torch.from_numpy(row[None]) for row in counts)
    if not (counts.sum(1) > 0).all():
        return
    auroc, ap = bounded_auroc(negatives, positives), bounded_average_precision(negatives, positives)
    labels, worst, best = [], [], []
    for place, (n, p) in enumerate(counts.T):
        labels += [0] * n + [1] * p
        worst += [place + 0.9] * n + list(place + 0.5 - np.arange(p) / 100)
        best += [place + 0.1] * n + [place + 0.5] * p
    assert math.isclose(auroc.low.item(), roc_auc_score(labels, worst), abs_tol=1e-12)
    assert math.isclose(auroc.high.item(), roc_auc_score(labels, best), abs_tol=1e-12)
    assert math.isclose(ap.low.item(), average_precision_score(labels, worst), abs_tol=1e-12)
    assert math.isclose(ap.high.item(), average_precision_score(labels, best), abs_tol=1e-12)


def test_the_lowest_average_precision_of_large_counts():
    """The series of the harmonic numbers against plain sums, on both sides of the change from digamma."""
    for missed, hits in ((255, 3), (256, 3), (100_000, 7), (1_000_000, 1), (3, 100_000)):
        low = bounded_average_precision(torch.tensor([[missed]]), torch.tensor([[hits]])).low.item()
        term = np.arange(1, hits + 1) / (np.arange(1, hits + 1) + missed)
        assert math.isclose(low, term.mean(), rel_tol=1e-9)


@quick
@given(pairs(), N_BINS)
def test_sums_are_exact(pair, n_bins):
    logits, labels = pair
    scores = histograms(logits, labels, n_bins).per_task()
    np.testing.assert_array_equal(scores.positives, labels.sum(0))
    np.testing.assert_array_equal(scores.windows, len(labels))
    np.testing.assert_allclose(
        scores.cross_entropy, binary_cross_entropy_per_task(logits, labels), rtol=1e-13, atol=1e-300
    )
    np.testing.assert_allclose(scores.brier, brier_score_per_task(logits, labels), rtol=1e-12)
    np.testing.assert_allclose(
        scores.ece, expected_calibration_error(logits, labels), rtol=0, atol=2.0**-33 + 1e-14
    )
    for task, (x, y) in enumerate(zip(logits.T.astype(np.float64), labels.T, strict=True)):
        if np.abs(x).max() < 10:
            expected = log_loss(y, 1 / (1 + np.exp(-x)), labels=[0, 1])
            assert math.isclose(scores.cross_entropy[task], expected, rel_tol=1e-9)


@quick
@given(pairs(), st.sampled_from([4, 16, 64]))
def test_the_best_edge_and_its_f1_are_exact(pair, n_bins):
    logits, labels = pair
    metric = histograms(logits, labels, n_bins)
    scores = metric.per_task()
    at_best = confusion_at(logits, labels, scores.threshold.numpy())
    np.testing.assert_array_equal(scores.f1, at_best.f1)
    tried = [confusion_at(logits, labels, np.full(logits.shape[1], edge)).f1 for edge in metric.edges.numpy()]
    np.testing.assert_array_equal(scores.f1, np.max(tried, axis=0))
    free = confusion_at(logits, labels, best_f1_thresholds(logits, labels)).f1
    assert (np.isnan(free) | (scores.f1.numpy() <= free)).all()


@quick
@given(pairs(), N_BINS, st.one_of(st.floats(-40, 20), st.sampled_from([-math.inf, math.inf, -2.0, 0.0])))
def test_scores_at_a_threshold_are_bounded_and_exact_at_edges(pair, n_bins, threshold):
    logits, labels = pair
    metric = histograms(logits, labels, n_bins)
    thresholds = np.full(logits.shape[1], threshold)
    exact = confusion_at(logits, labels, thresholds)
    calls = metric.calls_at(torch.from_numpy(thresholds))
    at_edge = threshold in metric.edges.tolist()
    for (low, high), expected in (
        (calls.f1(), exact.f1),
        (calls.precision(), exact.precision),
        (calls.recall(), exact.recall),
    ):
        defined = ~np.isnan(expected)
        assert (low.numpy()[defined] <= expected[defined]).all()
        assert (expected[defined] <= high.numpy()[defined]).all()
        if at_edge:
            np.testing.assert_array_equal(low, expected)
            np.testing.assert_array_equal(high, expected)


def test_thresholds_that_are_missing_or_do_not_match():
    metric = histograms(*weak_predictor(50, 3))
    calls = metric.calls_at(torch.full((3,), torch.nan))
    for low, high in (calls.f1(), calls.precision(), calls.recall()):
        assert low.isnan().all()
        assert high.isnan().all()
    with pytest.raises(ValueError, match=r"thresholds \(2,\) must be \[n_tasks\]"):
        metric.calls_at(torch.zeros(2))


def test_close_to_the_exact_scores_at_the_usual_size():
    """The defaults on a weak predictor of rare labels: the AUROC to 3e-3, as torchmetrics has it."""
    logits, labels = weak_predictor(4_000, 12)
    scores = histograms(logits, labels).per_task()
    exact = multilabel_auroc(
        torch.from_numpy(logits[:, :10]), torch.from_numpy(labels[:, :10]).long(), 10, average="none"
    )
    torch.testing.assert_close(scores.auroc.value[:10].float(), exact, rtol=0, atol=3e-3)
    assert (scores.auroc.high - scores.auroc.low)[:-2].max() < 0.01
    ap = [average_precision_score(labels[:, task], logits[:, task]) for task in range(10)]
    np.testing.assert_allclose(scores.average_precision.value[:-2], ap, atol=5e-3)
    assert scores.n_undefined == 2


def test_what_is_logged_are_means_over_defined_tasks():
    metric = histograms(*weak_predictor(500, 12))
    scores, means = metric.per_task(), metric.compute()
    assert means["undefined"] == 2
    for name, values in (
        ("auroc", scores.auroc.value[:-2]),
        ("ap", scores.average_precision.value[:-2]),
        ("f1", scores.f1[:-2]),
        ("brier", scores.brier),
        ("ece", scores.ece),
        ("cross_entropy", scores.cross_entropy),
    ):
        assert not values.isnan().any()
        torch.testing.assert_close(means[name], values.mean())


def test_nothing_seen_is_undefined():
    scores = TaskHistograms(3).per_task()
    for values in (scores.auroc.value, scores.f1, scores.cross_entropy, scores.brier, scores.ece):
        assert values.isnan().all()
    assert scores.n_undefined == 3


def test_a_nan_spoils_its_task_alone():
    logits, labels = weak_predictor(50, 3)
    logits, labels = np.repeat(logits[:, :1], 2, axis=1), np.tile([[0], [1]], (25, 2)).astype(np.uint8)
    logits[7, 1] = np.nan
    scores = histograms(logits, labels).per_task()
    for values in (
        *(score for each in (scores.auroc, scores.average_precision) for score in (each.low, each.high)),
        scores.f1,
        scores.threshold,
        scores.cross_entropy,
        scores.brier,
        scores.ece,
    ):
        assert values.isnan().tolist() == [False, True]


# Batches, ranks and precision


def same(found: TaskHistograms, expected: TaskHistograms) -> None:
    for state in STATES[:2]:
        assert getattr(found, state).dtype == torch.int64
        assert torch.equal(getattr(found, state), getattr(expected, state))
    for state in STATES[2:]:
        assert getattr(found, state).dtype == torch.float64
        torch.testing.assert_close(getattr(found, state), getattr(expected, state), rtol=1e-13, atol=0)


@quick
@given(pairs(), st.integers(0, 30))
def test_states_of_shards_add_up_to_the_state_of_the_whole(pair, cut):
    logits, labels = pair
    parts = [histograms(logits[part], labels[part]) for part in (slice(cut), slice(cut, None))]
    merged = TaskHistograms(logits.shape[1])
    for state in STATES:
        setattr(merged, state, sum(getattr(part, state) for part in parts))
    same(merged, histograms(logits, labels))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_logits_of_any_precision_in_a_module_of_any_precision(dtype):
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).mul(3).to(dtype)
    labels = torch.arange(120).view(40, 3) % 2
    module = torch.nn.Module()
    module.metric = TaskHistograms(3)
    module.half().to(torch.bfloat16)
    for part in (slice(25), slice(25, None)):
        module.metric.update(logits[part], labels[part])
    expected = TaskHistograms(3)
    expected.update(logits.double(), labels.bool())
    same(module.metric, expected)
    # Just below an edge stays below it, whatever the type.
    below = torch.nextafter(torch.tensor([[-2.0]], dtype=dtype), torch.tensor(-3.0, dtype=dtype))
    metric = TaskHistograms(1)
    metric.update(below, torch.ones(1, 1))
    assert metric.calls_at(torch.tensor([-2.0])).hits.item() == 0


def test_the_value_of_a_batch_leaves_the_sums_whole():
    """`forward`, as `self.log` of a metric calls it: the batch's own figures, and the batch added."""
    (first, second), labels = torch.randn(2, 30, 2).sub(2), torch.arange(60).view(30, 2) % 3 == 0
    metric, whole, alone = (TaskHistograms(2) for _ in range(3))
    alone.update(second, labels)
    whole.update(first, labels)
    whole.update(second, labels)
    metric(first, labels)
    torch.testing.assert_close(metric(second, labels), alone.compute())
    same(metric, whole)


def test_reset_starts_anew_even_between_inference_mode_and_training():
    logits, labels = (torch.from_numpy(array) for array in weak_predictor(50, 4))
    metric, once = TaskHistograms(4), TaskHistograms(4)
    once.update(logits, labels)
    with torch.inference_mode():
        metric.update(logits, labels)
        metric.reset()
    metric.update(logits, labels)  # Lightning validates in inference mode and may reset there
    same(metric, once)
    metric.reset()
    same(metric, TaskHistograms(4))


def test_memory_is_as_stated():
    metric = TaskHistograms(7, n_bins=64)
    metric.update(torch.zeros(1000, 7), torch.zeros(1000, 7))
    assert sum(getattr(metric, state).nbytes for state in STATES) == 7 * (16 * 64 + 136)


@pytest.mark.parametrize(
    "bins", [(1, -12, 4), (500, -12, 4), (512, -11.99, 4), (2, -12, 4), (512, 4, 4), (512, -12, math.inf)]
)
def test_unfit_bins_are_refused(bins):
    with pytest.raises(ValueError, match=r"n_bins|power of two"):
        TaskHistograms(3, *bins)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 1)), ((2, 2), (2, 2)), ((3,), (3,))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match=r"differ in shape|must be"):
        TaskHistograms(3).update(*(torch.zeros(shape) for shape in shapes))


def test_two_ranks_see_the_whole(tmp_path):
    logits, labels = (torch.from_numpy(array) for array in weak_predictor(60, 4))
    whole = TaskHistograms(4)
    whole.update(logits, labels)
    run_two_ranks(tmp_path, logits, labels)
    own = 0
    for rank in range(2):
        found, counts = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(found, figures(whole), rtol=1e-13, atol=0, equal_nan=True)
        assert counts.sum() == 4 * (20, 40)[rank]  # each rank has its own part again
        own = own + counts
    assert torch.equal(own, whole.counts)
