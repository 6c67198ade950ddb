"""What every kind of training shares: trainer, callbacks, loggers, and a run folder left in order."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from genome_lm import __version__
from genome_lm.atomic import write_text
from genome_lm.callbacks.averaged_weights import AveragedWeights
from genome_lm.callbacks.epoch_figures import EpochFigures
from genome_lm.callbacks.epoch_report import EpochReport
from genome_lm.callbacks.finite_loss import FiniteLoss
from genome_lm.commands.device import device_from
from genome_lm.config import TrainConfig
from genome_lm.errors import UserError
from genome_lm.loggers import begin, finish, log_result, loggers_from
from genome_lm.provenance import Provenance

logger = logging.getLogger(__name__)

MONITOR = "valid/perplexity"


class AnyDataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Result = TypeVar("Result", bound=AnyDataclass)


@dataclass(frozen=True)
class Session:
    """How and where to train.

    Attributes:
        config: the composed and resolved configuration.
        run_dir: the run folder.
        interactive: whether a person watches a terminal.
        origin: where the run comes from.
        callbacks: further ones, behind those of every training.
    """

    config: TrainConfig
    run_dir: Path
    interactive: bool
    origin: Provenance
    callbacks: Sequence[L.Callback] = ()


@dataclass(frozen=True)
class Finished:
    """What is known once the weights are trained.

    Attributes:
        session: how it was trained.
        perplexity: on validation, the lowest of all epochs.
        epoch: the epoch of that, counted from 0.
        valid: the figures that were logged under `valid/` then.
        best_checkpoint: relative to the run folder.
        epochs: trained.
        seconds: wall time of the whole fit.
        report: speed of the training loop.
    """

    session: Session
    perplexity: float
    epoch: int
    valid: Mapping[str, float]
    best_checkpoint: str
    epochs: int
    seconds: float
    report: EpochReport


@dataclass(frozen=True)
class Undertaking(Generic[Result]):
    """What is particular to a kind of training.

    Attributes:
        settings: the configuration as it is kept, plain values.
        facts: logged beside it.
        line: the figures of an epoch in words.
        announce: says what will be trained.
        gather: the contents of training.json.
        done: those in one line.
    """

    settings: dict[str, Any]
    facts: dict[str, Any]
    line: Callable[[Mapping[str, float]], str]
    announce: Callable[[], None]
    gather: Callable[[Finished], Result]
    done: Callable[[Result], str]


def plain_settings(config: TrainConfig) -> dict[str, Any]:
    """The configuration as plain values."""
    plain = OmegaConf.to_container(OmegaConf.structured(config), resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def run(
    session: Session,
    module: L.LightningModule,
    datamodule: L.LightningDataModule,
    undertaking: Undertaking[Result],
) -> Result:
    """Train a module and leave a run folder behind.

    Raises:
        UserError: a logger is not installed, the loss stops being finite, or training ended before its first
            validation.
    """
    config, run_dir = session.config, session.run_dir
    _write(run_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(undertaking.settings)))
    checkpoints = ModelCheckpoint(
        dirpath=run_dir / "checkpoints",
        filename="best",
        monitor=MONITOR,
        mode="min",
        save_top_k=1,
        enable_version_counter=False,
    )
    report, figures = EpochReport(undertaking.line), EpochFigures()
    callbacks = [
        FiniteLoss(config.trainer.log_every_n_steps),
        report,
        figures,
        checkpoints,
        *_chosen_callbacks(config, run_dir),
        *session.callbacks,
    ]
    loggers = loggers_from(config.logger, run_dir)
    failed = True
    try:
        about = undertaking.facts | {"genome_lm_version": __version__} | asdict(session.origin)
        begin(loggers, run_dir, undertaking.settings | about)
        trainer = _trainer(session, callbacks, loggers)
        undertaking.announce()
        started = time.perf_counter()
        _fit(trainer, module, datamodule, config.ckpt_path)
        seconds = time.perf_counter() - started
        result = undertaking.gather(_finished(session, trainer, checkpoints, report, figures, seconds))
        _leave(run_dir, result, undertaking.done(result))
        log_result(loggers, asdict(result))
        failed = False
    finally:
        finish(loggers, run_dir, failed=failed)
    return result


def _chosen_callbacks(config: TrainConfig, run_dir: Path) -> list[L.Callback]:
    chosen: list[L.Callback] = []
    if config.callbacks.save_last:
        # Every epoch: ModelCheckpoint's own save_last only follows where a best one was saved.
        chosen.append(
            ModelCheckpoint(dirpath=run_dir / "checkpoints", filename="last", enable_version_counter=False)
        )
    if config.callbacks.ema_decay:
        chosen.append(AveragedWeights(config.callbacks.ema_decay))
    if config.callbacks.early_stopping:
        chosen.append(
            EarlyStopping(
                MONITOR,
                mode="min",
                patience=config.callbacks.patience,
                min_delta=config.callbacks.min_delta,
                check_finite=False,  # FiniteLoss says more
            )
        )
    return chosen


def _trainer(session: Session, callbacks: list[L.Callback], loggers: list[Any]) -> L.Trainer:
    settings = session.config.trainer
    return L.Trainer(
        default_root_dir=session.run_dir,
        accelerator=device_from(settings.accelerator, "trainer").type,
        devices=settings.devices,
        precision=settings.precision.value,
        max_epochs=settings.max_epochs,
        max_time=settings.max_time,
        gradient_clip_val=settings.gradient_clip_norm or None,
        gradient_clip_algorithm="norm",
        callbacks=callbacks,
        logger=loggers,
        log_every_n_steps=settings.log_every_n_steps,
        limit_train_batches=settings.limit_train_batches,
        limit_val_batches=settings.limit_val_batches,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # EpochSampler takes each rank's share itself
        enable_progress_bar=session.interactive if settings.progress_bar is None else settings.progress_bar,
        enable_model_summary=False,
    )


def _fit(
    trainer: L.Trainer,
    module: L.LightningModule,
    datamodule: L.LightningDataModule,
    ckpt_path: str | None,
) -> None:
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=ckpt_path)
    except SystemExit as error:  # how Lightning answers Ctrl-C
        if trainer.interrupted:
            raise KeyboardInterrupt from error
        raise


def _finished(
    session: Session,
    trainer: L.Trainer,
    checkpoints: ModelCheckpoint,
    report: EpochReport,
    figures: EpochFigures,
    seconds: float,
) -> Finished:
    best = checkpoints.best_model_score
    if best is None:
        raise UserError(
            f"the run ended before its first validation and has no checkpoint ({session.run_dir}); "
            "raise trainer.max_time or trainer.max_epochs"
        )
    path = checkpoints.best_model_path
    epoch = int(torch.load(path, map_location="cpu", weights_only=True)["epoch"])
    return Finished(
        session=session,
        perplexity=float(best),
        epoch=epoch,
        valid=figures.by_epoch[epoch],
        best_checkpoint=str(Path(path).relative_to(session.run_dir.absolute())),
        epochs=trainer.current_epoch,
        seconds=seconds,
        report=report,
    )


def silence(module: Any) -> None:
    """Drop advice that does not apply: batches are cut from memory, so workers would only add copies.

    Args:
        module: `warnings`, while it catches them.
    """
    module.filterwarnings("ignore", message=".*does not have many workers.*")
    module.filterwarnings("ignore", message=".*exists and is not empty.*")
    module.filterwarnings("ignore", message=".*The dirpath has changed.*")  # a resumed run has its own folder
    module.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    module.filterwarnings("ignore", message=".*GPU available but not used.*")
    module.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")  # Lightning's own use of torch
    module.filterwarnings(
        "ignore", message="The .grad attribute of a Tensor"
    )  # torch.compile while it traces
    module.filterwarnings("ignore", message=".*sync_dist=True.*")  # MeanCrossEntropy is reduced already
    for name in ("lightning.pytorch", "lightning.fabric"):  # their notes on devices and products
        logging.getLogger(name).setLevel(logging.WARNING)


# With several devices each rank runs this file; one of them speaks and writes.
say = rank_zero_only(logger.info)
_write = rank_zero_only(write_text)


def _leave(run_dir: Path, result: AnyDataclass, summary: str) -> None:
    """Write training.json and say how it went."""
    content = asdict(result)
    _write(run_dir / "training.json", json.dumps(content, indent=2) + "\n")
    say("done    %s", summary)
    say("        %s", run_dir.absolute() / content["best_checkpoint"])
