"""Genomes whose perplexity is known: networks and Markov chains find it, and no more."""

import math

import lightning as L
import numpy as np
import pytest
import torch

from genome_lm.encoders.recurrent import RecurrentEncoder
from genome_lm.language.datamodule import LanguageDataModule
from genome_lm.language.markov import fit_chains
from genome_lm.language.module import LanguageModule
from genome_lm.language.network import LanguageNetwork
from genome_lm.language.sequence import Segments, SplitSequence
from genome_lm.language.words import count_words, segment_blocks, stretch_blocks
from genome_lm.optimizer import OptimizerSettings
from genome_lm.stems import NoStem
from genome_lm.tokenizers import CharacterTokenizer, KmerTokenizer, OneHotTokenizer, Tokenizer


def module_for(tokenizer: Tokenizer) -> LanguageModule:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(tokenizer.width, "gru", 16, num_layers=1)
    network = LanguageNetwork(tokenizer, NoStem(tokenizer.width), encoder)
    settings = OptimizerSettings(learning_rate=0.02)
    return LanguageModule(network, settings, {"prior": math.log(4)}, {})


def genome(codes: np.ndarray) -> SplitSequence:
    """The first 8 tenths for training, a tenth each for validation and test."""
    edges = [0, len(codes) * 8 // 10, len(codes) * 9 // 10, len(codes)]
    return SplitSequence(
        {
            name: Segments(codes, np.array([start]), np.array([end]))
            for name, start, end in zip(("train", "valid", "test"), edges, edges[1:], strict=False)
        },
        {},
    )


def trained(
    module: LanguageModule, sequence: SplitSequence, epochs: int, stretch_bp: int = 50
) -> tuple[float, float, np.ndarray]:
    """Validation perplexities of the network, forward and backward, and of chains of orders 0 to 4."""
    data = LanguageDataModule(sequence, stretch_bp, batch_size=16, eval_batch_size=64)
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        max_epochs=epochs,
    )
    trainer.fit(module, datamodule=data)
    starts = data.evaluation_starts("valid")
    targets = module.network.forward_targets(stretch_bp)
    seen = count_words(stretch_blocks(sequence.splits["valid"].codes, starts, stretch_bp, targets), 4)
    counts = count_words(segment_blocks(sequence.splits["train"], 4), 4)
    chains = np.exp(fit_chains(counts.at_least, seen).cross_entropies(seen))
    metrics = trainer.callback_metrics
    return float(metrics["valid/perplexity"]), float(metrics["valid/backward_perplexity"]), chains


quiet = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*is deprecated.*"
)


@quiet
def test_a_random_genome_has_perplexity_four():
    """Letters drawn alike hold nothing: no predictor is below 4 but by chance (a tenth of a percent here)."""
    codes = np.random.default_rng(0).integers(0, 4, 60_000, dtype=np.uint8)
    ahead, back, chains = trained(module_for(CharacterTokenizer(4)), genome(codes), epochs=1)
    for perplexity in (ahead, back, *chains):
        assert 3.99 < perplexity < 4.05


@quiet
@pytest.mark.parametrize("tokenizer", [OneHotTokenizer(), KmerTokenizer(k=3, words_per_token=4, width=8)])
def test_a_repeated_unit_has_perplexity_one(tokenizer):
    """The place in the unit tells the next base: only the first few bases of a stretch are not known."""
    unit = np.array([0, 1, 2, 3, 3, 2, 1, 0, 0, 2, 3], dtype=np.uint8)
    ahead, back, _ = trained(module_for(tokenizer), genome(np.tile(unit, 1_000)), epochs=8)
    assert 1 <= ahead < 1.2
    assert 1 <= back < 1.2


@quiet
def test_a_source_of_order_two_is_learned_as_far_as_its_entropy_rate():
    draw = np.random.default_rng(3)
    table = draw.dirichlet([0.3] * 4, size=16) * 0.9 + 0.025
    edges, uniform, codes = np.cumsum(table, axis=1), draw.random(40_000), [0, 1]
    for at in range(2, 40_000):
        codes.append(min(3, int(np.searchsorted(edges[4 * codes[-2] + codes[-1]], uniform[at]))))
    contexts = np.bincount(np.array(codes[:-2]) * 4 + np.array(codes[1:-1]), minlength=16) / 39_998
    rate = math.exp(-(contexts[:, None] * table * np.log(table)).sum())
    ahead, _, chains = trained(
        module_for(OneHotTokenizer()), genome(np.array(codes, dtype=np.uint8)), 4, stretch_bp=25
    )
    assert int(np.argmin(chains)) == 2
    assert chains[2] == pytest.approx(rate, rel=0.04)
    assert ahead == pytest.approx(chains[2], rel=0.04)
    assert ahead < 0.95 * chains[0]
