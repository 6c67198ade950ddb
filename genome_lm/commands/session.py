"""What every kind of training shares: trainer, callbacks, loggers, and a run folder left in order."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from genome_lm import __version__
from genome_lm.atomic import write_text
from genome_lm.callbacks.averaged_weights import AveragedWeights
from genome_lm.callbacks.epoch_figures import EpochFigures
from genome_lm.callbacks.epoch_report import EpochReport
from genome_lm.callbacks.finite_loss import FiniteLoss
from genome_lm.callbacks.rank_seed import RankSeed
from genome_lm.callbacks.run_checkpoints import LAST, RunCheckpoints
from genome_lm.callbacks.run_state import RunState
from genome_lm.callbacks.termination import Termination
from genome_lm.checkpoint_io import AtomicCheckpointIO
from genome_lm.commands.device import device_from
from genome_lm.commands.resume import CHECKPOINTS, RESULT, ResumePoint
from genome_lm.commands.strategy import strategy_from
from genome_lm.config import TrainConfig
from genome_lm.curve import CurveLogger
from genome_lm.errors import Terminated, UserError
from genome_lm.loggers import Before, begin, finish, log_result, loggers_from, note_preemption
from genome_lm.provenance import Provenance
from genome_lm.ranks.group import check_agreement

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
        resume: the checkpoint to go on from.
    """

    config: TrainConfig
    run_dir: Path
    interactive: bool
    origin: Provenance
    callbacks: Sequence[L.Callback] = ()
    resume: ResumePoint | None = None


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
        UserError: a logger is not installed, the loss stops being finite, training ended before its first
            validation, or the disk is full.
        Terminated: a signal asked for the end; the state is saved, if there was a first step.
    """
    config, run_dir, resume = session.config, session.run_dir, session.resume
    goes_on = resume if resume is not None and resume.in_place else None
    if goes_on is not None and goes_on.started is not None:
        session = replace(session, origin=replace(session.origin, started=goes_on.started))
    behind = None if resume is None else f"{resume.path.name}, {resume.step} steps"
    check_agreement({"dataset": undertaking.facts["dataset"]["checksum"], "checkpoint to go on from": behind})
    _begin_folder(run_dir, OmegaConf.to_yaml(OmegaConf.create(undertaking.settings)))
    before = None if goes_on is None else Before(goes_on.rows, goes_on.step)
    loggers = loggers_from(config.logger, run_dir, before)
    report, figures, termination = EpochReport(undertaking.line), EpochFigures(), Termination()
    curve = next(each for each in loggers if isinstance(each, CurveLogger))
    state = RunState(session.origin.started, curve.rows, exact=resume is not None and resume.exact)
    checkpoints = _checkpoints(session, state, termination)
    callbacks = [
        FiniteLoss(config.trainer.log_every_n_steps),
        RankSeed(config.seed),
        report,
        figures,
        termination,
        state,
        checkpoints,
        *_chosen_callbacks(config),
        *session.callbacks,
    ]
    failed = True
    try:
        about = undertaking.facts | {"genome_lm_version": __version__} | asdict(session.origin)
        begin(loggers, run_dir, undertaking.settings | about, before)
        trainer = _trainer(session, callbacks, loggers)
        undertaking.announce()
        _fit(trainer, module, datamodule, None if resume is None else resume.path)
        result = undertaking.gather(_finished(session, trainer, checkpoints, report, figures, state.seconds))
        log_result(loggers, asdict(result))
        _leave(run_dir, result, undertaking.done(result))  # last: a folder with training.json is done
        failed = False
    except Terminated:
        note_preemption(loggers)
        if (run_dir / CHECKPOINTS / LAST).is_file():
            say("told to end; the state is saved: resume=auto goes on in %s", run_dir)
        else:
            say("told to end before there was a state to save in %s", run_dir)
        raise
    finally:
        finish(loggers, run_dir, failed=failed)
    return result


def _checkpoints(session: Session, state: RunState, termination: Termination) -> RunCheckpoints:
    chosen, resume = session.config.callbacks, session.resume
    return RunCheckpoints(
        session.run_dir / CHECKPOINTS,
        MONITOR,
        keep_last=chosen.save_last,
        every_steps=chosen.save_every_steps if chosen.save_last else None,
        every_seconds=None if chosen.save_every_minutes is None else 60 * chosen.save_every_minutes,
        state=state,
        termination=termination,
        resumed_from=resume.path if resume is not None and resume.in_place else None,
    )


def _chosen_callbacks(config: TrainConfig) -> list[L.Callback]:
    chosen: list[L.Callback] = []
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
        devices=settings.devices or 1,
        num_nodes=settings.num_nodes or 1,
        strategy=strategy_from(settings),
        precision=settings.precision.value,
        max_epochs=settings.max_epochs,
        max_time=settings.max_time,
        gradient_clip_val=settings.gradient_clip_norm or None,
        gradient_clip_algorithm="norm",
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
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
    ckpt_path: Path | None,
) -> None:
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=None if ckpt_path is None else str(ckpt_path))
    except SystemExit as error:  # how Lightning answers Ctrl-C
        if trainer.interrupted and error.code == 1:
            raise KeyboardInterrupt from error
        raise


def _finished(
    session: Session,
    trainer: L.Trainer,
    checkpoints: RunCheckpoints,
    report: EpochReport,
    figures: EpochFigures,
    seconds: float,
) -> Finished:
    best, epoch = checkpoints.best_score, checkpoints.best_epoch
    if best is None:
        raise UserError(
            f"the run ended before its first validation and has no checkpoint ({session.run_dir}); "
            "raise trainer.max_time or trainer.max_epochs"
        )
    return Finished(
        session=session,
        perplexity=best,
        epoch=epoch,
        valid=figures.by_epoch[epoch],
        best_checkpoint=str(checkpoints.best_path.relative_to(session.run_dir)),
        # As saved, also where nothing is left to do; trainer.current_epoch is one less then.
        epochs=trainer.fit_loop.epoch_progress.state_dict()["current"]["processed"],
        seconds=seconds,
        report=report,
    )


def silence(module: Any) -> None:
    """Drop advice that does not apply: batches are cut from memory, so workers would only add copies.

    Args:
        module: `warnings`, while it catches them.
    """
    module.filterwarnings("ignore", message=".*does not have many workers.*")
    module.filterwarnings("ignore", message=".*your dataloader is not resumable.*")  # ResumableLoading is
    module.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be.*")  # older
    module.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    module.filterwarnings("ignore", message=".*GPU available but not used.*")
    module.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")  # Lightning's own use of torch
    module.filterwarnings("ignore", message=".*broadcast_buffers.*is deprecated.*")  # torch 2.6: no other
    module.filterwarnings("ignore", message="The .grad attribute of a Tensor")  # torch.compile's tracing
    module.filterwarnings("ignore", message=".*sync_dist=True.*")  # MeanCrossEntropy is reduced already
    for name in ("lightning.pytorch", "lightning.fabric"):  # their notes on devices and products
        logging.getLogger(name).setLevel(logging.WARNING)


# With several devices each rank runs this file; one of them speaks and writes.
say = rank_zero_only(logger.info)
_write = rank_zero_only(write_text)


@rank_zero_only
def _begin_folder(run_dir: Path, config: str) -> None:
    """A folder with training.json is of a run that is done, so one of an earlier run goes first."""
    (run_dir / RESULT).unlink(missing_ok=True)
    write_text(run_dir / "config.yaml", config)


def _leave(run_dir: Path, result: AnyDataclass, summary: str) -> None:
    """Write training.json and say how it went."""
    content = asdict(result)
    _write(run_dir / RESULT, json.dumps(content, indent=2) + "\n")
    say("done    %s", summary)
    say("        %s", run_dir.absolute() / content["best_checkpoint"])
