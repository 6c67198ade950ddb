"""AUROC and average precision of many resamples at once, exact, ties included."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from genome_lm.evaluation.blocks import Blocks

BLOCK_ELEMENTS = 2**16
"""Entries of the arrays [scores of positives, resamples] made at once: they stay in the cache."""

_EXACT_IN_FLOAT32 = 2**24


def repeated_ranking(
    logits: np.ndarray, labels: np.ndarray, blocks: Blocks, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision, float64 [n_resamples, n_tasks] each.

    Arguments as those of `genome_lm.evaluation.bootstrap.resample_scores`, already checked; labels and logits
    may be any pair that `genome_lm.metrics.ranking` takes.

    Both scores need, at each distinct score of a positive, how many windows and how many positives lie at or
    above it. Windows are sorted once; the numbers of all resamples are sums of rows of the weights along that
    order: N R additions a task for N windows and R resamples, however many blocks there are. Counts are whole
    numbers, so the sums are exact in float32 below 2^24; where they could reach more, they are float64.
    """
    n_resamples, n_tasks = len(weights), logits.shape[1]
    windows = weights.astype(np.float64) @ blocks.windows
    dtype = np.float32 if windows.max(initial=0) < _EXACT_IN_FLOAT32 else np.float64
    of_block = torch.from_numpy(np.array(weights.T, dtype=dtype, order="C"))
    block = blocks.of_window.astype(np.int64, copy=False)
    auroc = np.full((n_resamples, n_tasks), np.nan)
    ap = np.full((n_resamples, n_tasks), np.nan)
    for task in range(n_tasks):
        positive = labels[:, task].astype(bool)
        if positive.any():
            score = np.ascontiguousarray(logits[:, task])
            auroc[:, task], ap[:, task] = _one_task(score, positive, block, of_block, windows)
    return auroc, ap


def _one_task(
    score: np.ndarray, positive: np.ndarray, block: np.ndarray, of_block: Tensor, windows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both scores of one task, float64 [n_resamples] each.

    Args:
        score: [n_windows].
        positive: bool [n_windows], at least one.
        block: int64 [n_windows].
        of_block: weights, [n_blocks, n_resamples].
        windows: float64 [n_resamples], windows in each resample.
    """
    beaten_by = np.zeros(len(windows))  # pairs of a positive and a window above it, twice, ties once
    precision_sum = np.zeros(len(windows))
    positives = np.zeros(len(windows))
    for called, gained, tied in _counts(score, positive, block, of_block):
        hits = gained.copy()
        hits[0] += positives.astype(hits.dtype)
        _accumulate(hits)
        positives = hits[-1].astype(np.float64)
        beyond = np.multiply(called, 2, dtype=np.float64)
        beyond -= gained
        if tied is not None:
            beyond -= tied
        beaten_by += np.einsum("kr,kr->r", gained, beyond)
        np.maximum(called, 1, out=called)  # where nothing is called, nothing is gained
        precision = np.divide(hits, called, out=beyond, dtype=np.float64)
        precision_sum += np.einsum("kr,kr->r", gained, precision)
    negatives = windows - positives
    with np.errstate(invalid="ignore", divide="ignore"):
        ap = precision_sum / positives
        auroc = (2 * positives * windows - beaten_by - positives**2) / (2 * positives * negatives)
    defined = (positives > 0) & (negatives > 0)
    return np.where(defined, auroc, np.nan), np.where(defined, ap, np.nan)


def _counts(
    score: np.ndarray, positive: np.ndarray, block: np.ndarray, of_block: Tensor
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Weighted numbers of windows at each distinct score of a positive, from the highest score down.

    Arguments as those of `_one_task`. Yields for some scores at a time, [n_scores, n_resamples] each: windows
    at or above the score, positives at the score, and negatives at the score (None if there are none).
    """
    levels = np.unique(score[positive])
    reached = np.searchsorted(levels, score, side="right")  # levels at or below each window's score
    tied = (reached > 0) & ~positive
    tied[tied] = levels[reached[tied] - 1] == score[tied]
    row = len(levels) - reached  # the first row, from the top, that counts the window; n_levels: none does
    order = np.argsort(row, kind="stable")
    row, block, positive, tied = row[order], block[order], positive[order], tied[order]
    step = max(1, BLOCK_ELEMENTS // of_block.shape[1])
    above: np.ndarray | float = 0.0
    for start in range(0, len(levels), step):
        rows = np.arange(start, min(start + step, len(levels)))
        some = slice(*np.searchsorted(row, (rows[0], rows[-1] + 1)))
        some_row, some_block, some_positive, some_tied = row[some], block[some], positive[some], tied[some]
        called = _row_sums(rows, some_row, some_block, of_block)
        called[0] += above
        _accumulate(called)
        above = called[-1].copy()
        gained = _row_sums(rows, some_row[some_positive], some_block[some_positive], of_block)
        yield (
            called,
            gained,
            _row_sums(rows, some_row[some_tied], some_block[some_tied], of_block)
            if some_tied.any()
            else None,
        )


def _row_sums(rows: np.ndarray, row: np.ndarray, block: np.ndarray, of_block: Tensor) -> np.ndarray:
    """Sums of the weights of the windows of each of `rows`, [n_rows, n_resamples]; `row` ascends."""
    first = torch.from_numpy(np.searchsorted(row, rows))
    return embedding_bag(torch.from_numpy(block), of_block, first, mode="sum").numpy()


def _accumulate(rows: np.ndarray) -> None:
    """Cumulative sums down the rows, in place: row by row is several times faster than `numpy.cumsum`."""
    for above, row in pairwise(rows):
        row += above
