"""Predict sequences of the user's own with one checkpoint: a table or HDF5."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from genome_lm import __version__
from genome_lm.allocator import keep_freed_memory
from genome_lm.atomic import check_output, replacing
from genome_lm.build import dataset_from, network_with_weights
from genome_lm.checkpoint import Checkpoint, read_checkpoint
from genome_lm.commands.checkpoints import checkpoint_paths
from genome_lm.commands.device import device_from
from genome_lm.config import PredictConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.fasta import read_fasta, scan_fasta
from genome_lm.dataset.reading import embedded_dataset_path
from genome_lm.dataset.source import identify
from genome_lm.errors import UserError
from genome_lm.evaluation.predict import predict_codes
from genome_lm.network import Network
from genome_lm.prediction.batches import Tally, window_batches
from genome_lm.prediction.hdf5 import write_hdf5
from genome_lm.prediction.intervals import read_intervals, whole_records
from genome_lm.prediction.messages import announce, report
from genome_lm.prediction.order import in_window_order
from genome_lm.prediction.output import Content, check_choices, is_table
from genome_lm.prediction.tasks import PredictedTasks, choose_predicted
from genome_lm.prediction.thresholds import (
    NotApplicable,
    Thresholds,
    fixed_threshold,
    thresholds_of_evaluation,
    thresholds_on_validation,
)
from genome_lm.prediction.tsv import write_table
from genome_lm.prediction.windows import lay_windows
from genome_lm.runs import run_folder

logger = logging.getLogger(__name__)

EVALUATION = "evaluation"


@dataclass(frozen=True)
class _Model:
    """The checkpoint, ready to compute."""

    saved: Checkpoint
    sha256: str
    network: Network
    strands: bool
    device: torch.device
    batch_size: int

    def logits(self, codes: np.ndarray) -> np.ndarray:
        return predict_codes(self.network, codes, average_strands=self.strands, device=self.device)


def predict(config: PredictConfig, interactive: bool) -> None:
    """Write `config.output`, whole or not at all, and say what was done.

    Args:
        config: the composed configuration.
        interactive: whether a person watches a terminal (decides on the progress bar when that is null).

    Raises:
        UserError: a setting, the checkpoint, the FASTA or the BED file cannot be used; there are no
            thresholds to be had; a logit is not finite; or the output exists or cannot be written.
    """
    output, fasta, bed = Path(config.output), Path(config.fasta), Path(config.bed) if config.bed else None
    _check_settings(config, output, [fasta, *([bed] if bed else [])])
    keep_freed_memory()
    if config.predict.threads is not None:
        torch.set_num_threads(config.predict.threads)
    path = _checkpoint(config)
    saved = read_checkpoint(path)
    check_output(output, _further_inputs(config, saved), "predictions.tsv")
    description = saved.description
    tasks = choose_predicted(
        description.tasks, description.positive_rate, config.tasks.ids, config.tasks.groups, str(path)
    )
    given = config.predict.average_strands
    device = device_from(config.predict.accelerator, "predict")
    model = _Model(
        saved,
        identify(path).sha256,
        network_with_weights(saved, config.allowed_packages).to(device).eval(),
        description.both_strands(given),
        device,
        config.predict.batch_size,
    )
    logger.info("model       %s, %s, %d bp", path, description.model_name, description.context_bp)
    progress = interactive if config.progress_bar is None else config.progress_bar
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress, transient=True) as bar:
        checking = bar.add_task("checking the FASTA", total=None)
        lengths = scan_fasta(fasta, lambda n_bytes: bar.advance(checking, n_bytes))
        bar.update(checking, total=1, completed=1)
        intervals = read_intervals(bed, lengths) if bed else whole_records(lengths)
        windows = lay_windows(
            intervals.start,
            intervals.end,
            context_bp=description.context_bp,
            stride_bp=description.context_bp if config.stride_bp is None else config.stride_bp,
            long=config.long,
        )
        thresholds, bin_bp = _thresholds(config, model, tasks)
        content = Content(
            intervals, windows, tasks, thresholds, bin_bp, _provenance(model, path, fasta, bed, bin_bp)
        )
        announce(content)
        used = {name: lengths[name] for name in intervals.by_record()}
        tally = Tally()
        predicting = bar.add_task("predicting", total=len(windows))
        started = time.perf_counter()
        batches = window_batches(read_fasta(fasta, used), intervals, windows, model.batch_size, tally)
        with replacing(output) as temporary:
            blocks = in_window_order(_predicted(model, tasks, batches), len(tasks), output.parent)
            advancing = _advancing(blocks, bar, predicting)
            if is_table(output):
                compress = output.name.lower().endswith(".gz")
                rows = write_table(temporary, content, advancing, config.layout, config.only_calls, compress)
            else:
                rows = write_hdf5(temporary, content, advancing)
    report(output, content, tally, rows, time.perf_counter() - started)


def _check_settings(config: PredictConfig, output: Path, inputs: list[Path]) -> None:
    """Whatever can be refused before anything is read."""
    check_choices(output, config.layout, config.only_calls, config.thresholds)
    check_output(output, inputs, "predictions.tsv")
    if output.exists() and not config.overwrite:
        raise UserError(f"output {output} exists; choose another name, or overwrite=true")
    fixed_threshold(config.thresholds, 0)
    if config.predict.batch_size < 1:
        raise UserError(f"predict.batch_size is {config.predict.batch_size}; expected at least 1")
    if config.predict.threads is not None and config.predict.threads < 1:
        raise UserError(f"predict.threads is {config.predict.threads}; expected at least 1, or null")


def _checkpoint(config: PredictConfig) -> Path:
    paths = checkpoint_paths(config.ckpt_path, Path(config.runs_dir))
    if len(paths) > 1:
        raise UserError(
            f"ckpt_path {config.ckpt_path} holds {len(paths)} checkpoints, such as {paths[0]}; "
            "predict takes one"
        )
    return paths[0]


def _further_inputs(config: PredictConfig, saved: Checkpoint) -> list[Path]:
    """What is read besides FASTA and BED, or may be: known once the checkpoint is."""
    evaluation = run_folder(saved.path) / EVALUATION
    dataset = config.data.path or saved.description.dataset.get("path")
    return [saved.path, evaluation / "tasks.tsv", Path(dataset) if dataset else embedded_dataset_path()]


def _thresholds(config: PredictConfig, model: _Model, tasks: PredictedTasks) -> tuple[Thresholds, int | None]:
    """The thresholds, and the bin of the dataset trained on as far as it is known without opening that."""
    trained_on = model.saved.description.dataset
    recorded = trained_on.get("bin_bp")
    bin_bp = recorded if isinstance(recorded, int) else None
    fixed = fixed_threshold(config.thresholds, len(tasks))
    if fixed is not None:
        return fixed, bin_bp
    try:
        folder = run_folder(model.saved.path) / EVALUATION
        found = thresholds_of_evaluation(
            folder, model.sha256, trained_on.get("checksum"), model.strands, tasks.ids
        )
        return found, bin_bp
    except NotApplicable as error:
        reason = str(error)
    dataset = _dataset(config, model.saved, reason)
    logger.info("thresholds  %s; choosing them on validation", reason)
    computed = thresholds_on_validation(
        model.network,
        dataset,
        model.saved.description.context_bp,
        tasks.ids,
        tasks.columns,
        batch_size=model.batch_size,
        average_strands=model.strands,
        device=model.device,
    )
    return computed, dataset.bin_bp


def _dataset(config: PredictConfig, saved: Checkpoint, reason: str) -> Dataset:
    """The very dataset that the checkpoint was trained on, to choose thresholds on."""
    recorded = saved.description.dataset.get("path")
    remedy = (
        "run `genome-lm evaluate` on the checkpoint, give the dataset that it was trained on as data.path, "
        "or use thresholds=none (probabilities only) or a probability such as thresholds=0.5"
    )
    if config.data.path is None and recorded is not None and not Path(recorded).is_file():
        raise UserError(
            f"no thresholds for checkpoint {saved.path}: {reason}, and its dataset {recorded} is not there; "
            f"{remedy}"
        )
    dataset = dataset_from(config.data.path or recorded)
    if dataset.checksum != saved.description.dataset.get("checksum"):
        raise UserError(
            f"no thresholds for checkpoint {saved.path}: {reason}, and {dataset.path} is not the dataset "
            f"that it was trained on; {remedy}"
        )
    return dataset


def _predicted(
    model: _Model, tasks: PredictedTasks, batches: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(numbers of windows, logits float32 [batch, n_tasks]) of each batch."""
    for numbers, codes in batches:
        logits = np.take(model.logits(codes), tasks.columns, axis=1)
        if not np.isfinite(logits).all():
            raise UserError(
                f"checkpoint {model.saved.path} gives logits that are not finite; its training has diverged: "
                "train anew"
            )
        yield numbers, logits


def _advancing(
    blocks: Iterable[tuple[int, np.ndarray]], bar: Progress, task: TaskID
) -> Iterator[tuple[int, np.ndarray]]:
    for first, logits in blocks:
        yield first, logits
        bar.update(task, completed=first + len(logits))


def _provenance(
    model: _Model, path: Path, fasta: Path, bed: Path | None, bin_bp: int | None
) -> dict[str, str | int | bool]:
    """Attributes of the HDF5 file."""
    description = model.saved.description
    trained_on = description.dataset
    build = trained_on.get("genome_build")
    return {
        "genome_lm_version": __version__,
        "checkpoint": str(path.resolve().relative_to(run_folder(path).parent)),
        "checkpoint_sha256": model.sha256,
        "model": description.model_name,
        "dataset_checksum": str(trained_on.get("checksum")),
        **({"genome_build": str(build)} if build and build != "unknown" else {}),
        "context_bp": description.context_bp,
        **({"bin_bp": bin_bp} if bin_bp is not None else {}),
        "average_strands": model.strands,
        "fasta": fasta.name,
        "bed": bed.name if bed else "",
    }
