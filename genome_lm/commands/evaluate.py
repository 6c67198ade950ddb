"""Evaluate checkpoints: predictions, baseline, prior, thresholds, uncertainty, task table, summary, page."""

import logging
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genome_lm.allocator import keep_freed_memory
from genome_lm.checkpoint import Description
from genome_lm.choices import Protocol
from genome_lm.commands.checkpoints import Member, checkpoint_paths, output_folder, read_members
from genome_lm.commands.device import device_from
from genome_lm.commands.evaluate_language import evaluate_language
from genome_lm.commands.rivals import BEST_BASELINE, fit_baselines
from genome_lm.commands.scope import dataset_to_score, tasks_to_score, trained_tasks
from genome_lm.commands.settings import check_evaluation
from genome_lm.commands.shared_prediction import predict_on_devices
from genome_lm.config import BootstrapConfig, EvaluateConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.errors import UserError
from genome_lm.evaluation import members as scored
from genome_lm.evaluation.aligned import MODEL, SCORED_SPLITS, Aligned, align
from genome_lm.evaluation.calibration import calibration
from genome_lm.evaluation.compare import Comparison, compare
from genome_lm.evaluation.predictions import (
    Predictions,
    mean_predictions,
    prior_predictions,
    read_predictions,
    write_predictions,
)
from genome_lm.evaluation.report import write_evaluation
from genome_lm.evaluation.summary import CheckpointFile, Details
from genome_lm.evaluation.task_sets import TaskSets, task_sets
from genome_lm.evaluation.uncertainty import BootstrapSettings, Uncertainty, estimate_uncertainty
from genome_lm.language.checkpoint import is_language_model
from genome_lm.plain import plain_json, plain_text
from genome_lm.report.page import write_report
from genome_lm.runs import run_folder
from genome_lm.tracking.evaluation import log_evaluation

logger = logging.getLogger(__name__)


def evaluate(config: EvaluateConfig, command: str) -> float:
    """Score checkpoints against the baseline and the prior; return the model's test perplexity.

    Args:
        config: the composed and resolved configuration.
        command: the command line that repeats this, but for a checkpoint that was found by its date.

    Of several checkpoints each is scored, and the model is their ensemble or the best of them on validation.
    That of a language model is scored on its own, by `evaluate_language`.

    Writes `predictions/{model,baseline,prior}.h5` (and `baseline_best_context.h5` where that context is
    another one, and `member_*.h5` of several checkpoints) and `evaluation/` (tasks.tsv, summary.json,
    summary.md, report.html, figures) into the output folder.

    Raises:
        UserError: a checkpoint or the dataset cannot be used, or they do not belong together.
    """
    keep_freed_memory()
    check_evaluation(config)
    if config.evaluate.threads is not None:
        torch.set_num_threads(config.evaluate.threads)
    paths = checkpoint_paths(config.ckpt_path, Path(config.runs_dir))
    if len(paths) == 1 and is_language_model(paths[0]):
        if config.evaluate.devices > 1:
            raise UserError(
                f"evaluate.devices is {config.evaluate.devices}; a language model is evaluated on 1 device"
            )
        return evaluate_language(config, paths[0], _repeatable(config, command, paths[0]))
    members = read_members(paths, config.evaluate.average_strands)
    checkpoint, description = members[0].checkpoint.path, members[0].checkpoint.description
    dataset = dataset_to_score(config, description, checkpoint)
    trained = trained_tasks(description, dataset, checkpoint)
    tasks, task_set = tasks_to_score(config, dataset, trained)
    strands = description.both_strands(config.evaluate.average_strands)
    device = device_from(config.evaluate.accelerator, "evaluate")
    protocol = config.protocol.name
    home = output_folder(None, paths)
    # The report's rules go beside the tuned evaluation, not over it.
    beside = home / protocol.value if protocol is Protocol.poster else home
    folder = Path(config.output_dir) if config.output_dir else beside
    for member in members:
        logger.info("model     %s, %s", member.checkpoint.path, member.checkpoint.description.model_name)
    logger.info("tasks     %s", task_set)

    windows = np.flatnonzero(dataset.split > 0)
    columns = np.searchsorted(trained, tasks)
    member_files = list((folder / "predictions").glob("member_*.h5"))
    files = [
        _predict(config, member, dataset, windows, tasks, columns, strands, device, path)
        for member, path in zip(members, _member_files(folder / "predictions", len(members)), strict=True)
    ]
    baselines = fit_baselines(
        config.baseline, config.protocol, dataset, tasks, description.context_bp, strands, device
    )
    rivals = baselines.predictions | {"prior": prior_predictions(dataset, windows, tasks)}
    single: tuple[scored.Member, ...] = ()
    if len(members) > 1:
        single = tuple(
            scored.score_member(
                member.name,
                member.seed,
                str(member.checkpoint.path),
                align(dataset, rivals | {MODEL: read_predictions(file)}, tasks),
                protocol,
            )
            for member, file in zip(members, files, strict=True)
        )
    predictions = {MODEL: _model(files, single, config.evaluate.ensemble)} | rivals
    for path in set(member_files) - set(files):  # of an earlier, larger ensemble
        path.unlink()
    if BEST_BASELINE not in predictions:  # an earlier evaluation may have found another context
        (folder / "predictions" / f"{BEST_BASELINE}.h5").unlink(missing_ok=True)
    for name, each in predictions.items():
        if name != MODEL or single:  # that of a single checkpoint is written already
            write_predictions(folder / "predictions" / f"{name}.h5", each)

    aligned = align(dataset, predictions, tasks)
    comparison = compare(aligned, task_set, protocol)
    sets = task_sets(comparison)
    details = Details(
        command=_repeatable(config, command, checkpoint),
        baseline=baselines.account,
        uncertainty=_uncertainty(config.bootstrap, aligned, comparison, sets),
        calibration={split: calibration(aligned, split, sets) for split in SCORED_SPLITS},
        checkpoints=tuple(
            CheckpointFile(
                member.name,
                str(member.checkpoint.path),
                member.sha256,
                member.seed,
                member.checkpoint.description.model_name,
            )
            for member in members
        ),
        members=single,
        tuned=_tuned(home / "evaluation", members, comparison) if protocol is Protocol.poster else None,
        trained_on=str(description.dataset.get("checksum", "")),
    )
    evaluation = folder / "evaluation"
    summary = write_evaluation(evaluation, comparison, details)
    logger.info("\n%s", (evaluation / "summary.md").read_text(encoding="utf-8"))
    logger.info("%s", evaluation / "tasks.tsv")
    run_dir = run_folder(checkpoint) if len(members) == 1 else folder
    page = write_report(run_dir, evaluation)
    if config.evaluate.track:
        log_evaluation(run_dir, evaluation)
    logger.info("%s", page)
    return summary.test.overall.perplexity[MODEL]


def _repeatable(config: EvaluateConfig, command: str, checkpoint: Path) -> str:
    """The command with its checkpoint, also where that was found by its date."""
    if config.ckpt_path is not None:
        return command
    return f"{command} ckpt_path={shlex.quote(str(checkpoint))}"


def _part_of_the_labels(description: Description) -> str:
    """What is to be known of a network that saw a part of what its rivals saw; nothing of others."""
    share = description.dataset.get("train_fraction", 1.0)
    return "" if share == 1 else f", trained on {share:.3g} of the training windows (its rivals on all)"


def _member_files(folder: Path, n_members: int) -> list[Path]:
    """Where the predictions of each checkpoint go."""
    if n_members == 1:
        return [folder / f"{MODEL}.h5"]
    return [folder / f"member_{number}.h5" for number in range(n_members)]


def _predict(
    config: EvaluateConfig,
    member: Member,
    dataset: Dataset,
    windows: np.ndarray,
    tasks: np.ndarray,
    columns: np.ndarray,
    strands: bool,
    device: torch.device,
    path: Path,
) -> Path:
    """Predict `windows` for `tasks` (at `columns` of the network's outputs) and write them to `path`."""
    description = member.checkpoint.description
    started = time.perf_counter()
    logits = predict_on_devices(
        member.checkpoint,
        dataset,
        windows,
        columns,
        config.evaluate,
        strands=strands,
        device=device,
        allowed_packages=config.allowed_packages,
        folder=path.parent,
    )
    logger.info("predicted %s windows in %.0f s", f"{len(windows):,}", time.perf_counter() - started)
    try:
        predictions = Predictions(
            name=MODEL,
            description=f"{description.model_name}, {description.context_bp} bp"
            + (", both strands averaged" if strands else "")
            + _part_of_the_labels(description),
            logits=logits,
            window=windows,
            split=dataset.split[windows],
            task_ids=tuple(dataset.tasks.id[task] for task in tasks),
            dataset_checksum=dataset.checksum,
        )
    except UserError as error:
        raise UserError(f"checkpoint {member.checkpoint.path}: {error}") from error
    write_predictions(path, predictions)
    return path


def _model(files: Sequence[Path], single: Sequence[scored.Member], ensemble: bool) -> Predictions:
    """What stands as the model: the one checkpoint, the ensemble, or the best member on validation."""
    if not single:
        return read_predictions(files[0])
    if ensemble:
        return mean_predictions(MODEL, files)
    best = min(range(len(single)), key=lambda place: single[place].valid["perplexity"])
    chosen = read_predictions(files[best])
    words = f"{chosen.description}; {single[best].name}, of {len(single)} checkpoints the best on validation"
    return replace(chosen, description=words)


def _uncertainty(
    config: BootstrapConfig, aligned: Aligned, comparison: Comparison, sets: TaskSets
) -> Uncertainty | None:
    if not config.resamples:
        return None
    started = time.perf_counter()
    settings = BootstrapSettings(
        block_bp=tuple(config.block_bp),
        resamples=config.resamples,
        test_resamples=config.test_resamples,
        level=config.level,
        seed=config.seed,
    )
    found = estimate_uncertainty(aligned, comparison, sets, settings)
    logger.info("resampled in %.0f s", time.perf_counter() - started)
    return found


def _tuned(evaluation: Path, members: Sequence[Member], comparison: Comparison) -> dict[str, object] | None:
    """The test figures of the tuned evaluation of the same network on the same tasks, if there is one."""
    try:
        summary: Any = plain_json(plain_text(evaluation / "summary.json"))
        theirs = (
            [each["sha256"] for each in summary["checkpoints"]],
            summary["protocol"],
            summary["task_set"],
            summary["dataset"]["checksum"],
            summary["predictors"][MODEL],
        )
        figures: dict[str, object] = summary["test"]
    except (OSError, ValueError, KeyError, TypeError):
        logger.info("there is no tuned evaluation to stand beside; `genome-lm evaluate` makes one")
        return None
    ours = (
        [member.sha256 for member in members],
        Protocol.tuned.value,
        comparison.task_set,
        comparison.dataset_checksum,
        comparison.descriptions[MODEL],
    )
    if theirs != ours:
        logger.info("the evaluation in %s is of other checkpoints, tasks, data or strands", evaluation)
        return None
    return figures
