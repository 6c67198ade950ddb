"""The tasks as the page's charts and table read them: one dataset, embedded once."""

from collections.abc import Sequence

from genome_lm.report.figures.rivalry import difference_of, scored, was_tested
from genome_lm.report.inputs import Task
from genome_lm.report.palette import OTHERS, shown_groups
from genome_lm.report.words import group_name, signed, spanned, tiny

COLUMNS = {
    "train_positives": "train_positives",
    "valid_positives": "valid_positives",
    "test_positives": "test_positives",
    "f1_model": "test_f1_model",
    "f1_baseline": "test_f1_baseline",
    "low": "test_f1_difference_low",
    "high": "test_f1_difference_high",
    "q": "test_f1_difference_q",
    "auroc_model": "test_auroc_model",
    "ap_model": "test_ap_model",
    "skill_model": "test_skill_model",
    "deepsea": "reference_deepsea_auroc",
    "danq": "reference_danq_auroc",
}


def task_rows(tasks: Sequence[Task]) -> list[dict[str, object]]:
    """One row a task, highest F1 difference first, those without one last; what is undefined is None."""
    places = {id(task): place for place, task in enumerate(sorted(scored(tasks), key=difference_of), start=1)}
    tested = was_tested(tasks)
    groups = shown_groups([group_name(task.group) for task in tasks])
    rows: list[dict[str, object]] = []
    for task in sorted(tasks, key=lambda task: (-places.get(id(task), 0), task.id)):
        place = places.get(id(task))
        difference = difference_of(task) if place else None
        low, high = (task.get(COLUMNS[name]) for name in ("low", "high"))
        interval = "" if low is None or high is None else f" ({spanned((low, high), sign=True)})"
        group = group_name(task.group)
        q = task.get(COLUMNS["q"])
        rows.append(
            {
                "id": task.id,
                "cell": task.cell,
                "target": task.target,
                "treatment": task.treatment,
                "group": group,
                "shown": group if group in groups else OTHERS,
                "few": task.few,
                "outcome": task.outcome,
                "significance": task.significance,
                "place": place,
                "difference": difference,
                "difference_text": signed(difference) + interval,
                "q_text": "not tested" if q is None and tested and place else tiny(q),
                **{name: rounded(task.get(column)) for name, column in COLUMNS.items()},
            }
        )
    return rows


def rounded(value: float | None) -> float | None:
    """To the six digits that tasks.tsv has, so that the page holds no more."""
    return None if value is None else float(f"{value:.6g}")
