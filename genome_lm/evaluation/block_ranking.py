"""AUROC and average precision of many resamples at once, exact, ties included."""

from collections.abc import Iterator

import numpy as np

from genome_lm.evaluation.blocks import Blocks

BLOCK_ELEMENTS = 2**18
"""Entries of the arrays [scores of positives, resamples or blocks] made at once: 2 MB each in float64."""

_EXACT_IN_FLOAT32 = 2**24


def repeated_ranking(
    logits: np.ndarray, labels: np.ndarray, blocks: Blocks, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision, float64 [n_resamples, n_tasks] each.

    Arguments as those of `genome_lm.evaluation.bootstrap.resample_scores`, already checked; labels and logits
    may be any pair that `genome_lm.metrics.ranking` takes.

    Both scores need, at each distinct score of a positive, the windows and the positives at or above it.
    Counted by block once, these numbers become those of all resamples by one product with the weights: for
    P positives, B blocks and R resamples 4 P B R operations a task, where sorting the repeated windows would
    cost their number times R. Counts stay integers below 2^24, so the products are exact in float32; where
    they could reach more, or weights are no integers, they are done in float64.
    """
    n_resamples, n_tasks = len(weights), logits.shape[1]
    windows = weights.astype(np.float64) @ blocks.windows
    exact = windows.max(initial=0) < _EXACT_IN_FLOAT32 and bool((weights == np.rint(weights)).all())
    columns = np.ascontiguousarray(weights.T, dtype=np.float32 if exact else np.float64)
    auroc = np.full((n_resamples, n_tasks), np.nan)
    ap = np.full((n_resamples, n_tasks), np.nan)
    for task in range(n_tasks):
        positive = labels[:, task].astype(bool)
        if positive.any():
            score = np.ascontiguousarray(logits[:, task])
            auroc[:, task], ap[:, task] = _one_task(score, positive, blocks, columns, windows)
    return auroc, ap


def _one_task(
    score: np.ndarray, positive: np.ndarray, blocks: Blocks, columns: np.ndarray, windows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both scores of one task, float64 [n_resamples] each; `columns` are weights [n_blocks, n_resamples]."""
    n_resamples = columns.shape[1]
    beaten_by = np.zeros(n_resamples)  # pairs (positive, window above it), twice, ties once
    precision_sum = np.zeros(n_resamples)
    positives = np.zeros(n_resamples)
    for calls, hits, tied in _counts(score, positive, blocks, max(columns.shape)):
        called = calls.astype(columns.dtype) @ columns
        hit = hits.astype(columns.dtype) @ columns
        gained = np.empty(hit.shape)  # positives at each score alone
        np.subtract(hit[1:], hit[:-1], out=gained[1:])
        np.subtract(hit[0], positives, out=gained[0])
        positives = hit[-1].astype(np.float64)
        beyond = np.multiply(called, 2, dtype=np.float64)
        beyond -= gained
        if tied is not None:
            beyond -= tied.astype(columns.dtype) @ columns
        beaten_by += np.einsum("kr,kr->r", gained, beyond)
        np.maximum(called, np.finfo(np.float32).tiny, out=called)  # nothing called means nothing gained
        precision = np.divide(hit, called, out=beyond, dtype=np.float64)
        precision_sum += np.einsum("kr,kr->r", gained, precision)
    negatives = windows - positives
    with np.errstate(invalid="ignore", divide="ignore"):
        ap = precision_sum / positives
        auroc = (2 * positives * windows - beaten_by - positives**2) / (2 * positives * negatives)
    defined = (positives > 0) & (negatives > 0)
    return np.where(defined, auroc, np.nan), np.where(defined, ap, np.nan)


def _counts(
    score: np.ndarray, positive: np.ndarray, blocks: Blocks, width: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Windows by block at or above each distinct score of a positive, from the highest score down.

    Yields, for some of the scores at a time, int64 [n_scores, n_blocks]: windows at or above, positives at or
    above, and negatives of just that score (None if there are none).
    """
    levels = np.unique(score[positive])
    reached = np.searchsorted(levels, score, side="right")  # levels at or below each window's score
    tied = (reached > 0) & ~positive
    tied[tied] = levels[reached[tied] - 1] == score[tied]
    row = len(levels) - reached  # the first row, from the top, that counts the window; n_levels: none
    order = np.argsort(row, kind="stable")
    row, block, positive, tied = row[order], blocks.of_window[order], positive[order], tied[order]
    step = max(1, BLOCK_ELEMENTS // width)
    carried = np.zeros((2, blocks.n_blocks), dtype=np.int64)
    for start in range(0, len(levels), step):
        stop = min(start + step, len(levels))
        first, last = np.searchsorted(row, (start, stop))
        shape = (stop - start, blocks.n_blocks)
        cell = (row[first:last] - start) * blocks.n_blocks + block[first:last]
        some_positive, some_tied = positive[first:last], tied[first:last]
        calls = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
        hits = np.bincount(cell[some_positive], minlength=calls.size).reshape(shape)
        alone = np.bincount(cell[some_tied], minlength=calls.size).reshape(shape) if some_tied.any() else None
        for counts, before in zip((calls, hits), carried, strict=True):
            counts[0] += before
            np.cumsum(counts, axis=0, out=counts)
            before[:] = counts[-1]
        yield calls, hits, alone
