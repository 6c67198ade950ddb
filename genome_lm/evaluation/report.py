"""The files of an evaluation."""

from collections.abc import Mapping
from pathlib import Path

from genome_lm.atomic import write_text
from genome_lm.evaluation.compare import Comparison
from genome_lm.evaluation.markdown import to_markdown
from genome_lm.evaluation.summary import Summary, summarise, to_json
from genome_lm.evaluation.task_table import to_tsv


def write_evaluation(
    folder: Path, comparison: Comparison, baseline: Mapping[str, object] | None = None
) -> Summary:
    """Write tasks.tsv, summary.json and summary.md into `folder`, each whole or not at all.

    Args:
        baseline: how the baseline was fitted, see `genome_lm.evaluation.summary.summarise`.

    Raises:
        UserError: the folder cannot be written.
    """
    summary = summarise(comparison, baseline)
    texts = {
        "tasks.tsv": to_tsv(comparison),
        "summary.json": to_json(summary),
        "summary.md": to_markdown(summary),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return summary
