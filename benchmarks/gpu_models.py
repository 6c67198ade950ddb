"""The networks of benchmarks/gpu.py as plain dicts: no Hydra, OmegaConf or PyYAML to read them.

tests/test_gpu_benchmark.py compares them with what conf/ composes to.
"""

from dataclasses import dataclass
from typing import Any

from genome_lm.build import network_from
from genome_lm.checkpoint import VERSION, Description
from genome_lm.motifs import RELEASE
from genome_lm.network import Network

CHARACTERS = {"_target_": "genome_lm.tokenizers.CharacterTokenizer", "width": 2}
WORDS = {
    "_target_": "genome_lm.spaced_words.SpacedWordTokenizer",
    "masks": ["111111", "1110111", "11100111", "110111011"],
    "words_per_token": 15,
    "width": 128,
    "canonical": True,
    "word_dropout": 0.5,
}
GAPPED_WORDS = {
    "_target_": "genome_lm.spaced_words.SpacedWordTokenizer",
    "masks": ["111111", "1110111", "11100111", "111000111", "1110000111", "11100000111"],
    "words_per_token": 10,
    "width": 192,
    "canonical": True,
    "word_dropout": 0.4,
}
NO_STEM = {"_target_": "genome_lm.stems.NoStem"}
NO_FEATURES = {"_target_": "genome_lm.window_features.NoFeatures"}
MOTIFS = {"_target_": "genome_lm.window_features.MotifOccupancy", "span_bp": 500, "release": RELEASE}
POOLED = {
    "pooling": ["centre_max", "centre_mean", "mean"],
    "centre": 0.43,
    "norm": "batch",
    "kind": "one_logit",
    "dropout": 0.4,
    "input_dropout": 0.1,
}


def _gru(hidden_size: int, num_layers: int, dropout: float) -> dict[str, Any]:
    return {
        "_target_": "genome_lm.encoders.recurrent.RecurrentEncoder",
        "cell": "gru",
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "bidirectional": True,
        "dropout": dropout,
    }


def _mingru(bidirectional: bool) -> dict[str, Any]:
    return {
        "_target_": "genome_lm.encoders.minimal.MinimalEncoder",
        "cell": "mingru",
        "hidden_size": 64,
        "num_layers": 2,
        "bidirectional": bidirectional,
        "kernel_size": 4,
        "memory": 32,
        "residual": True,
        "norm": "layer",
        "dropout": 0.0,
    }


@dataclass(frozen=True)
class Benchmarked:
    """A network, and the recipe that goes with it.

    Attributes:
        context_bp: bases that it reads.
        parts: tokenizer, stem, window features, encoder and head, as in a checkpoint's description.
        strands: whether training reads either strand, as the recipe does.
    """

    context_bp: int
    parts: dict[str, Any]
    strands: bool


def _shipped(encoder: dict[str, Any], tokenizer: dict[str, Any] = WORDS) -> Benchmarked:
    parts = {"tokenizer": tokenizer, "stem": NO_STEM, "window_features": MOTIFS, "head": POOLED}
    return Benchmarked(1000, {**parts, "encoder": encoder}, strands=True)


MODELS = {
    # experiment=poster: the report's.
    "report": Benchmarked(
        100,
        {
            "tokenizer": CHARACTERS,
            "stem": NO_STEM,
            "window_features": NO_FEATURES,
            "encoder": _gru(128, 2, 0.05),
            "head": {
                "pooling": ["last"],
                "centre": 0.5,
                "norm": "none",
                "kind": "two_way_softmax",
                "dropout": 0.05,
                "input_dropout": 0.0,
            },
        },
        strands=False,
    ),
    "bigru": _shipped(_gru(128, 1, 0.0), GAPPED_WORDS),
    "bigru_light": _shipped(_gru(64, 1, 0.0)),
    "bimingru": _shipped(_mingru(bidirectional=True)),
    "mingru": _shipped(_mingru(bidirectional=False)),
}


def description_of(model: Benchmarked, n_tasks: int) -> Description:
    """A description of the model for tasks that are positive in one window of twenty."""
    ids = [f"task {number}" for number in range(n_tasks)]
    return Description(
        version=VERSION,
        genome_lm_version="",
        model_name="",
        context_bp=model.context_bp,
        average_strands=False,
        tasks=dict.fromkeys(("id", "cell", "target", "treatment", "group"), ids),
        positive_rate=[0.05] * n_tasks,
        task_set="",
        dataset={},
        config={},
        **model.parts,
    )


def network_for(model: Benchmarked, n_tasks: int) -> Network:
    """The network with fresh weights."""
    return network_from(description_of(model, n_tasks), ["genome_lm"])
