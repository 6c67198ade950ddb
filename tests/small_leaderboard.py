"""Run folders made of text files, for the tests of the leaderboard."""

import copy
import json
from pathlib import Path
from typing import Any

import yaml

CHECKSUM = "sha256:1"
WORDS = "3 of 5 tasks with >= 1% positives in train"

CONFIG: dict[str, Any] = {
    "data": {
        "path": None,
        "context_bp": 500,
        "min_positive_rate": 0.01,
        "tasks": {"ids": [], "groups": []},
        "num_workers": 0,
    },
    "model": {"name": "bigru", "encoder": {"hidden_size": 64}},
    "trainer": {"max_epochs": 8, "threads": None, "limit_val_batches": None},
    "logger": {"name": "csv"},
    "seed": 0,
    "run_name": "bigru",
    "runs_dir": "runs",
    "average_strands": True,
}
TRAINING: dict[str, Any] = {
    "model": "bigru",
    "valid_perplexity": 1.2,
    "valid_prior_perplexity": 1.25,
    "task_set": WORDS,
    "n_tasks": 3,
    "task_ids_sha256": "abc",
    "parameters": 1000,
    "epochs": 8,
    "best_epoch": 7,
    "seconds": 120.0,
    "windows_per_second": 1500.0,
    "tokens_per_second": 48_000.0,
    "seed": 0,
    "dataset_checksum": CHECKSUM,
    "best_checkpoint": "checkpoints/best.ckpt",
}
FIGURES: dict[str, Any] = {
    "perplexity": {"model": 1.2, "baseline": 1.21, "prior": 1.25},
    "auroc": {"model": 0.7, "baseline": 0.6, "prior": 0.5},
    "ap": {"model": 0.3, "baseline": 0.2, "prior": 0.1},
    "f1": {"model": 0.4, "baseline": 0.3, "prior": 0.2, "difference": 0.1},
    "wins": 2,
    "ties": 0,
    "losses": 1,
    "intervals": {"100000": {"f1": {"difference": [0.05, 0.15]}, "wins": [1.2, 2.8]}},
}
SUMMARY: dict[str, Any] = {
    "n_tasks": 3,
    "task_set": WORDS,
    "dataset": {"checksum": CHECKSUM},
    "protocol": "tuned",
    "bootstrap": {"block_bp": [100_000, 500_000], "level": 0.95},
    "baseline": {"same_context": {"strands": "summed"}},
    "checkpoints": [{"name": "a", "path": "runs/a/checkpoints/best.ckpt"}],
    "valid": FIGURES,
    "test": copy.deepcopy(FIGURES),
}


def changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with entries set, each by its keys with dots between; ... deletes one."""
    content = copy.deepcopy(content)
    for key, value in changes.items():
        *above, last = key.split(".")
        node = content
        for part in above:
            node = node[part]
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return content


def write_run(
    folder: Path,
    perplexity: float | None = 1.2,
    seed: int = 0,
    training: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """A finished run with the changes given (see `changed`)."""
    folder.mkdir(parents=True)
    figures = changed(TRAINING, {"valid_perplexity": perplexity, "seed": seed} | (training or {}))
    (folder / "training.json").write_text(json.dumps(figures))
    (folder / "config.yaml").write_text(yaml.safe_dump(changed(CONFIG, {"seed": seed} | (config or {}))))
    return folder


def write_evaluation(run: Path, changes: dict[str, Any] | None = None) -> None:
    """An evaluation in a run folder, with the changes given (see `changed`); validation as in training."""
    (run / "evaluation").mkdir()
    perplexity = json.loads((run / "training.json").read_text())["valid_perplexity"]
    content = changed(SUMMARY, {"valid.perplexity.model": perplexity} | (changes or {}))
    (run / "evaluation" / "summary.json").write_text(json.dumps(content))
    (run / "evaluation" / "tasks.tsv").write_text("id\tgroup\nt1\ttf\n")
