"""What a finished training says of itself: the contents of training.json."""

import math
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from genome_lm import __version__
from genome_lm.callbacks.epoch_figures import EpochFigures
from genome_lm.callbacks.epoch_report import EpochReport
from genome_lm.checkpoint import Description
from genome_lm.errors import UserError
from genome_lm.module import MultitaskModule
from genome_lm.naming import task_ids_sha256
from genome_lm.provenance import Provenance


@dataclass(frozen=True)
class TrainResult:
    """What a finished run says of itself; also written to `training.json`.

    Perplexities run over the tasks named by `task_set`; `seconds` is the wall time of the whole fit. What is
    called valid is of the best epoch, the one in `best_checkpoint`; None where no task defines it. The AUROC
    and AP are from histograms, the F1 is at each task's best threshold there: optimistic. Windows and tokens
    per second are of the training loop, over all epochs.
    """

    model: str
    valid_perplexity: float
    valid_prior_perplexity: float
    valid_skill: float
    valid_auroc: float | None
    valid_ap: float | None
    valid_f1: float | None
    task_set: str
    n_tasks: int
    task_ids_sha256: str
    parameters: int
    epochs: int
    best_epoch: int
    seconds: float
    windows_per_second: float | None  # None if no step was timed
    tokens_per_window: int
    tokens_per_second: float | None
    data_wait_share: float | None
    seed: int
    dataset_checksum: str
    genome_lm_version: str
    best_checkpoint: str
    command: str  # these four: see genome_lm.provenance.Provenance
    started: str
    code_version: str
    versions: dict[str, str]


def training_result(
    run_dir: Path,
    trainer: L.Trainer,
    module: MultitaskModule,
    checkpoints: ModelCheckpoint,
    report: EpochReport,
    figures: EpochFigures,
    *,
    seed: int,
    seconds: float,
    origin: Provenance,
) -> TrainResult:
    """Gather what trainer, callbacks and checkpoints know once training is over.

    Raises:
        UserError: training ended before its first validation, so that there is no checkpoint.
    """
    description = Description(**module.description)
    best = checkpoints.best_model_score
    if best is None:
        raise UserError(
            f"the run ended before its first validation and has no checkpoint ({run_dir}); "
            "raise trainer.max_time or trainer.max_epochs"
        )
    epoch = torch.load(checkpoints.best_model_path, map_location="cpu", weights_only=True)["epoch"]
    valid = figures.by_epoch[int(epoch)]
    windows_per_second = report.total_windows / report.total_seconds if report.total_seconds else math.nan
    tokens = module.network.tokens(description.context_bp)
    return TrainResult(
        model=description.model_name,
        valid_perplexity=float(best),
        valid_prior_perplexity=valid["prior_perplexity"],
        valid_skill=valid["skill"],
        valid_auroc=_defined(valid["auroc"]),
        valid_ap=_defined(valid["ap"]),
        valid_f1=_defined(valid["f1"]),
        task_set=description.task_set,
        n_tasks=len(description.tasks["id"]),
        task_ids_sha256=task_ids_sha256(description.tasks["id"]),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        epochs=trainer.current_epoch,
        best_epoch=int(epoch) + 1,
        seconds=seconds,
        windows_per_second=_defined(windows_per_second),
        tokens_per_window=tokens,
        tokens_per_second=_defined(windows_per_second * tokens),
        data_wait_share=report.total_waited / report.total_seconds if report.total_seconds else None,
        seed=seed,
        dataset_checksum=str(description.dataset["checksum"]),
        genome_lm_version=__version__,
        best_checkpoint=str(Path(checkpoints.best_model_path).relative_to(run_dir.absolute())),
        command=origin.command,
        started=origin.started,
        code_version=origin.code_version,
        versions=origin.versions,
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
