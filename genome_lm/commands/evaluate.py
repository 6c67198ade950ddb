"""Evaluate one checkpoint: predictions, baseline, prior, thresholds, per-task table, summary."""

import logging
import time
from pathlib import Path

import numpy as np
import torch

from genome_lm.allocator import keep_freed_memory
from genome_lm.baseline.fit import FitSettings, compare_contexts
from genome_lm.baseline.kmers import Strands
from genome_lm.baseline.result import BaselineFit, ContextComparison
from genome_lm.build import dataset_from, network_with_weights
from genome_lm.checkpoint import Description, read_checkpoint
from genome_lm.choices import PenaltyChoice, Protocol
from genome_lm.commands.device import device_from
from genome_lm.config import BaselineConfig, EvaluateConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.tasks import choose_tasks
from genome_lm.errors import UserError
from genome_lm.evaluation.compare import SCORED_SPLITS, compare
from genome_lm.evaluation.predict import predict_windows
from genome_lm.evaluation.predictions import Predictions, prior_predictions, write_predictions
from genome_lm.evaluation.report import write_evaluation
from genome_lm.naming import task_set_name
from genome_lm.runs import newest_checkpoint, run_folder

logger = logging.getLogger(__name__)

BEST_BASELINE = "baseline_best_context"
"""Name of the second baseline: the context with the lowest validation perplexity."""


def evaluate(config: EvaluateConfig) -> float:
    """Score a checkpoint against the baseline and the prior; return its test perplexity.

    Writes `predictions/{model,baseline,prior}.h5` (and `baseline_best_context.h5` where that context is
    another one) and `evaluation/{tasks.tsv,summary.json,summary.md}` into the output folder.

    Raises:
        UserError: the checkpoint or the dataset cannot be used, or they do not belong together.
    """
    keep_freed_memory()
    if config.evaluate.threads is not None:
        if config.evaluate.threads < 1:
            raise UserError(f"evaluate.threads is {config.evaluate.threads}; expected at least 1, or null")
        torch.set_num_threads(config.evaluate.threads)
    if config.evaluate.batch_size < 1:
        raise UserError(f"evaluate.batch_size is {config.evaluate.batch_size}; expected at least 1")
    checkpoint = Path(config.ckpt_path) if config.ckpt_path else newest_checkpoint(Path(config.runs_dir))
    saved = read_checkpoint(checkpoint)
    description = saved.description
    dataset = _dataset(config, description, checkpoint)
    trained = trained_tasks(description, dataset, checkpoint)
    wanted = choose_tasks(dataset, config.evaluate.min_positive_rate)
    tasks = _scored(config, wanted, trained)
    task_set = task_set_name(
        len(tasks),
        len(dataset.tasks),
        config.evaluate.min_positive_rate,
        "as far as trained on" if len(tasks) < len(wanted) else "",
    )
    strands = (
        description.average_strands
        if config.evaluate.average_strands is None
        else config.evaluate.average_strands
    )
    device = device_from(config.evaluate.accelerator, "evaluate")
    protocol = config.protocol.name
    folder = Path(config.output_dir) if config.output_dir else run_folder(checkpoint)
    if not config.output_dir and protocol is Protocol.poster:
        folder = folder / protocol.value  # beside the tuned evaluation, not over it
    logger.info("model     %s, %s", checkpoint, description.model_name)
    logger.info("tasks     %s", task_set)
    windows = np.flatnonzero(dataset.split > 0)

    network = network_with_weights(saved, config.allowed_packages)
    started = time.perf_counter()
    logits = predict_windows(
        network,
        dataset,
        windows,
        description.context_bp,
        batch_size=config.evaluate.batch_size,
        average_strands=strands,
        device=device,
    )[:, np.searchsorted(trained, tasks)]
    logger.info("predicted %s windows in %.0f s", f"{len(windows):,}", time.perf_counter() - started)
    model = Predictions(
        name="model",
        description=f"{description.model_name}, {description.context_bp} bp"
        + (", both strands averaged" if strands else ""),
        logits=logits,
        window=windows,
        split=dataset.split[windows],
        task_ids=tuple(dataset.tasks.id[task] for task in tasks),
        dataset_checksum=dataset.checksum,
    )
    fits = _baselines(config.baseline, dataset, tasks, description.context_bp, strands, protocol, device)
    own, best = fits.at(description.context_bp), fits.best
    predictions = {
        "model": model,
        "baseline": _as_predictions("baseline", own),
        "prior": prior_predictions(dataset, windows, tasks),
    }
    if best.context_bp != own.context_bp:
        predictions[BEST_BASELINE] = _as_predictions(BEST_BASELINE, best)
    else:  # an earlier evaluation may have found another context
        (folder / "predictions" / f"{BEST_BASELINE}.h5").unlink(missing_ok=True)
    for name, each in predictions.items():
        write_predictions(folder / "predictions" / f"{name}.h5", each)
    comparison = compare(dataset, predictions, tasks, task_set, protocol)
    summary = write_evaluation(folder / "evaluation", comparison, _account(own, fits))
    logger.info("\n%s", (folder / "evaluation" / "summary.md").read_text(encoding="utf-8"))
    logger.info("%s", folder / "evaluation" / "tasks.tsv")
    return summary.test.overall.perplexity["model"]


def trained_tasks(description: Description, dataset: Dataset, checkpoint: Path) -> np.ndarray:
    """Dataset indices, int64, of the checkpoint's tasks, in their order there.

    Raises:
        UserError: the dataset lacks some of them, or holds them in another order.
    """
    index_of = {task: index for index, task in enumerate(dataset.tasks.id)}
    ids = description.tasks["id"]
    unknown = [task for task in ids if task not in index_of]
    if unknown:
        raise UserError(
            f"checkpoint {checkpoint} was trained on other tasks: {len(unknown)} of its {len(ids)} tasks, "
            f"such as {unknown[0]}, are not in {dataset.path}; give the dataset that it was trained on "
            "as data.path"
        )
    indices = np.array([index_of[task] for task in ids], dtype=np.int64)
    if (np.diff(indices) <= 0).any():
        raise UserError(
            f"checkpoint {checkpoint} has its tasks in another order than {dataset.path}; "
            "give the dataset that it was trained on as data.path"
        )
    return indices


def _dataset(config: EvaluateConfig, description: Description, checkpoint: Path) -> Dataset:
    recorded = description.dataset.get("path")
    if recorded is not None and config.data.path is None and not Path(recorded).is_file():
        raise UserError(
            f"checkpoint {checkpoint} was trained on {recorded}, which is not there; "
            "give its place as data.path"
        )
    dataset = dataset_from(config.data.path or recorded)
    if dataset.checksum != description.dataset.get("checksum"):
        if config.data.path is None:
            raise UserError(
                f"dataset {dataset.path} has changed since checkpoint {checkpoint} was trained on it; "
                "give the right one as data.path, or this one if you mean it"
            )
        logger.warning("data      %s is not the dataset that the checkpoint was trained on", dataset.path)
    for split in SCORED_SPLITS:
        if not len(dataset.windows_of(split)):
            raise UserError(
                f"dataset {dataset.path} has no {split} windows to score; prepare it with such a split"
            )
    return dataset


def _scored(config: EvaluateConfig, wanted: np.ndarray, trained: np.ndarray) -> np.ndarray:
    tasks = np.intersect1d(wanted, trained)
    if not len(tasks):
        raise UserError(
            f"none of the checkpoint's {len(trained)} tasks has a positive rate of at least "
            f"{config.evaluate.min_positive_rate:g} in train; lower evaluate.min_positive_rate"
        )
    if len(tasks) < len(wanted):
        logger.info(
            "          %d more tasks have that rate but were not trained on, and are left out",
            len(wanted) - len(tasks),
        )
    return tasks


def _baselines(
    config: BaselineConfig,
    dataset: Dataset,
    tasks: np.ndarray,
    context_bp: int,
    strands: bool,
    protocol: Protocol,
    device: torch.device,
) -> ContextComparison:
    """The baseline at the network's context and, but for `poster`, at those where it may be better."""
    poster = protocol is Protocol.poster
    settings = FitSettings(
        choice=PenaltyChoice.poster if poster else config.penalty_choice,
        strands=Strands.SUMMED if strands else Strands.FORWARD,
    )
    cache = Path(config.cache_dir) if config.cache_dir else None
    started = time.perf_counter()
    others = [] if poster else [length for length in config.contexts_bp if length <= dataset.window_bp]
    contexts = sorted({*others, context_bp})
    logger.info(
        "fitting the k-mer regression at %s bp, unless it is in the cache (%s)",
        ", ".join(map(str, contexts)),
        cache or "off",
    )
    fits = compare_contexts(dataset, tasks, contexts, settings, device=device, cache=cache)
    for fit in fits.fits:
        logger.info("baseline  %s: validation perplexity %.4f", fit.description, fit.valid_perplexity)
    logger.info("fitted or found %d baselines in %.0f s", len(fits.fits), time.perf_counter() - started)
    return fits


def _as_predictions(name: str, fit: BaselineFit) -> Predictions:
    return Predictions(
        name=name,
        description=fit.description,
        logits=fit.logits,
        window=fit.window,
        split=fit.split,
        task_ids=fit.task_ids,
        dataset_checksum=fit.dataset_checksum,
    )


def _account(own: BaselineFit, fits: ContextComparison) -> dict[str, object]:
    """How the baselines were fitted, for the summary."""

    def one(fit: BaselineFit) -> dict[str, object]:
        fitted = ~fit.single_class
        return {
            "description": fit.description,
            "context_bp": fit.context_bp,
            "strands": fit.strands.value,
            "penalty_choice": fit.choice.value,
            "C_min": float(fit.penalty.min()),
            "C_median": float(np.median(fit.penalty)),
            "C_max": float(fit.penalty.max()),
            "valid_perplexity": fit.valid_perplexity,
            "largest_gradient_norm": float(fit.gradient_norm[fitted].max(initial=0.0)),
            "largest_relative_gradient_norm": float(fit.relative_gradient_norm[fitted].max(initial=0.0)),
            "unconverged_tasks": fit.n_unconverged,
            "seconds": fit.seconds,
        }

    return {
        "same_context": one(own),
        "best_context": one(fits.best),
        "valid_perplexity_by_context_bp": {str(fit.context_bp): fit.valid_perplexity for fit in fits.fits},
    }
