"""Search hyper-parameters: one training a trial, judged by validation alone."""

import logging
import traceback
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from genome_lm.atomic import write_text
from genome_lm.build import optimizer_from
from genome_lm.callbacks.pruning import Pruning
from genome_lm.commands.session import MONITOR
from genome_lm.commands.settings import check_settings
from genome_lm.commands.train import train
from genome_lm.config import TrainConfig
from genome_lm.errors import UserError
from genome_lm.leaderboard.training import ERROR_FILE
from genome_lm.provenance import command_line
from genome_lm.tuning.composing import check_space, compose_training, typed
from genome_lm.tuning.config import TuneConfig
from genome_lm.tuning.space import read_space
from genome_lm.tuning.strategy import check_strategy, pruner_from, sampler_from
from genome_lm.tuning.study import JOURNAL, Study, Trial
from genome_lm.tuning.table import best_trial, write_tables

logger = logging.getLogger(__name__)

UNKNOWN_KEY = "possible at the top level"
"""Part of the message about a key that training does not have; it may have been meant for the study."""


def tune(config: TuneConfig, arguments: Sequence[str], config_dirs: Sequence[str], interactive: bool) -> None:
    """Run trials until the study has as many as asked for.

    Args:
        config: the composed and resolved configuration of the study.
        arguments: overrides of `genome-lm train` for all trials, and sweeps that are searched too.
        config_dirs: folders of the user's own configuration files, for the commands that repeat a trial.
        interactive: whether a person watches a terminal.

    Raises:
        UserError: the space or a setting cannot be used, the folder holds another study, or no trial
            finished.
    """
    if config.n_trials < 1:
        raise UserError(f"n_trials is {config.n_trials}; expected at least 1")
    check_strategy(config.sampler, config.pruner)
    folder = Path(config.study_dir)
    _check_folder(folder)
    space = read_space(config.tune.space, arguments)
    try:
        check_space(space, _check_trial)
    except UserError as error:
        if UNKNOWN_KEY not in str(error):
            raise
        own = ", ".join(each.name for each in fields(TuneConfig))
        raise UserError(f"{error}; of the study itself: {own}") from error
    study = Study(folder, space, partial(sampler_from, config.sampler), pruner_from(config.pruner))
    logger.info("study   %s, %d trials", folder, config.n_trials)
    logger.info("search  %s", ", ".join(each.key for each in space.dimensions))
    while (trial := study.next_trial(config.n_trials)) is not None:
        logger.info("\ntrial %d%s", trial.number, f" (attempt {trial.attempt})" if trial.attempt > 1 else "")
        logger.info(
            "        %s", " ".join(each.override(trial.params[each.key]) for each in space.dimensions)
        )
        _run(study, trial, config_dirs, interactive)
        write_tables(study, _best_command(study, config_dirs))
    if study.exhausted:
        logger.info("the sampler finds no values that were not tried; the study ends here")
    if elsewhere := study.running_elsewhere():
        logger.info("%d trials are still running in other processes", elsewhere)
    write_tables(study, _best_command(study, config_dirs))
    best = best_trial(study)
    if best is None:
        raise UserError(f"no trial of {folder} has finished; tuning.md there says what became of them")
    logger.info("\n%s", (folder / "tuning.md").read_text(encoding="utf-8"))
    logger.info("%s", folder / "tuning.tsv")


def _run(study: Study, trial: Trial, config_dirs: Sequence[str], interactive: bool) -> None:
    """Train with the values of a trial and tell the study what became of it."""
    overrides = study.space.overrides(trial.params)
    pruning = Pruning(MONITOR, partial(study.gives_up, trial))
    run_dir = None
    try:
        config = compose_training(overrides)
        run_dir = study.folder / f"{trial.number:03d}_{config.run_name}"
        study.note_folder(trial, run_dir.name)
        if config.logger.group is None:
            config.logger.group = study.folder.name
        _write_hydra_files(run_dir, config, overrides)
        command = command_line("train", overrides, config_dirs)
        result = train(typed(config), run_dir, interactive, command, callbacks=[pruning])
        study.check_scale(
            {
                "dataset": result.dataset_checksum,
                "set of tasks": result.task_ids_sha256,
                "trainer.limit_val_batches": config.trainer.limit_val_batches,
            }
        )
    except Exception as error:
        known = isinstance(error, UserError)
        reason = " ".join(str(error).split()) if known else f"{type(error).__name__}: {error}"
        if run_dir is not None:
            write_text(run_dir / ERROR_FILE, f"{reason if known else traceback.format_exc()}\n")
        logger.error("trial %d failed: %s", trial.number, reason)
        study.fail(trial, reason)
        return
    except BaseException:  # Ctrl-C, or the end of a batch job's time
        study.leave(trial)
        raise
    study.finish(trial, result.valid_perplexity, pruning.given_up)
    best = best_trial(study)
    logger.info(
        "trial %d %s: valid perplexity %.4f%s",
        trial.number,
        f"pruned after {result.epochs} epochs" if pruning.given_up else "finished",
        result.valid_perplexity,
        f"; best so far {best.value:.4f} (trial {best.number})" if best is not None else "",
    )


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than a study."""
    if folder.is_dir() and not (folder / JOURNAL).exists() and any(folder.glob("[!.]*")):
        raise UserError(f"study_dir {folder} is not empty and holds no study; give another folder")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"study_dir {folder} is no folder; give another name")


def _check_trial(config: TrainConfig) -> None:
    check_settings(config)
    optimizer_from(config.optimizer)
    if config.trainer.devices != 1:  # the callback that judges a trial is in this process
        raise UserError(
            f"trainer.devices is {config.trainer.devices}; a study trains each trial on 1 device: "
            "start the command once a device instead, in the same study_dir"
        )


def _best_command(study: Study, config_dirs: Sequence[str]) -> str | None:
    best = best_trial(study)
    return (
        command_line("train", study.space.overrides(best.params), config_dirs) if best is not None else None
    )


def _write_hydra_files(run_dir: Path, config: DictConfig, overrides: Sequence[str]) -> None:
    """What Hydra leaves in the folder of a run that it starts."""
    write_text(run_dir / ".hydra" / "config.yaml", OmegaConf.to_yaml(config))
    write_text(run_dir / ".hydra" / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(list(overrides))))
