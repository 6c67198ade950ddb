"""The baseline on a small made-up genome whose labels follow k-mers: choice of C, contexts, cache."""

import dataclasses
import logging
from pathlib import Path

import h5py
import numpy as np
import pytest

from genome_lm.baseline import fit as fit_module
from genome_lm.baseline import logistic
from genome_lm.baseline.design import linear_scores, make_design, measure_scaling
from genome_lm.baseline.fit import FitSettings, compare_contexts, count_windows, fit_baseline
from genome_lm.baseline.kmers import Strands, count_kmers, feature_names
from genome_lm.baseline.logistic import fit_logistic
from genome_lm.baseline.penalty import DEFAULT_GRID, FEW_POSITIVES, follow_path
from genome_lm.baseline.result import BaselineFit
from genome_lm.choices import PenaltyChoice
from genome_lm.dataset.format import Dataset, TaskTable
from genome_lm.errors import UserError
from genome_lm.metrics.cross_entropy import binary_cross_entropy_per_task

N_TRAIN, N_VALID, N_TEST = 1200, 300, 200
WINDOW_BP = 60
TASKS = ("strong", "weak", "noise", "rare", "never")
GRID = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
ALL = np.arange(len(TASKS))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Windows end to end; only the middle 40 bp matter: counts of GC and TATA there drive two tasks."""
    rng = np.random.default_rng(11)
    n_windows = N_TRAIN + N_VALID + N_TEST
    sequence = rng.integers(0, 4, n_windows * WINDOW_BP, dtype=np.uint8)
    middle = sequence.reshape(n_windows, WINDOW_BP)[:, 10:50]
    counts = count_kmers(middle).astype(np.float64)
    names = feature_names()
    strong = counts[:, names.index("CG")] - 3 + 2 * counts[:, names.index("TATA")]
    weak = 0.3 * (counts[:, names.index("G")] - 10)
    labels = np.zeros((n_windows, len(TASKS)), dtype=np.uint8)
    for task, score in enumerate([strong, weak, np.zeros(n_windows) - 1]):
        labels[:, task] = score + rng.logistic(size=n_windows) > 0
    labels[:, 3] = rng.random(n_windows) < 0.01
    column = tuple("" for _ in TASKS)
    return Dataset(
        path=Path("made-up.h5"),
        genome_build="made-up",
        checksum="sha256:made-up",
        window_bp=WINDOW_BP,
        bin_bp=20,
        recipe={},
        sequence=sequence,
        offset=np.arange(n_windows) * WINDOW_BP,
        chromosome=np.zeros(n_windows, dtype=np.uint16),
        chromosomes=("chr1",),
        start=np.arange(n_windows) * WINDOW_BP,
        split=np.repeat(np.array([0, 1, 2], dtype=np.uint8), [N_TRAIN, N_VALID, N_TEST]),
        packed_labels=np.packbits(labels, axis=1, bitorder="little"),
        tasks=TaskTable(
            id=TASKS,
            cell=column,
            target=column,
            treatment=column,
            group=column,
            source_file=column,
            accession=column,
            selects_bins=np.ones(len(TASKS), dtype=bool),
            n_peaks=np.zeros(len(TASKS), dtype=np.int64),
        ),
    )


@pytest.fixture(scope="module")
def per_task(dataset: Dataset) -> BaselineFit:
    return fit_baseline(dataset, ALL, 40, FitSettings(penalties=GRID))


def same(one: BaselineFit, other: BaselineFit) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name), equal_nan=True)
        if isinstance(getattr(one, field.name), np.ndarray)
        else getattr(one, field.name) == getattr(other, field.name)
        for field in dataclasses.fields(BaselineFit)
    )


def test_validation_and_test_windows_are_predicted_in_order(dataset: Dataset, per_task: BaselineFit) -> None:
    np.testing.assert_array_equal(per_task.window, np.arange(N_TRAIN, dataset.n_windows))
    np.testing.assert_array_equal(per_task.split, dataset.split[N_TRAIN:])
    assert per_task.logits.shape == (N_VALID + N_TEST, len(TASKS))
    assert per_task.logits.dtype == np.float32
    assert np.isfinite(per_task.logits).all()
    assert per_task.task_ids == TASKS


def test_each_task_takes_the_grid_point_of_lowest_validation_cross_entropy(per_task: BaselineFit) -> None:
    np.testing.assert_array_equal(per_task.path_penalties, GRID)
    for task in range(3):
        best = int(np.nanargmin(per_task.path_cross_entropy[:, task]))
        assert per_task.penalty[task] == GRID[best]
        # The final fit goes on from the path's to a tighter tolerance.
        assert per_task.valid_cross_entropy[task] == pytest.approx(
            per_task.path_cross_entropy[best, task], abs=1e-4
        )
    assert per_task.penalty[0] > per_task.penalty[2]  # signal asks for less penalty than noise
    assert per_task.penalty[2] == GRID[0]


def test_a_task_stops_two_steps_after_its_best(per_task: BaselineFit) -> None:
    visited = np.isfinite(per_task.path_cross_entropy).sum(axis=0)
    best = np.array([np.nanargmin(per_task.path_cross_entropy[:, task]) for task in range(4)])
    np.testing.assert_array_equal(visited[:4], np.minimum(best + 3, len(GRID)))
    assert visited[4] == 0


def test_tasks_with_few_positives_take_the_median_penalty(dataset: Dataset, per_task: BaselineFit) -> None:
    assert dataset.labels(dataset.windows_of("valid"))[:, 3:].sum(axis=0).max() < FEW_POSITIVES
    places = sorted(GRID.index(penalty) for penalty in per_task.penalty[:3])
    np.testing.assert_array_equal(per_task.penalty[3:], GRID[places[1]])


def test_a_task_without_positives_is_constant_and_said_so(dataset: Dataset, per_task: BaselineFit) -> None:
    np.testing.assert_array_equal(per_task.single_class, [False, False, False, False, True])
    np.testing.assert_allclose(per_task.logits[:, 4], np.log(0.5 / (N_TRAIN + 0.5)), rtol=1e-6)
    assert per_task.n_unconverged == 0
    assert np.isfinite(per_task.valid_perplexity)


def test_the_signal_beats_the_prior(dataset: Dataset, per_task: BaselineFit) -> None:
    test = per_task.split == 2
    labels = dataset.labels(per_task.window[test])
    rates = dataset.positive_rate()[:3]
    prior = np.broadcast_to(np.log(rates / (1 - rates)), (N_TEST, 3))
    own = binary_cross_entropy_per_task(per_task.logits[test], labels)[:3]
    assert (own[:2] < 0.95 * binary_cross_entropy_per_task(prior, labels[:, :3])[:2]).all()
    assert own[2] < binary_cross_entropy_per_task(prior, labels[:, :3])[2] + 0.01


def test_coefficients_give_the_logits(dataset: Dataset, per_task: BaselineFit) -> None:
    counts = count_windows(dataset, per_task.window, 40, Strands.FORWARD)
    z = (counts - per_task.feature_mean) / per_task.feature_scale
    np.testing.assert_allclose(
        z @ per_task.coefficients + per_task.intercepts, per_task.logits, rtol=1e-4, atol=1e-4
    )


def test_one_penalty_for_all_is_that_of_the_lowest_mean(dataset: Dataset) -> None:
    fit = fit_baseline(dataset, ALL, 40, FitSettings(PenaltyChoice.overall, Strands.SUMMED, GRID))
    mean = fit.path_cross_entropy[:, :4].mean(axis=1)
    np.testing.assert_array_equal(fit.penalty, GRID[int(np.nanargmin(mean))])
    per_row = np.isfinite(fit.path_cross_entropy[:, :4])
    assert (per_row.all(axis=1) | ~per_row.any(axis=1)).all()


def test_poster_protocol_is_a_plain_fit_at_a_million(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    settings = FitSettings(PenaltyChoice.poster, Strands.SUMMED, max_iterations=20)
    with caplog.at_level(logging.WARNING, logger="genome_lm.baseline"):
        fit = fit_baseline(dataset, ALL, 40, settings)
    np.testing.assert_array_equal(fit.penalty, 1e6)
    assert fit.path_cross_entropy.shape == (0, len(TASKS))
    train = dataset.windows_of("train")
    plain = fit_logistic(
        count_windows(dataset, train, 40, Strands.SUMMED), dataset.labels(train), 1e6, max_iterations=20
    )
    np.testing.assert_allclose(fit.objective, plain.objective, rtol=1e-6)
    assert fit.n_unconverged == np.count_nonzero(~plain.converged[:4])
    assert (f"{fit.n_unconverged} of 5 tasks stopped short" in caplog.text) == (fit.n_unconverged > 0)


def test_strand_summed_fit_scores_both_strands_alike(dataset: Dataset) -> None:
    fit = fit_baseline(dataset, ALL[:2], 40, FitSettings(strands=Strands.SUMMED, penalties=GRID[:3]))
    assert fit.coefficients.shape == (692, 2)
    assert fit.description == "1- to 5-mer logistic regression, 40 bp, both strands, C per task"
    flipped = 3 - dataset.sequence[::-1]
    reverse = dataclasses.replace(
        dataset,
        sequence=flipped,
        split=dataset.split[::-1],
        packed_labels=dataset.packed_labels[::-1],
    )
    other = fit_baseline(reverse, ALL[:2], 40, FitSettings(strands=Strands.SUMMED, penalties=GRID[:3]))
    np.testing.assert_array_equal(other.penalty, fit.penalty)
    np.testing.assert_allclose(other.logits[::-1], fit.logits, atol=0.02)


def test_the_best_context_is_chosen_on_validation(dataset: Dataset) -> None:
    comparison = compare_contexts(
        dataset, ALL[:2], [20, 40, 60], FitSettings(strands=Strands.SUMMED, penalties=GRID)
    )
    assert [fit.context_bp for fit in comparison.fits] == [20, 40, 60]
    perplexities = {fit.context_bp: fit.valid_perplexity for fit in comparison.fits}
    assert comparison.best.context_bp == 40 == min(perplexities, key=perplexities.__getitem__)
    assert comparison.at(20).context_bp == 20


def test_blocks_of_tasks_follow_the_same_path(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for choice in (PenaltyChoice.per_task, PenaltyChoice.overall):
        settings = FitSettings(choice, Strands.SUMMED, GRID[:4])
        whole = fit_baseline(dataset, ALL, 40, settings)
        with monkeypatch.context() as patch:
            patch.setattr(logistic, "LOGIT_BYTES", 2 * 6 * 4 * N_TRAIN)
            parts = fit_baseline(dataset, ALL, 40, settings)
        np.testing.assert_array_equal(parts.penalty, whole.penalty)
        np.testing.assert_allclose(parts.logits, whole.logits, atol=0.02)


def test_path_fits_are_those_of_cold_starts(dataset: Dataset) -> None:
    train, valid = dataset.windows_of("train"), dataset.windows_of("valid")
    counts, valid_counts = (count_windows(dataset, w, 40, Strands.SUMMED) for w in (train, valid))
    scaling = measure_scaling(counts)
    device = fit_module.torch.device("cpu")
    design = make_design(counts, scaling, device)
    labels, valid_labels = dataset.labels(train), dataset.labels(valid)
    path = follow_path(
        design,
        scaling,
        labels,
        valid_counts,
        valid_labels,
        GRID[:3],
        PenaltyChoice.overall,
        tolerance=1e-7,
        max_iterations=100,
    )
    for place, c in enumerate(GRID[:3]):
        cold = fit_logistic(counts, labels, c, tolerance=1e-7)
        scores = linear_scores(valid_counts, scaling, cold.coefficients, cold.intercepts, device)
        expected = binary_cross_entropy_per_task(scores, valid_labels)
        np.testing.assert_allclose(path.cross_entropy[place, :4], expected[:4], atol=1e-4)


@pytest.fixture
def counted_fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one context for each fit that is really made."""
    made: list[int] = []
    real = fit_module._fit

    def counting(dataset, tasks, task_ids, context_bp, settings, device, threads):  # type: ignore[no-untyped-def]
        made.append(context_bp)
        return real(dataset, tasks, task_ids, context_bp, settings, device, threads)

    monkeypatch.setattr(fit_module, "_fit", counting)
    return made


SMALL = FitSettings(strands=Strands.SUMMED, penalties=GRID[:2])


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_a_fit_comes_back_from_the_cache_unchanged(
    dataset: Dataset, tmp_path: Path, counted_fits: list[int]
) -> None:
    cache = tmp_path / "not" / "there"
    first = fit_baseline(dataset, ALL, 40, SMALL, cache=cache)
    again = fit_baseline(dataset, ALL, 40, SMALL, cache=cache)
    assert counted_fits == [40]
    assert same(first, again)


def test_other_content_is_another_fit(dataset: Dataset, tmp_path: Path, counted_fits: list[int]) -> None:
    fit_baseline(dataset, ALL[:2], 40, SMALL, cache=tmp_path)
    others = [
        (dataclasses.replace(dataset, checksum="sha256:other"), ALL[:2], 40, SMALL),
        (dataset, ALL[1:3], 40, SMALL),
        (dataset, ALL[:2], 20, SMALL),
        (dataset, ALL[:2], 40, dataclasses.replace(SMALL, strands=Strands.FORWARD)),
        (dataset, ALL[:2], 40, dataclasses.replace(SMALL, choice=PenaltyChoice.overall)),
        (dataset, ALL[:2], 40, dataclasses.replace(SMALL, penalties=GRID[:1])),
        (dataset, ALL[:2], 40, dataclasses.replace(SMALL, tolerance=1e-4)),
    ]
    for arguments in others:
        fit_baseline(*arguments, cache=tmp_path)
    assert len(counted_fits) == len(others) + 1 == len(list(tmp_path.iterdir()))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def overwrite(path: Path) -> None:
    path.write_bytes(b"not HDF5 at all")


def change_a_logit(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["logits"][0, 0] += 1


def drop_an_array(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["penalty"]


def change_the_context(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["context_bp"] = 41


@pytest.mark.parametrize("damage", [truncate, overwrite, change_a_logit, drop_an_array, change_the_context])
def test_a_damaged_cache_is_fitted_again_with_a_warning(
    damage, dataset: Dataset, tmp_path: Path, counted_fits: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    first = fit_baseline(dataset, ALL[:2], 40, SMALL, cache=tmp_path)
    damage(only_file(tmp_path))
    with caplog.at_level(logging.WARNING, logger="genome_lm.baseline"):
        again = fit_baseline(dataset, ALL[:2], 40, SMALL, cache=tmp_path)
    assert counted_fits == [40, 40]
    assert "is damaged" in caplog.text
    np.testing.assert_array_equal(first.logits, again.logits)
    assert same(again, fit_baseline(dataset, ALL[:2], 40, SMALL, cache=tmp_path))
    assert counted_fits == [40, 40]


def test_a_fit_under_another_name_is_not_taken(
    dataset: Dataset, tmp_path: Path, counted_fits: list[int]
) -> None:
    fit_baseline(dataset, ALL[:2], 40, SMALL, cache=tmp_path)
    one = only_file(tmp_path)
    fit_baseline(dataset, ALL[:2], 20, SMALL, cache=tmp_path)
    (other,) = set(tmp_path.iterdir()) - {one}
    other.write_bytes(one.read_bytes())
    assert fit_baseline(dataset, ALL[:2], 20, SMALL, cache=tmp_path).context_bp == 20
    assert counted_fits == [40, 20, 20]


def test_unusable_input_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not fit"):
        fit_baseline(dataset, ALL, WINDOW_BP + 2, SMALL)
    no_valid = dataclasses.replace(dataset, split=np.where(dataset.split == 1, 2, dataset.split))
    with pytest.raises(UserError, match="no validation windows"):
        fit_baseline(no_valid, ALL, 40, SMALL)
    with pytest.raises(UserError, match="0 tasks"):
        fit_baseline(dataset, ALL[:0], 40, SMALL)
    with pytest.raises(UserError, match="no contexts"):
        compare_contexts(dataset, ALL, [])
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match="cannot write"):
        fit_baseline(dataset, ALL[:1], 40, SMALL, cache=blocked / "cache")
    for penalties in [(), (1.0, 0.1), (0.0, 1.0), (1.0, float("inf"))]:
        with pytest.raises(UserError, match="ascending"):
            FitSettings(penalties=penalties)
    with pytest.raises(UserError, match="tolerance 0"):
        FitSettings(tolerance=0)
    with pytest.raises(UserError, match="max_iterations 0"):
        FitSettings(max_iterations=0)


def test_default_grid_spans_five_decades() -> None:
    np.testing.assert_allclose(DEFAULT_GRID, 10 ** np.linspace(-6, -1, 11), rtol=0.002)
