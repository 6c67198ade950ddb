"""The files of an evaluation."""

from pathlib import Path

from genome_lm.atomic import write_text
from genome_lm.evaluation.compare import Comparison
from genome_lm.evaluation.markdown import to_markdown
from genome_lm.evaluation.summary import NO_DETAILS, Details, Summary, summarise, to_json
from genome_lm.evaluation.task_table import to_tsv


def write_evaluation(folder: Path, comparison: Comparison, details: Details = NO_DETAILS) -> Summary:
    """Write tasks.tsv, summary.json and summary.md into `folder`, each whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    summary = summarise(comparison, details)
    test = details.uncertainty.splits["test"].test if details.uncertainty else None
    texts = {
        "tasks.tsv": to_tsv(comparison, test),
        "summary.json": to_json(summary),
        "summary.md": to_markdown(summary),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return summary
