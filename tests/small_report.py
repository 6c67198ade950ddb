"""A made-up evaluation with every key that a summary and a task table can have, for the tests of its page."""

import csv
import html
import itertools
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

GROUPS = ("tf", "histone", "accessibility")
COUNTS = ("wins", "ties", "losses")


def small_tasks(n: int, groups: Sequence[str] = GROUPS) -> list[dict[str, object]]:
    """Rows of a tasks.tsv: the first without a score; some with few positives, not tested, or published."""
    generator = np.random.default_rng(5)
    rows: list[dict[str, object]] = []
    for number in range(n):
        baseline = float(generator.beta(2, 6))
        difference = float(generator.normal(0.03, 0.05))
        model = min(max(baseline + difference, 0.0), 1.0)
        difference = model - baseline
        width = 0.01 + float(generator.exponential(0.03))
        sure = abs(difference) > width
        outcome = "win" if difference > 0 else "loss"
        published = float(generator.uniform(0.75, 0.99))
        skill = float(generator.normal(0.05, 0.03))
        row: dict[str, object] = {
            "id": f"ENCFF{number:04d}",
            "cell": ("K562", "HepG2", "GM12878", "IMR90")[number % 4],
            "target": ("CTCF", "GATA1", "H3K4me3", "DNase", "POLR2A")[number % 5],
            "treatment": "IFNg30" if number % 11 == 3 else "",
            "group": groups[number % len(groups)],
            "train_positives": 400 + 37 * number % 5000,
            "valid_positives": 12 if number % 7 == 3 else 80 + number,
            "test_positives": 100 + 3 * number,
            "few_valid_positives": int(number % 7 == 3),
            "test_outcome": outcome,
            "test_f1_difference": difference,
            "test_f1_difference_low": difference - width,
            "test_f1_difference_high": difference + width,
            "test_f1_difference_t": difference / width,
            "test_f1_difference_p": 0.001 if sure else 0.3,
            "test_f1_difference_q": 0.004 if sure else 0.5,
            "test_significance": outcome if sure else "",
            "test_f1_model": model,
            "test_f1_baseline": baseline,
            "test_auroc_model": float(generator.uniform(0.6, 0.9)),
            "test_ap_model": model * 0.8,
            "test_skill_model": skill,
            "reference_deepsea_auroc": published if number % 4 == 0 else "",
            "reference_danq_auroc": min(published + 0.01, 1.0) if number % 4 == 0 else "",
        }
        if number % 9 == 5:
            row |= {f"test_f1_difference_{name}": "" for name in ("low", "high", "t", "p", "q")}
            row["test_significance"] = ""
        if number == 0:
            unscored = ("outcome", "significance", "f1_", "auroc_", "ap_")
            row |= {name: "" for name in row if name.removeprefix("test_").startswith(unscored)}
        rows.append(row)
    return rows


def figures(rows: Sequence[dict[str, object]]) -> dict[str, object]:
    """FIGURES of a set of tasks; means are of the rows, the rest is made up around them."""
    scored = [row for row in rows if row["test_f1_model"] != ""]

    def mean(name: str) -> float | None:
        return math.fsum(float(row[name]) for row in scored) / len(scored) if scored else None

    wins, losses = (sum(row["test_outcome"] == outcome for row in scored) for outcome in ("win", "loss"))
    sure = [sum(row["test_significance"] == outcome for row in scored) for outcome in ("win", "loss")]
    difference = mean("test_f1_difference")
    scores = {
        "f1": {
            "model": mean("test_f1_model"),
            "baseline": mean("test_f1_baseline"),
            "difference": difference,
        },
        "auroc": {"model": mean("test_auroc_model"), "baseline": 0.71, "prior": 0.5, "difference": 0.03},
        "ap": {"model": mean("test_ap_model"), "baseline": 0.19, "prior": 0.07, "difference": 0.02},
        "skill": {"model": mean("test_skill_model"), "baseline": 0.04, "prior": 0.0, "difference": 0.01},
        "task_skill": {"model": 0.153, "baseline": 0.125, "prior": 0.0, "difference": 0.028},
        "perplexity": {"model": 1.1889, "baseline": 1.1917, "prior": 1.2130},
        "brier": {"model": 0.051, "baseline": 0.053, "prior": 0.056},
        "ece": {"model": 0.004, "baseline": 0.006, "prior": 0.003},
    }
    around = {
        measure: {name: None if at is None else [at - 0.012, at + 0.011] for name, at in values.items()}
        for measure, values in scores.items()
    }
    wide = {
        measure: {name: ends and [ends[0] - 0.01, ends[1] + 0.01] for name, ends in values.items()}
        for measure, values in around.items()
    }
    return {
        "n_tasks": len(rows),
        "wins": wins,
        "ties": len(scored) - wins - losses,
        "losses": losses,
        "significant_wins": sure[0],
        "significant_losses": sure[1],
        "untested": sum(row["test_f1_difference_q"] == "" for row in scored),
        "few_valid_positives": sum(bool(row["few_valid_positives"]) for row in rows),
        **scores,
        "bits": {"model": 0.2497, "baseline": 0.2530, "prior": 0.2786},
        "undefined": {"f1": len(rows) - len(scored), "auroc": 0, "ap": 0},
        "against": {},
        "intervals": {
            "100000": {**around, "wins": [max(wins - 9, 0), wins + 8.4]},
            "500000": {**wide, "wins": [max(wins - 19, 0), wins + 18]},
        },
        "undefined_resamples": {"100000": 3, "500000": 4},
    }


def calibration(groups: Sequence[str]) -> dict[str, object]:
    """Reliability by predictor, of all tasks and each group; the last bin is nearly empty, or empty."""
    edges = [0.0, 0.01, 0.05, 0.1, 0.3, 0.6, 1.0]
    return {
        name: {
            group: [
                {
                    "low": low,
                    "high": high,
                    "windows": 40 if high == 1.0 else round(200_000 * (1.01 - low) ** 6),
                    "predicted": (low + high) / 2,
                    "observed": (low + high) / 2 * shift,
                }
                for low, high in itertools.pairwise(edges[: 6 if group == "histone" else 7])
            ]
            for group in ("all", *groups)
        }
        for name, shift in (("model", 0.95), ("baseline", 0.8), ("prior", 1.0))
    }


def by_positives(rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Outcomes by number of train positives."""
    bins = []
    for low, high in ((300, 999), (1000, 1999), (2000, 9999)):
        within = [row for row in rows if low <= int(str(row["train_positives"])) <= high]
        found = figures(within)
        interval = found["intervals"]["100000"]["f1"]["difference"]
        bins.append(
            {"low": low, "high": high, "tasks": len(within), **{name: found[name] for name in COUNTS},
             "f1_difference": found["f1"]["difference"], "interval": interval}
        )  # fmt: skip
    return bins


def small_summary(rows: Sequence[dict[str, object]], members: int = 3) -> dict[str, object]:
    """A summary.json with every key."""
    groups = list(dict.fromkeys(str(row["group"]) for row in rows))
    split = {
        "windows": 9091,
        "windows_in_dataset": 9091,
        **figures(rows),
        "groups": {group: figures([row for row in rows if row["group"] == group]) for group in groups},
        "calibration": calibration(groups),
        "by_positives": by_positives(rows),
        "ahead": [[1000, 9999]],
    }
    scores = {"perplexity": 1.189, "skill": 0.1, "f1": 0.276, "auroc": 0.772, "ap": 0.233}
    return {
        "command": "genome-lm evaluate ckpt_path=checkpoints/best.ckpt evaluate.min_positive_rate=0.01",
        "n_tasks": len(rows),
        "task_set": f"{len(rows)} of 560 tasks with >= 1% positives in train",
        "dataset": {"genome_build": "hg19", "checksum": "sha256:0b06c701", "train_windows": 37492},
        "protocol": "poster",
        "thresholds": "probability 0.5 for every task and predictor",
        "predictors": {
            "model": "bigru, 500 bp, both strands averaged",
            "baseline": "1- to 5-mer logistic regression, 500 bp, both strands, C per task",
            "prior": "positive rate in train, the same for every window",
        },
        "bootstrap": {
            "block_bp": [100000, 500000],
            "n_blocks": {"100000": 80, "500000": 16},
            "resamples": 1000,
            "test_resamples": 10000,
            "level": 0.95,
            "seed": 0,
            "conditional_on": "the trained network, its thresholds and the baseline as they are",
        },
        "checkpoints": [
            {"name": f"seed {seed}", "path": "checkpoints/best.ckpt", "sha256": "ab" * 32, "seed": seed,
             "model_name": "bigru"}
            for seed in range(members)
        ],
        "valid": {**split, "note": "optimistic (thresholds chosen here)"},
        "test": split,
        "members": [
            {"name": f"seed {seed}", "seed": seed, "checkpoint": "checkpoints/best.ckpt", "valid": scores,
             "test": {**scores, "wins": 240 + seed, "counted": 373}}
            for seed in range(members)
        ],
        "spread": {
            split: {
                name: {"mean": at, "sd": 0.0042, "n": members}
                for name, at in {**scores, "f1_difference": 0.03, "wins": 241.0}.items()
            }
            for split in ("valid", "test")
        },
        "baseline": {},
        "report": {
            "source": "Zhang and Kamath (2016)", "data": "DeepSEA", "rules": "thresholds at 0.5",
            "n_tasks": 498, "wins": 408, "f1_model": 0.135, "f1_baseline": 0.044, "f1_difference": 0.091,
            "perplexity_model": 1.084, "perplexity_prior": 1.092, "note": "the prior's was computed later",
        },
        "tuned": figures(rows),
    }  # fmt: skip


def small_evaluation(folder: Path, n: int = 40, groups: Sequence[str] = GROUPS) -> tuple[Path, Path]:
    """A run folder with an evaluation of `n` tasks: its path and that of the evaluation."""
    rows = small_tasks(n, groups)
    run, evaluation = folder / "2026-01-01_bigru", folder / "2026-01-01_bigru" / "evaluation"
    write_evaluation(evaluation, small_summary(rows), rows)
    (run / "metrics.csv").write_text(
        "epoch,step,train/loss,train/perplexity,valid/perplexity,valid/prior_perplexity\n"
        "0,10,0.2,,,\n0,20,,1.21,1.23,1.24\n1,40,,1.19,1.22,1.24\n2,60,,1.18,1.225,1.24\n",
        encoding="utf-8",
    )
    (run / "training.json").write_text(
        json.dumps(
            {"model": "bigru", "seed": 0, "epochs": 3, "best_epoch": 2, "parameters": 437622,
             "seconds": 199.7, "valid_perplexity": 1.22, "command": "genome-lm train model=bigru seed=0",
             "genome_lm_version": "0.1.0", "versions": {"python": "3.11.7", "torch": "2.13.0"}}
        ),
        encoding="utf-8",
    )  # fmt: skip
    (run / "config.yaml").write_text("seed: 0\nmodel:\n  name: bigru\n", encoding="utf-8")
    return run, evaluation


def write_evaluation(evaluation: Path, summary: dict[str, object], rows: Sequence[dict[str, object]]) -> None:
    """Write summary.json and tasks.tsv."""
    evaluation.mkdir(parents=True, exist_ok=True)
    (evaluation / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    with (evaluation / "tasks.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["id", "group"], delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def visible(page: str) -> str:
    """The page's text, without scripts, style and tags."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", bare)).split())
