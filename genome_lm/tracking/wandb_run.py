"""One W&B run for a training and its evaluations: settings, axes, best figures, and adding to it later."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import wandb

from genome_lm.tracking.outputs import Outputs
from genome_lm.tracking.record import WandbRecord, read_record, with_next_step, write_record

logger = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled", "shared"]

JOB_TYPE = "train"

STEP = "trainer/global_step"
"""The key under which Lightning logs the number of optimiser steps."""

REACH_SECONDS = 60.0
"""How long an evaluation waits for W&B at its start, and for the upload at its end; the files are kept."""


def mode() -> Mode:
    """`WANDB_MODE` where it is set; else online for those who are logged in, and offline for the others.

    Offline also where the server does not answer or refuses the key: a training is not lost for that.
    """
    chosen = os.environ.get("WANDB_MODE")
    if chosen:
        return cast(Mode, chosen)  # wandb.init refuses what it does not know
    try:
        return "online" if wandb.login(prompt=False) else "offline"
    except wandb.Error as error:
        reason = " ".join(str(error).split())
        logger.warning("W&B does not let us in (%s): logging offline, `wandb sync` uploads later", reason)
        return "offline"


def define_metrics(run: wandb.Run) -> None:
    """Curves run over epochs, the loss over steps; the summary keeps the lowest validation perplexity."""
    run.define_metric("epoch", hidden=True)
    run.define_metric("train/loss", step_metric=STEP)
    for name in ("train/perplexity", "train/windows_per_second", "train/data_wait_share", "valid/*"):
        run.define_metric(name, step_metric="epoch")
    run.define_metric("valid/perplexity", step_metric="epoch", summary="min")


def remember(run: wandb.Run, run_dir: Path, config: Mapping[str, Any]) -> None:
    """Write `tracking.json` for the run that has begun; nothing with `WANDB_MODE=disabled`.

    Args:
        config: the run's configuration as it was logged, plain values.
    """
    if run.disabled:
        return
    entity = run.entity or None
    path = "/".join(part for part in (entity, run.project, "runs", run.id) if part)
    record = WandbRecord(
        id=run.id,
        entity=entity,
        project=run.project,
        path=path,
        url=None if run.offline else run.url,
        offline=run.offline,
        next_step=run.step,
        config=dict(config),
    )
    write_record(run_dir, record)


def go_on(run: wandb.Run, step: int) -> None:
    """Let a new part of a run log as the step `step` of its history, which offline begins at 0 again.

    Every row of metrics.csv is one step. Those behind the checkpoint that the run goes on from are logged
    once more, with the same values. Online W&B refuses steps it has, so they come after the others there.
    """
    if step > run.step:
        run.log({}, step=step)


def note_step(run: wandb.Run, run_dir: Path) -> None:
    """Write down how far the run's history has come."""
    record = read_record(run_dir)
    if isinstance(record, WandbRecord) and record.id == run.id:
        write_record(run_dir, with_next_step(record, run.step))


def add_evaluation(run_dir: Path, record: WandbRecord, outputs: Outputs) -> bool:
    """Open the run again and add the evaluation: summary figures, the table of tasks, pictures and page.

    Offline this writes a second part of the same run. `wandb sync` uploads the parts in the order of their
    start and appends the later one's history, but writes configuration and summary anew. So those of the
    training are repeated; the step goes on where the last part ended. Name, group and tags are left as they
    are: they may have been edited in the browser.

    Returns:
        Whether it was added; not with `WANDB_MODE=disabled`.

    Raises:
        Exception: W&B cannot be reached, or refuses.
    """
    chosen = _mode_after(run_dir, record)
    if chosen == "disabled":
        return False
    run = wandb.init(
        id=record.id,
        resume="allow",
        dir=run_dir,
        entity=record.entity,
        project=record.project,
        mode=chosen,
        settings=wandb.Settings(
            init_timeout=REACH_SECONDS,
            finish_timeout=REACH_SECONDS,
            console="off",  # its lines would take the place of the training's
            silent=True,  # its account of the run would stand after that of the evaluation
        ),
    )
    failed = True
    try:
        if not run.resumed:  # offline, or no longer on the server
            run.config.update(record.config)
        define_metrics(run)
        step = max(run.step, record.next_step)
        # The history comes first: it may not write over the summary.
        run.log({f"{outputs.prefix}{name}": value for name, value in _media(outputs).items()}, step=step)
        run.summary.update(outputs.training)
        if not run.resumed:
            run.summary["valid/perplexity"] = {"min": outputs.training["best/valid_perplexity"]}
        for values in (outputs.figures, outputs.facts):
            run.summary.update({f"{outputs.prefix}{name}": value for name, value in values.items()})
        write_record(run_dir, with_next_step(record, step + 1))
        failed = False
    finally:
        run.finish(exit_code=int(failed))
    return True


def _media(outputs: Outputs) -> dict[str, Any]:
    media: dict[str, Any] = {
        "tasks": wandb.Table(columns=list[str | int](outputs.columns), data=outputs.rows)
    }
    for name, path in outputs.pictures.items():
        media[f"figures/{name}"] = wandb.Image(str(path))
    if outputs.page is not None:
        media["report"] = wandb.Html(str(outputs.page), inject=False)
    return media


def _mode_after(run_dir: Path, record: WandbRecord) -> Mode:
    """The mode of an evaluation: that of the training, unless the environment or an upload since says else.

    Online figures of a run whose training still lies on the disk would be in the way of its upload.
    """
    if record.offline and "WANDB_MODE" not in os.environ:
        parts = list(run_dir.glob(f"wandb/offline-run-*/run-{record.id}.wandb"))
        if not all(part.with_name(f"{part.name}.synced").is_file() for part in parts):
            return "offline"
    return mode()
