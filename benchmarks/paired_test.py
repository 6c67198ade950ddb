"""How often the paired F1 test finds a difference where there is none, by the blocks with a hit.

    python benchmarks/paired_test.py [--tasks 500]

Two predictors of the same quality call by different thresholds on either side of the best one, at which their
F1 in 3 million windows is equal: a strict one with few calls, and a loose one with many. That is the hard
case: the difference is skewed, and the strict one's hits are few. Genomes of 600 to 8,000 windows in 6 to 80
blocks, 0.2 to 10% positives, two sizes of error.
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
from simulated_genome import Genome

from genome_lm.evaluation import significance
from genome_lm.evaluation.blocks import Blocks

SIZES = ((6, 100), (10, 100), (16, 100), (16, 500), (40, 100), (80, 100))  # blocks, windows in each
RATES, NOISES, STRICT = (0.002, 0.01, 0.03, 0.1), (0.5, 1.0), (0.3, 0.6)
LEVELS = (0.1, 0.05, 0.01, 0.001)
HIT_BLOCKS = (1, 2, 3, 5, 8, 10, 15, 20, 40, 81)


def equal_thresholds(genome: Genome, strict: float, generator: np.random.Generator) -> tuple[float, float]:
    """Thresholds of equal F1, the strict one with `strict` times as many calls as there are positives."""
    parts = [genome.draw(generator, 30_000, 1) for _ in range(100 // genome.n_tasks + 1)]
    scores = np.concatenate([part[0][0].ravel() for part in parts])
    order = np.argsort(-scores)
    hits = np.cumsum(np.concatenate([part[1].ravel() for part in parts])[order])
    calls = np.arange(1, len(scores) + 1)
    f1 = 2 * hits / (calls + hits[-1])
    first = int(strict * hits[-1])
    best = int(np.argmax(f1))
    second = best + int(np.argmax(f1[best:] <= f1[first]))
    return float(scores[order[first]]), float(scores[order[second]])


def tests(n_tasks: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each setting, p and the blocks with a hit, [n_tasks] each."""
    generator = np.random.default_rng(0)
    for rate, noise, strict in product(RATES, NOISES, STRICT):
        thresholds = equal_thresholds(Genome(100, rate, noise=noise), strict, generator)
        for n_blocks, per_block in SIZES:
            genome = Genome(n_tasks, rate, noise=noise, shared=0)
            (a, b), labels = genome.draw(generator, n_blocks * per_block, 2)
            result = significance.paired_f1_test(
                a,
                b,
                labels,
                np.full(n_tasks, thresholds[0]),
                np.full(n_tasks, thresholds[1]),
                Blocks(1, n_blocks, np.arange(len(labels)) // per_block),
                n_resamples=2_000,
            )
            yield result.p, result.hit_blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=500, help="in each of the settings")
    arguments = parser.parse_args()
    least, significance.LEAST_HIT_BLOCKS = significance.LEAST_HIT_BLOCKS, 1
    p, hit_blocks = (np.concatenate(parts) for parts in zip(*tests(arguments.tasks), strict=True))
    print("| blocks with a hit | tests | " + " | ".join(f"p <= {level:g}" for level in LEVELS) + " |")
    print("|---|---:|" + "---:|" * len(LEVELS))
    ranges = [*pairwise(HIT_BLOCKS), (least, HIT_BLOCKS[-1])]
    for low, high in ranges:
        chosen = p[(hit_blocks >= low) & (hit_blocks < high) & ~np.isnan(p)]
        shares = " | ".join(f"{(chosen <= level).mean():.4f}" for level in LEVELS)
        print(f"| {low} to {high - 1} | {len(chosen):,} | {shares} |")


if __name__ == "__main__":
    main()
