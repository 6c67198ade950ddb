"""The table of all tasks as the page shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genome_lm.report.inputs import FEW_POSITIVES
from genome_lm.report.lookup import number, pair
from genome_lm.report.section import Section
from genome_lm.report.words import count, percent, score, short_group_name, signed, spanned


@dataclass(frozen=True)
class Column:
    """One column: `field` of a task's row, shown in the format named."""

    field: str
    title: str
    about: str
    kind: str  # "words", "count", "score", "signed", "share" or "q"

    @property
    def numeric(self) -> bool:
        """Whether it is sorted by size and set flush right."""
        return self.kind != "words"

    def show(self, row: Mapping[str, object]) -> str:
        """The cell's text."""
        value = row.get(self.field)
        if self.field == "q":
            return str(row.get("q_text") or "")
        if self.field == "group":
            return short_group_name(str(value or ""))
        if self.kind == "words":
            return str(value or "")
        shown = {
            "count": count,
            "score": score,
            "signed": signed,
            "share": lambda x: percent(x, 1),
        }
        return shown[self.kind](number(value))


COLUMNS = (
    Column("id", "task", "identifier of the experiment", "words"),
    Column("cell", "cell", "cell type", "words"),
    Column("target", "target", "protein, mark or assay, and treatment of the cells", "words"),
    Column("group", "group", "kind of experiment", "words"),
    Column("test_positives", "positives", "positive windows in test", "count"),
    Column("f1_model", "F1 model", "F1 of the model, test", "score"),
    Column("f1_baseline", "F1 base", "F1 of the k-mer regression, test", "score"),
    Column("difference", "difference", "F1 of model minus baseline, with its interval", "signed"),
    Column("q", "q", "of the difference, corrected for many tasks", "q"),
    Column("auroc_model", "AUROC", "of the model, test", "score"),
    Column("ap_model", "AP", "average precision of the model, test", "score"),
    Column("skill_model", "skill", "share of the prior's cross-entropy removed by the model, test", "share"),
)

OUTCOMES = {
    "win": "won by the model",
    "loss": "lost by the model",
    "tie": "tied",
    "sure": "significant either way",
    "sure-win": "significantly won",
    "sure-loss": "significantly lost",
    "untested": "not tested",
    "none": "without a score",
}


def task_table_section(rows: Sequence[Mapping[str, object]]) -> Section:
    """All tasks, to search, filter and sort.

    Args:
        rows: as `genome_lm.report.task_data.task_rows` gives them.
    """
    if not rows:
        return Section("tasks", "All tasks", "tasks", missing=["This evaluation has no tasks."])
    columns = [column for column in COLUMNS if any(row.get(column.field) not in (None, "") for row in rows)]
    body = [
        {
            "few": bool(row["few"]),
            "cells": [(column, column.show(row), _note(column, row)) for column in columns],
        }
        for row in rows
    ]
    tested = any(row.get("q") is not None for row in rows)
    present = {str(row["outcome"]) or "none" for row in rows}
    if tested:
        present |= {key for key in OUTCOMES if key.startswith("sure")}
        present |= {"untested" for row in rows if row["outcome"] and row.get("q") is None}
    outcomes = {key: words for key, words in OUTCOMES.items() if key in present}
    content = {
        "columns": columns,
        "body": body,
        "groups": sorted({str(row["group"]) for row in rows}),
        "outcomes": outcomes,
        "few": sum(bool(row["few"]) for row in rows),
        "few_positives": FEW_POSITIVES,
        "sorted_by": "difference" if any(column.field == "difference" for column in columns) else "",
    }
    return Section("tasks", "All tasks", "tasks", content)


def _note(column: Column, row: Mapping[str, object]) -> str:
    if column.field == "target":
        return str(row.get("treatment") or "")
    interval = pair([row.get("low"), row.get("high")]) if column.field == "difference" else None
    return spanned(interval, sign=True)
