"""How often 95% intervals hold the truth, by what is resampled: windows, blocks of 100, or blocks of 500.

    python benchmarks/coverage.py [--genomes 400] [--length 20]

Each simulated genome has 8,000 windows, like the test split of chr20, and 12 tasks at 5% positives; two
predictors of unequal quality are scored on it and resampled 300 times. The truth comes from 4 million windows
of the same process. 100 windows are about 100 kb of the embedded data, and the default length of the
correlation, 20 windows, about 20 kb.
"""

import argparse

import numpy as np
from simulated_genome import Genome

from genome_lm.evaluation.blocks import Blocks
from genome_lm.evaluation.bootstrap import (
    draw_weights,
    normal_interval,
    percentile_interval,
    resample_scores,
)

N_WINDOWS, N_RESAMPLES = 8_000, 300
WINDOWS_PER_BLOCK = (1, 100, 500)
MEASURES = ("f1", "auroc", "ap", "brier", "ece")
BLUR = 0.5  # error that the second predictor has on top of the first one's
SHIFT = -2.5  # of the logits, so that probabilities are of the order of the rate


def draw(
    genome: Genome, generator: np.random.Generator, n_windows: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Logits of the better and of the worse predictor, and labels."""
    (better, worse), labels = genome.draw(generator, n_windows, 2)
    worse += np.float32(BLUR) * generator.standard_normal(worse.shape, dtype=np.float32)
    return [better + np.float32(SHIFT), worse + np.float32(SHIFT)], labels


def figures(
    logits: list[np.ndarray],
    labels: np.ndarray,
    thresholds: list[np.ndarray],
    per_block: int,
    weights: np.ndarray,
) -> dict[str, np.ndarray]:
    """By figure, its value in each resample, float64 [n_resamples]: means over tasks, as in a summary."""
    blocks = Blocks(1, weights.shape[1], np.arange(len(labels)) // per_block)
    better, worse = (
        resample_scores(scores, labels, at, blocks, weights)
        for scores, at in zip(logits, thresholds, strict=True)
    )
    result = {measure: np.nanmean(better[measure], axis=1) for measure in MEASURES}
    result["perplexity"] = np.exp(better["cross_entropy"].mean(axis=1))
    for measure in ("f1", "auroc"):
        result[f"{measure} difference"] = np.nanmean(better[measure] - worse[measure], axis=1)
    result["f1 of one task"] = better["f1"][:, 0]
    result["f1 difference of one task"] = better["f1"][:, 0] - worse["f1"][:, 0]
    return result


def true_figures(genome: Genome, thresholds: list[np.ndarray]) -> dict[str, float]:
    """Mean over ten genomes of 400,000 windows."""
    generator = np.random.default_rng(2)
    parts = []
    for _ in range(10):
        logits, labels = draw(genome, generator, 400_000)
        parts.append(figures(logits, labels, thresholds, 400_000, np.ones((1, 1))))
    return {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genomes", type=int, default=400)
    parser.add_argument("--length", type=float, default=20, help="of the correlation, in windows")
    arguments = parser.parse_args()
    genome = Genome(n_tasks=12, rate=0.05, length=arguments.length)
    generator = np.random.default_rng(1)
    logits, _ = draw(genome, generator, 20_000)
    thresholds = [np.full(genome.n_tasks, np.quantile(scores, 0.93), dtype=np.float64) for scores in logits]
    truth = true_figures(genome, thresholds)
    # Intervals that hold the truth, by figure: [windows per block, percentile or normal].
    held = {name: np.zeros((len(WINDOWS_PER_BLOCK), 2)) for name in truth}
    for number in range(arguments.genomes):
        logits, labels = draw(genome, generator, N_WINDOWS)
        for row, per_block in enumerate(WINDOWS_PER_BLOCK):
            weights = draw_weights(N_WINDOWS // per_block, N_RESAMPLES + 1, seed=number)
            weights[0] = 1  # the figures themselves
            for name, values in figures(logits, labels, thresholds, per_block, weights).items():
                intervals = percentile_interval(values[1:]), normal_interval(values[0], values[1:])
                for column, (low, high) in enumerate(intervals):
                    held[name][row, column] += low <= truth[name] <= high
    headings = [f"blocks of {per_block}" for per_block in WINDOWS_PER_BLOCK]
    print(
        f"{arguments.genomes} genomes, correlation over {arguments.length:g} windows: share of the percentile"
    )
    print("and of the normal intervals that hold the truth\n")
    print(f"| figure | truth | {' | '.join(headings)} |")
    print("|---|---:|" + "---:|" * len(headings))
    for name, value in truth.items():
        shares = [f"{percentile:.3f}, {normal:.3f}" for percentile, normal in held[name] / arguments.genomes]
        print(f"| {name} | {value:.4f} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
