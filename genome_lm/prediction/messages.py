"""What `predict` tells of its thresholds, windows and output."""

import logging
from pathlib import Path

import numpy as np

from genome_lm.prediction.batches import Tally
from genome_lm.prediction.output import Content

logger = logging.getLogger(__name__)


def announce(content: Content) -> None:
    """Before predicting: thresholds and windows."""
    thresholds, windows, intervals = content.thresholds, content.windows, content.intervals
    without = np.count_nonzero(np.isnan(thresholds.logit))
    logger.info(
        "thresholds  %s%s",
        thresholds.source,
        f"; {without} of {len(content.tasks)} tasks have none"
        if without and thresholds.source != "none"
        else "",
    )
    logger.info(
        "windows     %s of %d bp from %s intervals (sequences: %s), %s each",
        f"{len(windows):,}",
        windows.context_bp,
        f"{len(intervals):,}",
        f"{len(set(intervals.records)):,}",
        "1 task" if len(content.tasks) == 1 else f"{len(content.tasks):,} tasks",
    )
    if content.bin_bp is not None and len(windows) > len(intervals) and windows.stride_bp > content.bin_bp:
        logger.info(
            "            a probability refers to the middle %d bp of its window: stride_bp=%d leaves no gaps",
            content.bin_bp,
            content.bin_bp,
        )


def report(output: Path, content: Content, tally: Tally, rows: int, seconds: float) -> None:
    """After predicting: windows filled up with N, and what was written in how many seconds."""
    if tally.padded:
        logger.info(
            "            %s beyond an end of %s sequence, filled up with N",
            "1 window reaches" if tally.padded == 1 else f"{tally.padded:,} windows reach",
            "its" if tally.padded == 1 else "their",
        )
    if tally.mostly_n:
        logger.info(
            "            %s more than half N (%s nothing but N): such probabilities say little",
            "1 window is" if tally.mostly_n == 1 else f"{tally.mostly_n:,} windows are",
            f"{tally.only_n:,}",
        )
    logger.info(
        "wrote       %s: %s rows, %.1f MB; %.1f s, %s windows/s",
        output,
        f"{rows:,}",
        output.stat().st_size / 1e6,
        seconds,
        f"{len(content.windows) / seconds:,.0f}",
    )
