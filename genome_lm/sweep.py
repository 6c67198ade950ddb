"""The table at the end of a sweep."""

import json
import logging
import math
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from genome_lm.atomic import write_text

logger = logging.getLogger(__name__)

RESULT_FILE = "training.json"
ERROR_FILE = "error.txt"
COLUMNS = (
    "job",
    "valid_perplexity",
    "prior",
    "model",
    "parameters",
    "epochs",
    "best_epoch",
    "minutes",
    "windows_per_second",
    "overrides",
)


class SweepTable(Callback):
    """Hydra callback: one table of a sweep's jobs, best validation perplexity first.

    The table is read from the jobs' folders, so it does not matter which launcher or process ran them. It is
    printed and written as `sweep.tsv` and `sweep.md` into the sweep's folder. Jobs that failed come last.
    """

    failed: ClassVar[int] = 0
    """Jobs of the latest sweep that failed."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        rows = sweep_rows(folder)
        SweepTable.failed = sum(1 for row in rows if row["valid_perplexity"] == "failed")
        if not rows:
            return
        table = [list(COLUMNS), *([str(row[column]) for column in COLUMNS] for row in rows)]
        write_text(folder / "sweep.tsv", "".join("\t".join(line) + "\n" for line in table))
        markdown = _markdown(table)
        task_sets = sorted({row["task_set"] for row in rows if row["task_set"]})
        note = f"Validation perplexity over {'; '.join(task_sets)}."
        write_text(folder / "sweep.md", f"{markdown}\n{note}\n")
        logger.info("\n%s\n%s\n%s", markdown, note, folder / "sweep.tsv")


def sweep_rows(folder: Path) -> list[dict[str, Any]]:
    """One row a job folder in `folder` that finished or failed, ranked; values as they are shown."""
    ranked = []
    for job in folder.iterdir():
        overrides_file = job / ".hydra" / "overrides.yaml"
        if not overrides_file.is_file():
            continue
        overrides = " ".join(str(each) for each in OmegaConf.load(overrides_file))
        row: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {
            "job": job.name,
            "overrides": overrides,
            "task_set": "",
        }
        score = math.inf
        if (job / RESULT_FILE).is_file():
            result = json.loads((job / RESULT_FILE).read_text(encoding="utf-8"))
            score = result["valid_perplexity"]
            row |= {
                "valid_perplexity": f"{score:.5f}",
                "prior": f"{result['valid_prior_perplexity']:.5f}",
                "model": result["model"],
                "parameters": result["parameters"],
                "epochs": result["epochs"],
                "best_epoch": result["best_epoch"],
                "minutes": f"{result['seconds'] / 60:.1f}",
                "windows_per_second": f"{result['windows_per_second']:.0f}",
                "task_set": result["task_set"],
            }
        else:
            row["valid_perplexity"] = "failed"
        ranked.append((score, job.name, row))
    return [row for _, _, row in sorted(ranked, key=lambda entry: entry[:2])]


def _markdown(table: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in table
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
