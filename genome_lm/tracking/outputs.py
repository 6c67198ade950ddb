"""What an evaluation wrote, as a dashboard takes it: figures, table of tasks, pictures and page."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome_lm.errors import UserError
from genome_lm.tables import read_tsv
from genome_lm.tracking.keys import evaluation_facts, evaluation_figures, training_figures

Cell = str | float | None


@dataclass(frozen=True)
class Outputs:
    """The files of an evaluation and of the training before it, read."""

    prefix: str  # before every key: empty, or such as "poster/" for an evaluation that is not the main one
    training: dict[str, float]  # figures of the training, see training_figures
    best_epoch: int
    figures: dict[str, float]  # see evaluation_figures
    facts: dict[str, str | int]  # see evaluation_facts
    columns: list[str]  # of tasks.tsv
    rows: list[list[Cell]]  # [n_tasks][n_columns], numbers as numbers, empty fields as null
    pictures: dict[str, Path]  # PNG files by name
    page: Path | None  # report.html


def read_outputs(run_dir: Path, evaluation: Path) -> Outputs:
    """Read what is to be logged of `evaluation`, the folder with summary.json and tasks.tsv.

    An evaluation by another protocol than the tuned one has keys of its own (`poster/test/wins`), so that the
    main figures of the run stay what they are.

    Raises:
        UserError: files are missing, or the evaluation is of another dataset than the run was trained on.
    """
    summary = _json(evaluation / "summary.json")
    training = _json(run_dir / "training.json")
    checksum = summary["dataset"]["checksum"]
    if checksum != training["dataset_checksum"]:
        raise UserError(
            "it is of another dataset than the run was trained on; its figures would replace the run's own"
        )
    columns, rows = _table(evaluation / "tasks.tsv")
    page = evaluation / "report.html"
    return Outputs(
        prefix="" if summary["protocol"] == "tuned" else f"{summary['protocol']}/",
        training=training_figures(training),
        best_epoch=int(training["best_epoch"]),
        figures=evaluation_figures(summary),
        facts=evaluation_facts(summary),
        columns=columns,
        rows=rows,
        pictures={path.stem: path for path in sorted((evaluation / "figures").glob("*.png"))},
        page=page if page.is_file() else None,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _table(path: Path) -> tuple[list[str], list[list[Cell]]]:
    """Columns and rows; a column is numeric if all its fields are numbers or empty."""
    try:
        rows = read_tsv(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); run `genome-lm evaluate` again") from error
    columns = list(rows[0]) if rows else []
    cells = [_column([row[column] for row in rows]) for column in columns]
    return columns, [list(row) for row in zip(*cells, strict=True)]


def _column(fields: list[str]) -> list[Cell]:
    try:
        numbers = [float(field) if field else None for field in fields]
    except ValueError:
        return list(fields)
    if all(number is None for number in numbers):
        return list(fields)
    return [None if number is None or not math.isfinite(number) else number for number in numbers]
