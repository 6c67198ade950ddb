"""The tasks of DeepSEA's files by index: the 919 published ones, or a table of one's own."""

from pathlib import Path

import numpy as np

from genome_lm.dataset.contents import TaskTable
from genome_lm.dataset.manifest import read_rows, scores_of
from genome_lm.errors import UserError

TEXT_COLUMNS = ("cell", "target", "treatment", "group", "accession", "file")
_KNOWN = {"index", "task_id", "selects_bins", *TEXT_COLUMNS}


def published_tasks_path() -> Path:
    """The 919 features with what is published of them, shipped with the package; its comments say whence."""
    return Path(__file__).parents[2] / "assets" / "deepsea_tasks.tsv"


def read_tasks(path: Path | None, n_tasks: int, where: str) -> TaskTable:
    """The task table of files with `n_tasks` columns of labels.

    Args:
        path: tab-separated, with the columns `index` (from 0) and, as far as known, task_id, cell, target,
            treatment, group, accession and file; further columns of numbers become reference scores. Tasks
            that it does not list, or gives no id, are named by index, such as deepsea_0123. None: the
            published 919.
        where: the files, for the message.

    Raises:
        UserError: the table is wrong (names the line), an id is used twice, or `n_tasks` is not 919 and no
            table is given.
    """
    if path is None:
        path = published_tasks_path()
        published = len(read_rows(path, "tasks")[1])
        if published != n_tasks:
            raise UserError(
                f"{where}: {n_tasks:,} tasks, DeepSEA has {published}; give their names with "
                "source.task_names=FILE.tsv"
            )
    header, rows = read_rows(path, "tasks")
    if "index" not in header:
        raise UserError(f"{path}: no column 'index'; found {', '.join(header)}; number the tasks from 0")
    texts = {name: [""] * n_tasks for name in TEXT_COLUMNS}
    ids = [f"deepsea_{index:04d}" for index in range(n_tasks)]
    line_of: dict[int, int] = {}
    for number, row in rows:
        index = _index(path, number, row["index"], n_tasks)
        if index in line_of:
            raise UserError(f"{path}: line {number}: index {index} was used on line {line_of[index]}")
        line_of[index] = number
        ids[index] = _id(path, number, row.get("task_id", "")) or ids[index]
        for name, column in texts.items():
            column[index] = row.get(name, "")
    _check_unique(path, ids, line_of)
    references = {}
    for name in header:
        found = None if name in _KNOWN else scores_of(path, name, [row[name] for _, row in rows])
        if found is not None:
            references[name] = np.full(n_tasks, np.nan)
            references[name][list(line_of)] = found
    # DeepSEA kept the bins with at least one transcription factor.
    selects = np.array([group == "tf" for group in texts["group"]])
    return TaskTable(
        id=tuple(ids),
        cell=tuple(texts["cell"]),
        target=tuple(texts["target"]),
        treatment=tuple(texts["treatment"]),
        group=tuple(texts["group"]),
        source_file=tuple(texts["file"]),
        accession=tuple(texts["accession"]),
        selects_bins=selects,
        n_peaks=np.zeros(n_tasks, dtype=np.int64),  # the files do not say
        reference=references,
    )


def _index(path: Path, number: int, text: str, n_tasks: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) >= n_tasks:
        raise UserError(f"{path}: line {number}: index {text[:40]!r}; expected 0 to {n_tasks - 1}")
    return int(text)


def _id(path: Path, number: int, text: str) -> str:
    if not text.isprintable() or "/" in text:
        raise UserError(
            f"{path}: line {number}: task id {text[:40]!r}; expected printable characters without '/'"
        )
    return text


def _check_unique(path: Path, ids: list[str], line_of: dict[int, int]) -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(ids):
        if name in first:
            lines = sorted(line_of[each] for each in (first[name], index) if each in line_of)
            raise UserError(
                f"{path}: line {lines[-1]}: task id {name!r} stands for tasks {first[name]} and {index}; ids "
                "must be unique"
            )
        first[name] = index
