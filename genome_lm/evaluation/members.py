"""Several checkpoints side by side: each one's figures, their mean and their spread."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genome_lm.choices import Protocol
from genome_lm.evaluation.aligned import MODEL, SCORED_SPLITS, Aligned
from genome_lm.evaluation.compare import compare
from genome_lm.evaluation.figures import figures

MEASURES = ("perplexity", "skill", "f1", "auroc", "ap")


@dataclass(frozen=True)
class Member:
    """One checkpoint of several, scored by itself with thresholds of its own."""

    name: str
    seed: int | None
    checkpoint: str
    valid: dict[str, float]  # perplexity, skill, f1, auroc, ap, f1_difference, wins, counted
    test: dict[str, float]


def score_member(
    name: str, seed: int | None, checkpoint: str, aligned: Aligned, protocol: Protocol = Protocol.tuned
) -> Member:
    """Figures of one checkpoint.

    Args:
        aligned: with this checkpoint's predictions as the model.
    """
    comparison = compare(aligned, "", protocol)
    everything = np.ones(len(aligned.tasks), dtype=bool)
    by_split = {}
    for split in SCORED_SPLITS:
        found = figures(comparison, split, everything, {}, None)
        by_split[split] = {measure: getattr(found, measure)[MODEL] for measure in MEASURES} | {
            "f1_difference": found.f1["difference"],
            "wins": found.wins,
            "counted": found.counted,
        }
    return Member(name, seed, checkpoint, by_split["valid"], by_split["test"])


def spread(members: Sequence[Member]) -> dict[str, dict[str, dict[str, float]]]:
    """By split and figure: mean, standard deviation (n - 1; NaN for one member) and n."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for split in SCORED_SPLITS if members else ():
        tables = [getattr(member, split) for member in members]
        result[split] = {
            figure: _spread(np.array([table[figure] for table in tables], dtype=np.float64))
            for figure in tables[0]
        }
    return result


def _spread(values: np.ndarray) -> dict[str, float]:
    deviation = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return {"mean": float(values.mean()), "sd": deviation, "n": len(values)}
