"""The files that a report is made from; all but the summary and the task table may be missing."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genome_lm.errors import UserError
from genome_lm.plain import plain_json, plain_text
from genome_lm.tables import unguarded

FEW_POSITIVES = 30  # below that many positives in validation a threshold is close to a guess


@dataclass(frozen=True)
class Task:
    """One row of tasks.tsv; a number that is missing or undefined is None."""

    id: str
    cell: str
    target: str
    treatment: str
    group: str
    few: bool  # fewer than FEW_POSITIVES positives in validation
    outcome: str  # "win", "tie", "loss" or ""
    significance: str  # "win", "loss" or ""
    values: Mapping[str, float]  # every numeric column, undefined ones left out

    def get(self, column: str) -> float | None:
        """The number in a column, or None."""
        return self.values.get(column)


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training; perplexities that were not logged are None."""

    number: int  # from 1
    train: float | None
    valid: float | None
    prior: float | None


@dataclass(frozen=True)
class Inputs:
    """All that a report is made from."""

    run: str  # name of the run folder
    summary: Mapping[str, object]
    tasks: Sequence[Task]
    epochs: Sequence[Epoch]
    training: Mapping[str, object]  # training.json, empty if there is none
    config: str  # config.yaml as it is, empty if there is none
    overrides: Sequence[str] | None  # what was given on the command line, None if that is not known


def read_inputs(run_dir: Path, evaluation: Path) -> Inputs:
    """Read an evaluated run.

    Raises:
        UserError: summary.json or tasks.tsv is missing or unreadable.
    """
    summary = read_json(evaluation / "summary.json")
    if summary is None:
        raise UserError(
            f"no readable summary.json in {evaluation}; run `genome-lm evaluate` on that run first"
        )
    return Inputs(
        run=run_dir.resolve().name,
        summary=summary,
        tasks=read_tasks(evaluation / "tasks.tsv"),
        epochs=read_epochs(run_dir / "metrics.csv"),
        training=read_json(run_dir / "training.json") or {},
        config=_text(run_dir / "config.yaml"),
        overrides=read_overrides(run_dir / ".hydra" / "overrides.yaml"),
    )


def read_json(path: Path) -> Mapping[str, object] | None:
    """A JSON object, or None if there is no such file or it holds something else."""
    try:
        value = plain_json(plain_text(path))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def read_tasks(path: Path) -> list[Task]:
    """The task table in its own order.

    Raises:
        UserError: it cannot be read, or has no column `id`.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            found = list(reader)
            columns = reader.fieldnames or []
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {error}; run `genome-lm evaluate` again") from error
    if "id" not in columns:
        raise UserError(f"{path} has no column id; run `genome-lm evaluate` again")
    return [_task(row) for row in found]


def _task(row: Mapping[str, str]) -> Task:
    values = {}
    for name, field in row.items():
        value = _number(field)
        if value is not None:
            values[name] = value
    positives = values.get("valid_positives")
    few = row.get("few_valid_positives")
    return Task(
        id=unguarded(row["id"] or ""),
        cell=unguarded(row.get("cell") or ""),
        target=unguarded(row.get("target") or ""),
        treatment=unguarded(row.get("treatment") or ""),
        group=unguarded(row.get("group") or ""),
        few=few == "1" if few else positives is not None and positives < FEW_POSITIVES,
        outcome=row.get("test_outcome") or "",
        significance=row.get("test_significance") or "",
        values=values,
    )


def read_epochs(path: Path) -> list[Epoch]:
    """Perplexities by epoch out of Lightning's metrics.csv; none if there is no such file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return []
    columns = {"train": "train/perplexity", "valid": "valid/perplexity", "prior": "valid/prior_perplexity"}
    epochs: dict[int, dict[str, float]] = {}
    for row in found:
        epoch = _number(row.get("epoch"))
        logged = {name: _number(row.get(column)) for name, column in columns.items()}
        given = {name: value for name, value in logged.items() if value is not None}
        if epoch is not None and given:
            epochs.setdefault(int(epoch) + 1, {}).update(given)
    return [
        Epoch(number, values.get("train"), values.get("valid"), values.get("prior"))
        for number, values in sorted(epochs.items())
    ]


def read_overrides(path: Path) -> list[str] | None:
    """The overrides that Hydra wrote down, a YAML list of strings; None if they cannot be read."""
    overrides = []
    for line in _text(path).splitlines():
        if line.startswith("- "):
            item = line[2:]
            quoted = len(item) > 1 and item[0] == item[-1] == "'"
            overrides.append(item[1:-1].replace("''", "'") if quoted else item)
        elif line.strip() != "[]":
            return None  # a form that Hydra does not write for plain overrides, such as a folded string
    return overrides if path.is_file() else None


def _text(path: Path) -> str:
    try:
        return plain_text(path)
    except (OSError, ValueError):
        return ""


def _number(field: str | None) -> float | None:
    try:
        value = float(field) if field else math.nan
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
