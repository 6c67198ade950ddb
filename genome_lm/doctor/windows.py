"""Unknown bases in the windows that are read."""

import numpy as np

from genome_lm.dataset.contents import Dataset
from genome_lm.dna import N_CODE
from genome_lm.doctor.finding import Finding, advice, ok

MANY = 0.1
"""Share of Ns in a window that counts as much."""

_BLOCK_BASES = 1 << 24


def check_unknown_bases(dataset: Dataset, context_bp: int) -> Finding:
    """How many Ns there are in the middle `context_bp` of the windows."""
    block, total, full, many = max(1, _BLOCK_BASES // context_bp), 0, 0, 0
    for first in range(0, dataset.n_windows, block):
        windows = np.arange(first, min(first + block, dataset.n_windows))
        counts = (dataset.bases(windows, context_bp) == N_CODE).sum(axis=1)
        total += int(counts.sum())
        full += int(np.count_nonzero(counts == context_bp))
        many += int(np.count_nonzero(counts > MANY * context_bp))
    text = (
        f"{total / (dataset.n_windows * context_bp):.3%} of all bases are N; {many:,} of "
        f"{dataset.n_windows:,} windows have more than {MANY:.0%}, {full:,} nothing else"
    )
    if many > MANY * dataset.n_windows or full:
        return advice("unknown bases", text, "prepare it with n_policy=window, which leaves such windows out")
    return ok("unknown bases", text)
