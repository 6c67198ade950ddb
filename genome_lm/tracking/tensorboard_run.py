"""TensorBoard's event files of a run: hyperparameters, best figures, and the evaluation."""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from genome_lm.tables import to_markdown
from genome_lm.tracking.outputs import Cell, Outputs
from genome_lm.tracking.record import TensorBoardRecord

HEADLINE = (
    "best/valid_perplexity",
    "best/valid_prior_perplexity",
    "best/valid_skill",
    "parameters",
    "seconds",
    "test/wins",
    "test/counted",
    "test/f1/model",
    "test/f1/baseline",
    "test/f1/difference",
    "test/perplexity/model",
    "test/perplexity/prior",
    "test/skill/model",
)
"""Columns of the HParams tab beside the settings; those of test are empty until the run is evaluated."""

TABLE_COLUMNS = (
    "id",
    "target",
    "cell",
    "group",
    "train_positives",
    "test_f1_model",
    "test_f1_baseline",
    "test_f1_difference",
    "test_f1_difference_q",
    "test_significance",
    "test_auroc_model",
    "test_ap_model",
)
"""Columns of tasks.tsv that the text tab shows, as far as they are there."""


def declare_settings(writer: SummaryWriter, settings: Mapping[str, Any]) -> None:
    """Enter the run into the HParams tab; TensorBoard takes the columns from the first such entry alone."""
    flat = dict(_flat("", settings))
    for summary in hparams(flat, dict.fromkeys(HEADLINE, 0.0)):
        writer._get_file_writer().add_summary(summary)


def log_figures(writer: SummaryWriter, figures: Mapping[str, float], step: int) -> None:
    """One scalar a figure, all at `step`."""
    for name, value in figures.items():
        writer.add_scalar(name, value, step)


def add_evaluation(run_dir: Path, record: TensorBoardRecord, outputs: Outputs) -> None:
    """Add the evaluation to the run's event files, at the step of the best epoch.

    Scalars are the summary's figures, not the scores of single tasks; the pictures are kept as they are; the
    tasks are a table in the text tab.
    """
    writer = SummaryWriter(str(run_dir / record.folder))
    step = outputs.best_epoch
    try:
        log_figures(writer, {outputs.prefix + name: value for name, value in outputs.figures.items()}, step)
        for name, path in outputs.pictures.items():
            writer._get_file_writer().add_summary(_picture(f"{outputs.prefix}figures/{name}", path), step)
        facts = [[name, str(value)] for name, value in outputs.facts.items()]
        writer.add_text(f"{outputs.prefix}evaluation", to_markdown([["", ""], *facts], left=(0, 1)), step)
        shown = [name for name in TABLE_COLUMNS if name in outputs.columns]
        places = [outputs.columns.index(name) for name in shown]
        table = [[_text(row[place]) for place in places] for row in outputs.rows]
        writer.add_text(f"{outputs.prefix}tasks", to_markdown([shown, *table]), step)
    finally:
        writer.close()


def _flat(prefix: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, str | int | float | bool]]:
    """Nested settings as `optimizer/learning_rate`; what is no plain value becomes text."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}/", value)
        else:
            yield f"{prefix}{name}", value if isinstance(value, bool | int | float | str) else str(value)


def _picture(name: str, path: Path) -> Summary:
    """A PNG file as it is; its header says how large it is (ISO/IEC 15948, 11.2.2)."""
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=content)
    return Summary(value=[Summary.Value(tag=name, image=image)])


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else f"{cell:.4g}"
