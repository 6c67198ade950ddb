"""Standard errors on the test split of a run by the length of the blocks, and the intervals and tests there.

    python benchmarks/block_length.py RUN_FOLDER [--data FILE]

If windows were independent, the length would make no difference. Standard errors that still grow at a length
say that blocks of it are too short; those from few blocks are uncertain themselves, by a share of
1 / sqrt(2 (blocks - 1)).
"""

import argparse
import time
from pathlib import Path

import numpy as np

from genome_lm.choices import Protocol
from genome_lm.dataset.reading import embedded_dataset_path, open_dataset
from genome_lm.evaluation.aligned import BASELINE, MODEL, PRIOR, Aligned, align
from genome_lm.evaluation.blocks import genome_blocks
from genome_lm.evaluation.bootstrap import (
    draw_weights,
    normal_interval,
    percentile_interval,
    resample_scores,
)
from genome_lm.evaluation.compare import choose_thresholds
from genome_lm.evaluation.predictions import read_predictions
from genome_lm.evaluation.significance import paired_f1_test

LENGTHS = (200, 5_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
SHOWN = (100_000, 500_000)


def read_run(run: Path, data: Path) -> Aligned:
    """Predictions of a run for all tasks that they hold."""
    dataset = open_dataset(data)
    predictions = {
        name: read_predictions(run / "predictions" / f"{name}.h5") for name in (MODEL, BASELINE, PRIOR)
    }
    place = {task: index for index, task in enumerate(dataset.tasks.id)}
    return align(dataset, predictions, np.array([place[task] for task in predictions[MODEL].task_ids]))


def figures(
    aligned: Aligned, thresholds: dict[str, np.ndarray], block_bp: int, n_resamples: int
) -> tuple[dict[str, np.ndarray], int]:
    """By figure, its value (first) and its resamples, float64 [1 + n_resamples]; and the number of blocks."""
    blocks = genome_blocks(aligned.dataset, aligned.windows("test"), block_bp)
    weights = draw_weights(blocks.n_blocks, 1 + n_resamples, seed=0)
    weights[0] = 1
    labels = aligned.labels("test")
    scores = {
        name: resample_scores(aligned.logits("test", name), labels, thresholds[name], blocks, weights)
        for name in (MODEL, BASELINE, PRIOR)
    }
    values = {}
    for measure in ("f1", "auroc", "ap", "brier", "ece"):
        model, baseline = scores[MODEL][measure], scores[BASELINE][measure]
        values[measure] = np.nanmean(model, axis=1)
        values[f"{measure}, difference"] = np.nanmean(model - baseline, axis=1)
    entropy = {name: each["cross_entropy"].mean(axis=1) for name, each in scores.items()}
    values["perplexity"] = np.exp(entropy[MODEL])
    values["perplexity, difference"] = np.exp(entropy[MODEL]) - np.exp(entropy[BASELINE])
    values["skill"] = 1 - entropy[MODEL] / entropy[PRIOR]
    values["skill, difference"] = (entropy[BASELINE] - entropy[MODEL]) / entropy[PRIOR]
    values["wins"] = (scores[MODEL]["f1"] > scores[BASELINE]["f1"]).sum(axis=1).astype(np.float64)
    return values, blocks.n_blocks


def print_errors(aligned: Aligned, thresholds: dict[str, np.ndarray]) -> None:
    columns = (
        "f1",
        "f1, difference",
        "auroc",
        "auroc, difference",
        "perplexity",
        "skill, difference",
        "wins",
    )
    print(f"| block (bp) | blocks | {' | '.join(columns)} |")
    print("|---:|---:|" + "---:|" * len(columns))
    for block_bp in LENGTHS:
        values, n_blocks = figures(aligned, thresholds, block_bp, 300)
        errors = [f"{values[name][1:].std(ddof=1):.2g}" for name in columns]
        print(f"| {block_bp:,} | {n_blocks:,} | {' | '.join(errors)} |", flush=True)


def print_intervals(aligned: Aligned, thresholds: dict[str, np.ndarray]) -> None:
    shown = [figures(aligned, thresholds, block_bp, 1_000)[0] for block_bp in SHOWN]
    headings = [f"{kind}, {block_bp:,} bp" for block_bp in SHOWN for kind in ("percentile", "normal")]
    print(f"\n| figure | value | {' | '.join(headings)} |")
    print("|---|---:|" + "---|" * len(headings))
    for name, (value, *_) in shown[0].items():
        ends = []
        for values in shown:
            resampled = values[name][1:]
            for low, high in (percentile_interval(resampled), normal_interval(value, resampled)):
                ends.append(f"{low:.4g} to {high:.4g}")
        print(f"| {name} | {value:.4g} | {' | '.join(ends)} |")


def print_tests(aligned: Aligned, thresholds: dict[str, np.ndarray]) -> None:
    print("\n| block (bp) | tests | wins, q <= 0.05 | losses, q <= 0.05 | seconds |")
    print("|---:|---:|---:|---:|---:|")
    for block_bp in SHOWN:
        start = time.perf_counter()
        result = paired_f1_test(
            aligned.logits("test", MODEL),
            aligned.logits("test", BASELINE),
            aligned.labels("test"),
            thresholds[MODEL],
            thresholds[BASELINE],
            genome_blocks(aligned.dataset, aligned.windows("test"), block_bp),
        )
        significant = result.q <= 0.05
        wins, losses = ((significant & (sign * result.difference > 0)).sum() for sign in (1, -1))
        tests = np.count_nonzero(~np.isnan(result.p))
        print(f"| {block_bp:,} | {tests} | {wins} | {losses} | {time.perf_counter() - start:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, default=embedded_dataset_path())
    arguments = parser.parse_args()
    aligned = read_run(arguments.run, arguments.data)
    labels = aligned.labels("valid")
    thresholds = {
        name: choose_thresholds(Protocol.tuned, aligned.logits("valid", name), labels)
        for name in (MODEL, BASELINE, PRIOR)
    }
    print_errors(aligned, thresholds)
    print_intervals(aligned, thresholds)
    print_tests(aligned, thresholds)


if __name__ == "__main__":
    main()
