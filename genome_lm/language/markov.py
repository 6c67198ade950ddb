"""Markov chains of the genome: the baseline that a language model must beat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from genome_lm.language.words import WordCounts

PSEUDOCOUNTS = (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0)
"""Tried for every order: what is added to each count."""


@dataclass(frozen=True)
class MarkovChains:
    """A chain of each order from 0 to the longest: the chance of a base after the k bases before it.

    p(b | w) = (n(wb) + a) / (n(w) + 4 a), with the counts n of the training sequence and a pseudocount a that
    is chosen for each order by its cross-entropy on validation. Where fewer than k known bases stand before a
    base (at the beginning of a stretch, after an N) the chain of that lower order predicts it.

    Attributes:
        log_p: natural logarithms, for each order k float64 [4 ** (k + 1)], by the number of the word.
        pseudocount: for each order.
        best_order: that of the lowest cross-entropy on validation; of equals the lowest.
    """

    log_p: tuple[np.ndarray, ...]
    pseudocount: tuple[float, ...]
    best_order: int

    def cross_entropy(self, order: int, words: WordCounts) -> float:
        """Mean of -ln p over the bases counted in `words`, in nats, of the chain of this order."""
        total = float(words.at_least[order] @ self.log_p[order])
        total += sum(float(self.log_p[lower][words.exactly[lower]].sum()) for lower in range(order))
        return -total / words.n_bases

    def cross_entropies(self, words: WordCounts) -> list[float]:
        """That of every order."""
        return [self.cross_entropy(order, words) for order in range(len(self.log_p))]


def fit_chains(
    train: Sequence[np.ndarray], valid: WordCounts, pseudocounts: Sequence[float] = PSEUDOCOUNTS
) -> MarkovChains:
    """Fit the chain of each order; pseudocounts and the best order are chosen on validation.

    Args:
        train: counts of the training words, for each order int64 [4 ** (k + 1)].
        valid: words of the bases that validation predicts, of the same orders.
    """
    log_p, chosen = [], []
    for counts, seen in zip(train, valid.at_least, strict=True):
        scores = [float(seen @ _log_probabilities(counts, each)) for each in pseudocounts]
        pseudocount = pseudocounts[int(np.argmax(scores))]
        chosen.append(pseudocount)
        log_p.append(_log_probabilities(counts, pseudocount))
    chains = MarkovChains(tuple(log_p), tuple(chosen), 0)
    return replace(chains, best_order=int(np.argmin(chains.cross_entropies(valid))))


def _log_probabilities(counts: np.ndarray, pseudocount: float) -> np.ndarray:
    """ln p of each word, float64 [4 ** (k + 1)], from counts of words."""
    raised = counts.reshape(-1, 4) + pseudocount
    logarithm = np.log(raised)
    logarithm -= np.log(raised.sum(axis=1, keepdims=True))
    return logarithm.ravel()
