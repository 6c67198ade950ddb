"""A network and Markov chains on the same bases: what each predicts of a split, as perplexities."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from genome_lm.errors import UserError
from genome_lm.language.datamodule import LanguageDataModule
from genome_lm.language.markov import MarkovChains, fit_chains
from genome_lm.language.network import LanguageNetwork
from genome_lm.language.words import WordCounts, count_words, segment_blocks, stretch_blocks
from genome_lm.metrics.next_base import NextBaseCrossEntropy


@dataclass(frozen=True)
class Scores:
    """Perplexities on one split.

    Attributes:
        n_bases: known bases that the forward direction and the chains predict.
        forward: of the network, exp of the mean cross-entropy in nats.
        backward: that of its other direction, on other bases; None without one.
        both: exp of the mean of both cross-entropies.
        markov: of the chains of orders 0, 1, ...
    """

    n_bases: int
    forward: float
    backward: float | None
    both: float | None
    markov: tuple[float, ...]


def target_words(
    data: LanguageDataModule, network: LanguageNetwork, split: str, max_order: int, limit: int | None = None
) -> WordCounts:
    """Words of the bases that the forward direction predicts in a validation or test epoch.

    Args:
        limit: stretches looked at; None for all.

    Raises:
        UserError: none of these bases is known.
    """
    starts = data.evaluation_starts(split)[:limit]
    targets = network.forward_targets(data.stretch_bp)
    codes = data.sequence.splits[split].codes
    words = count_words(stretch_blocks(codes, starts, data.stretch_bp, targets), max_order)
    if not words.n_bases:
        raise UserError(
            f"all bases of {split} that would be predicted are unknown (N); give other regions, or a dataset "
            "with known ones"
        )
    return words


def fit_rivals(data: LanguageDataModule, valid: WordCounts) -> MarkovChains:
    """Chains of the training sequence, read from both strands if the network's stretches are.

    Args:
        valid: the words of validation; as long as its longest are those of the chains.
    """
    order = valid.max_order
    counts = count_words(segment_blocks(data.sequence.splits["train"], order), order)
    return fit_chains(counts.with_other_strand() if data.augment_strand else counts.at_least, valid)


def score(
    data: LanguageDataModule,
    network: LanguageNetwork,
    chains: MarkovChains,
    split: str,
    device: torch.device,
) -> Scores:
    """Predict a split once with the network and all chains."""
    ahead_loss, back_loss = NextBaseCrossEntropy().to(device), NextBaseCrossEntropy().to(device)
    network.to(device).eval()
    with torch.inference_mode():
        for batch in data.evaluation_loader(split):
            ahead, back = network(batch.codes.to(device))
            ahead_loss.update(*ahead)
            if back is not None:
                back_loss.update(*back)
    words = target_words(data, network, split, len(chains.log_p) - 1)
    forward = float(ahead_loss.compute())
    backward = float(back_loss.compute()) if back_loss.update_called else None
    return Scores(
        n_bases=words.n_bases,
        forward=math.exp(forward),
        backward=None if backward is None else math.exp(backward),
        both=None if backward is None else math.exp((forward + backward) / 2),
        markov=tuple(np.exp(chains.cross_entropies(words)).tolist()),
    )
