"""All tasks at once against scikit-learn one by one, on problems that are easy, degenerate and separable."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from genome_lm.baseline import design, logistic, products
from genome_lm.baseline.logistic import LogisticFit, fit_logistic
from genome_lm.errors import UserError

N_ROWS, N_FEATURES = 400, 12


def standardised(features: np.ndarray) -> np.ndarray:
    deviation = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def objective(x: np.ndarray, y: np.ndarray, c: float, weights: np.ndarray, intercept: float) -> float:
    margin = (2.0 * y - 1) * (x @ weights + intercept)
    return c * np.logaddexp(0, -margin).sum() + 0.5 * weights @ weights


def gradient(x: np.ndarray, y: np.ndarray, c: float, weights: np.ndarray, intercept: float) -> np.ndarray:
    residual = c * (1 / (1 + np.exp(-(x @ weights + intercept))) - y)
    return np.append(x.T @ residual + weights, residual.sum())


def scikit_learn_objective(x: np.ndarray, y: np.ndarray, c: float) -> float:
    oracle = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(x, y)
    return objective(x, y, c, oracle.coef_[0], oracle.intercept_[0])


def problem(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Raw features and labels [400, 5], the last task with 4 positives only."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N_ROWS, N_FEATURES)) * rng.uniform(0.1, 30, N_FEATURES) + rng.normal(size=N_FEATURES)
    if kind == "correlated":
        x += 20 * rng.normal(size=(N_ROWS, 1))
    if kind == "duplicate":
        x = np.column_stack([x, x[:, :3], x[:, 0] + x[:, 1], np.full(N_ROWS, 7.0)])
    weights = rng.normal(size=(x.shape[1], 5)) * np.array([0.1, 0.5, 1.0, 0.3, 0.3])
    scores = standardised(x) @ weights + np.array([0, -1, 1, -3, -3]) + rng.logistic(size=(N_ROWS, 5))
    y = (scores > 0).astype(np.uint8)
    rare = np.zeros(N_ROWS, dtype=np.uint8)
    rare[np.argsort(scores[:, 4])[-4:]] = 1
    y[:, 4] = rare
    return x, y


def check_against_scikit_learn(x: np.ndarray, y: np.ndarray, c: np.ndarray, fit: LogisticFit) -> None:
    z = standardised(x)
    for task in range(y.shape[1]):
        own = objective(z, y[:, task], c[task], fit.coefficients[:, task], fit.intercepts[task])
        assert own == pytest.approx(fit.objective[task], rel=1e-5)
        assert own == pytest.approx(scikit_learn_objective(z, y[:, task], c[task]), rel=1e-4)


@pytest.mark.parametrize("kind", ["plain", "correlated", "duplicate"])
@pytest.mark.parametrize("c", [1e-4, 1e-2, 1.0, 100.0])
def test_objective_is_that_of_scikit_learn(kind: str, c: float) -> None:
    x, y = problem(kind)
    fit = fit_logistic(x, y, c)
    assert fit.converged.all()
    check_against_scikit_learn(x, y, np.full(5, c), fit)


@pytest.mark.parametrize("kind", ["plain", "correlated", "duplicate"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nearly_unpenalised_objective_is_that_of_scikit_learn(kind: str, dtype: torch.dtype) -> None:
    x, y = problem(kind)
    y = y[:, :4]  # the last task is separable: see below
    fit = fit_logistic(x, y, 1e6, dtype=dtype)
    assert fit.converged.all()
    check_against_scikit_learn(x, y, np.full(4, 1e6), fit)


def test_each_task_may_have_its_own_penalty() -> None:
    x, y = problem("plain")
    c = np.array([1e-3, 0.1, 1e6, 1.0, 1e-5])
    check_against_scikit_learn(x, y, c, fit_logistic(x, y, c))


def test_tight_tolerance_reaches_scikit_learns_coefficients() -> None:
    x, y = problem("plain")
    fit = fit_logistic(x, y, 0.5, tolerance=1e-14, dtype=torch.float64)
    for task in range(5):
        oracle = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-10).fit(
            standardised(x), y[:, task]
        )
        np.testing.assert_allclose(fit.coefficients[:, task], oracle.coef_[0], atol=1e-5)
        np.testing.assert_allclose(fit.intercepts[task], oracle.intercept_[0], atol=1e-5)


def test_gradient_norm_is_that_of_the_standardised_features() -> None:
    x, y = problem("duplicate")
    fit = fit_logistic(x, y, 0.1, tolerance=1e-3, dtype=torch.float64)
    for task in range(5):
        expected = gradient(standardised(x), y[:, task], 0.1, fit.coefficients[:, task], fit.intercepts[task])
        assert fit.gradient_norm[task] == pytest.approx(np.linalg.norm(expected), rel=1e-6)
    assert (fit.relative_gradient_norm < 0.1).all()
    tighter = fit_logistic(x, y, 0.1, tolerance=1e-12, dtype=torch.float64)
    assert (tighter.gradient_norm < 1e-3 * fit.gradient_norm).all()


def test_duplicate_features_share_their_weight() -> None:
    x, y = problem("duplicate")
    fit = fit_logistic(x, y, 1.0, dtype=torch.float64)
    np.testing.assert_allclose(fit.coefficients[2], fit.coefficients[14], atol=1e-9)
    np.testing.assert_array_equal(fit.coefficients[-1], 0)  # the constant feature


def test_separable_tasks_end_at_scikit_learns_optimum_or_say_that_they_did_not() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 80))
    y = (rng.random((60, 6)) < 0.2).astype(np.uint8)
    fit = fit_logistic(x, y, 1e6)
    assert np.isfinite(fit.coefficients).all()
    assert (fit.iterations <= 200).all()
    z = standardised(x)
    for task in np.flatnonzero(fit.converged):
        assert fit.objective[task] <= scikit_learn_objective(z, y[:, task], 1e6) * (1 + 1e-4)
    few = fit_logistic(x, y, 1e6, max_iterations=3)
    assert (few.iterations == 3).all()
    assert not few.converged.any()
    assert (few.objective > fit.objective).all()


def test_tasks_of_one_class_get_a_finite_intercept_and_leave_the_others_alone() -> None:
    x, y = problem("plain")
    alone = fit_logistic(x, y, 0.1, dtype=torch.float64)
    mixed = np.column_stack([np.zeros(N_ROWS), y[:, :2], np.ones(N_ROWS), y[:, 2:]]).astype(np.uint8)
    fit = fit_logistic(x, mixed, 0.1, dtype=torch.float64)
    np.testing.assert_array_equal(fit.single_class, [1, 0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(fit.intercepts[[0, 3]], np.log(0.5 / (N_ROWS + 0.5)) * np.array([1, -1]))
    np.testing.assert_array_equal(fit.coefficients[:, [0, 3]], 0)
    assert not fit.converged[[0, 3]].any()
    np.testing.assert_allclose(fit.coefficients[:, [1, 2, 4, 5, 6]], alone.coefficients, atol=1e-6)


def test_all_tasks_of_one_class_and_features_without_variance() -> None:
    fit = fit_logistic(np.ones((50, 3)), np.zeros((50, 2), dtype=np.uint8), 1.0)
    assert fit.single_class.all()
    half = np.tile(np.array([[0], [1]], dtype=np.uint8), (25, 1))
    fit = fit_logistic(np.ones((50, 3)), half, 1.0)
    assert fit.intercepts[0] == pytest.approx(0, abs=1e-6)
    assert fit.converged.all()


def test_blocks_of_rows_and_tasks_do_not_change_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem("correlated")
    whole = fit_logistic(x, y, 1.0, tolerance=1e-13, dtype=torch.float64)
    monkeypatch.setattr(products, "ROWS_PER_BLOCK", 37)
    monkeypatch.setattr(design, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(logistic, "LOGIT_BYTES", 6 * N_ROWS * 8 * 2)
    blocked = fit_logistic(x, y, 1.0, tolerance=1e-13, dtype=torch.float64)
    np.testing.assert_allclose(blocked.coefficients, whole.coefficients, atol=1e-5)


def test_threads_change_neither_the_fit_nor_torchs_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem("plain")
    monkeypatch.setattr(products, "ROWS_PER_BLOCK", 50)
    before, fits = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            fits.append(fit_logistic(x, y, 1e-2))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(fits[0].coefficients, fits[1].coefficients)


def test_integer_counts_fit_as_floats_do() -> None:
    rng = np.random.default_rng(8)
    counts = rng.poisson(3.0, (N_ROWS, 20)).astype(np.int16)
    y = (rng.random((N_ROWS, 2)) < 0.3).astype(np.uint8)
    from_counts, from_floats = (fit_logistic(c, y, 1e-2) for c in (counts, counts.astype(np.float64)))
    np.testing.assert_allclose(from_counts.coefficients, from_floats.coefficients, atol=1e-6)


def test_unusable_input_is_refused() -> None:
    x, y = problem("plain")
    with pytest.raises(UserError, match="labels of shape"):
        fit_logistic(x, y[:-1], 1.0)
    with pytest.raises(UserError, match="labels other than 0 and 1"):
        fit_logistic(x, y + 1, 1.0)
    with pytest.raises(UserError, match=r"C = -1\.0"):
        fit_logistic(x, y, np.array([1, 1, -1, 1, 1.0]))
    with pytest.raises(UserError, match="C = nan"):
        fit_logistic(x, y, float("nan"))
    x[3, 4] = np.nan
    with pytest.raises(UserError, match="NaN or infinite"):
        fit_logistic(x, y, 1.0)
