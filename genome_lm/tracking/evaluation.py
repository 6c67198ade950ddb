"""Add an evaluation to the W&B or TensorBoard run that its training wrote."""

import logging
from pathlib import Path

from genome_lm.tracking.outputs import read_outputs
from genome_lm.tracking.record import WandbRecord, read_record

logger = logging.getLogger(__name__)


def log_evaluation(run_dir: Path, evaluation: Path) -> None:
    """Add summary figures, table of tasks, pictures and page; nothing if there is but `metrics.csv`.

    The files of the evaluation are complete before this is called. So whatever fails here (no network, no
    login, a full disk) is told in one line, and the command goes on.

    Args:
        run_dir: the run folder, with training.json and tracking.json.
        evaluation: the folder with summary.json, tasks.tsv and, where they exist, report.html and figures/.
    """
    name = "tracked"
    try:
        record = read_record(run_dir)
        if record is None:
            return
        outputs = read_outputs(run_dir, evaluation)
        # Each is imported where it is needed: W&B takes a second, TensorBoard may not be installed.
        if isinstance(record, WandbRecord):
            from genome_lm.tracking import wandb_run

            name = "W&B"
            if wandb_run.add_evaluation(run_dir, record, outputs):
                logger.info("tracking  added to W&B run %s", record.path)
        else:
            from genome_lm.tracking import tensorboard_run

            name = "TensorBoard"
            tensorboard_run.add_evaluation(run_dir, record, outputs)
            logger.info("tracking  added to %s", run_dir / record.folder)
    except Exception as error:
        logger.warning(
            "tracking  the evaluation is complete in %s but was not added to the %s run: %s",
            evaluation,
            name,
            " ".join(str(error).split()) or type(error).__name__,
        )
