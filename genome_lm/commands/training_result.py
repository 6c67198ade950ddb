"""What a finished training says of itself: the contents of training.json."""

import math
from dataclasses import dataclass

from genome_lm import __version__
from genome_lm.checkpoint import Description
from genome_lm.commands.session import Finished
from genome_lm.module import MultitaskModule
from genome_lm.naming import task_ids_sha256


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


def training_result(finished: Finished, module: MultitaskModule) -> TrainResult:
    """The figures of a finished multitask training."""
    description = Description(**module.description)
    valid, report, origin = finished.valid, finished.report, finished.session.origin
    windows_per_second = report.windows_per_second
    tokens = module.network.tokens(description.context_bp)
    return TrainResult(
        model=description.model_name,
        valid_perplexity=finished.perplexity,
        valid_prior_perplexity=valid["prior_perplexity"],
        valid_skill=valid["skill"],
        valid_auroc=_defined(valid["auroc"]),
        valid_ap=_defined(valid["ap"]),
        valid_f1=_defined(valid["f1"]),
        task_set=description.task_set,
        n_tasks=len(description.tasks["id"]),
        task_ids_sha256=task_ids_sha256(description.tasks["id"]),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        epochs=finished.epochs,
        best_epoch=finished.epoch + 1,
        seconds=finished.seconds,
        windows_per_second=windows_per_second,
        tokens_per_window=tokens,
        tokens_per_second=None if windows_per_second is None else windows_per_second * tokens,
        data_wait_share=report.data_wait_share,
        seed=finished.session.config.seed,
        dataset_checksum=str(description.dataset["checksum"]),
        genome_lm_version=__version__,
        best_checkpoint=finished.best_checkpoint,
        command=origin.command,
        started=origin.started,
        code_version=origin.code_version,
        versions=origin.versions,
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
