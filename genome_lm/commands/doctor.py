"""Look over installation, devices, dataset, memory and speed, and say what to change."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import torch

from genome_lm.allocator import keep_freed_memory
from genome_lm.build import dataset_from, optimizer_from
from genome_lm.choices import TaskKind
from genome_lm.commands.settings import check_settings
from genome_lm.commands.trial_steps import Trial, trial_of_labels, trial_of_sequence
from genome_lm.config import Accelerator, TrainConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.memory import available_bytes, memory_of
from genome_lm.dataset.reading import embedded_dataset_path, open_dataset
from genome_lm.dataset.tasks import choose_tasks
from genome_lm.doctor.cost import TIGHT, Growth, Speed, Weights, check_memory, check_speed
from genome_lm.doctor.devices import (
    check_allocator,
    check_gpus,
    check_processor,
    check_threads,
    disagreement,
    judged,
    load_average,
)
from genome_lm.doctor.finding import Finding, Level, Section, advice, count, ok, problem, to_plain, to_text
from genome_lm.doctor.genome import check_genome
from genome_lm.doctor.installation import check_installation, check_runs_dir, check_wandb
from genome_lm.doctor.machine import cpu_flags
from genome_lm.doctor.splits import check_splits
from genome_lm.doctor.tasks import check_tasks
from genome_lm.doctor.windows import check_unknown_bases
from genome_lm.errors import UserError
from genome_lm.sweeping.cores import cores

logger = logging.getLogger(__name__)

STEPS = 4
"""Of the whole batch, timed; the first of them is left out."""

ONE_RUN_BYTES = 100 * 10**6
"""What a run takes at least, until its model is known."""

CHECKPOINT_BYTES = 2 * 4 * 4
"""A parameter in best.ckpt and last.ckpt: its weight, twice with an average of it, and Adam's two states."""


def doctor(config: TrainConfig, as_json: bool) -> int:
    """Look everything over and print the findings.

    Args:
        config: the composed and resolved configuration of a training.
        as_json: whether to print one JSON object instead of text.

    Returns:
        how many problems there are.
    """
    sections: list[Section] = []

    def add(title: str, findings: list[Finding]) -> None:
        sections.append(Section(title, findings))
        if not as_json:
            logger.info("%s\n", to_text(sections[-1]))

    add("installation", installation(config))
    add("devices", devices(config))
    dataset, findings = data(config)
    add("dataset", findings)
    add("training", training(config, dataset))
    problems = count(sections, Level.problem)
    if as_json:
        logger.info("%s", json.dumps(to_plain(sections), indent=2))
    else:
        logger.info("%d problems, %d pieces of advice", problems, count(sections, Level.advice))
    return problems


def installation(config: TrainConfig) -> list[Finding]:
    """Packages, extras, W&B, the embedded dataset, and the folder of runs."""
    findings = check_installation()
    findings.append(check_wandb(Path.home(), os.environ))
    try:
        checksum = open_dataset(embedded_dataset_path()).checksum
        findings.append(ok("embedded dataset", f"{checksum[:19]}, intact"))
    except UserError as error:
        findings.append(problem("embedded dataset", str(error), "install genome-lm again"))
    findings.append(check_runs_dir(Path(config.runs_dir), ONE_RUN_BYTES))
    return findings


def devices(config: TrainConfig) -> list[Finding]:
    """Processor, threads, allocator and GPUs."""
    trainer = config.trainer
    wanted = (trainer.devices or 1) if trainer.accelerator is Accelerator.gpu else 0
    cpu = trainer.accelerator is Accelerator.cpu or not torch.cuda.is_available()
    where = "cpu" if cpu else "cuda"
    keeps = trainer.keep_freed_memory and keep_freed_memory()
    return [
        check_processor(cpu_flags(), trainer.precision.name, where),
        judged("cpu", "single precision", disagreement(torch.device("cpu"))),
        *check_threads(torch.get_num_threads(), trainer.threads, cores(), load_average(), os.environ),
        check_allocator(keeps, trainer.keep_freed_memory, where),
        *check_gpus(wanted),
    ]


def data(config: TrainConfig) -> tuple[Dataset | None, list[Finding]]:
    """The dataset, where it can be opened, and what is the matter with it."""
    if config.task.name is TaskKind.language_model and config.task.fasta is not None:
        return None, [ok("file", f"{config.task.fasta}, read below; labels are not looked at")]
    try:
        dataset = dataset_from(config.data.path)
    except UserError as error:
        return None, [problem("file", str(error), "data.path=FILE, made by genome-lm prepare")]
    findings = [
        ok(
            "file",
            f"{dataset.path.name}, {dataset.n_windows:,} windows of {dataset.window_bp:,} bp around "
            f"{dataset.bin_bp:,} labelled ones, {len(dataset.tasks):,} tasks, {dataset.checksum[:19]}",
        ),
        *check_genome(dataset),
    ]
    context_bp = config.data.context_bp
    if not 1 <= context_bp <= dataset.window_bp:
        findings.append(
            problem(
                "context",
                f"data.context_bp is {context_bp:,}, the windows have {dataset.window_bp:,} bp",
                f"data.context_bp={dataset.window_bp}, or prepare it with a larger window_bp",
            )
        )
        context_bp = dataset.window_bp
    findings += check_splits(dataset, context_bp)
    findings.append(check_unknown_bases(dataset, context_bp))
    if config.task.name is TaskKind.multitask:
        try:
            findings += check_tasks(dataset, _tasks(config, dataset), config.data.min_positive_rate)
        except UserError as error:
            findings.append(
                problem("tasks", str(error), "data.min_positive_rate, data.tasks.ids, data.tasks.groups")
            )
    return dataset, findings


def _tasks(config: TrainConfig, dataset: Dataset) -> np.ndarray:
    chosen = config.data.tasks
    return choose_tasks(dataset, config.data.min_positive_rate, chosen.ids, chosen.groups)


def training(config: TrainConfig, dataset: Dataset | None) -> list[Finding]:
    """Whether the training can begin, and its memory and time from a few steps of it."""
    name = config.model.name
    try:
        check_settings(config)
        trial = _trial(config, dataset)
    except UserError as error:
        return [problem(name, str(error), "mend that first")]
    if trial is None:
        return [advice(name, "not tried, since there is no dataset", "mend that first")]
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    torch.manual_seed(config.seed)
    findings = [ok(name, f"{trial.parameters:,} parameters")]
    room = check_runs_dir(Path(config.runs_dir), CHECKPOINT_BYTES * trial.parameters)
    if room.level is Level.problem:
        findings.append(room)
    try:
        return findings + _measured(trial, dataset)
    except UserError as error:
        return [*findings, problem("a step", str(error), "mend that first")]
    except (RuntimeError, MemoryError) as error:  # torch says out of memory in either way
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return [*findings, problem("a step", reason, "a smaller data.batch_size, data.context_bp or model")]


def _trial(config: TrainConfig, dataset: Dataset | None) -> Trial | None:
    if config.task.name is TaskKind.language_model:
        known = dataset is not None or config.task.fasta is not None
        return trial_of_sequence(config, optimizer_from(config.optimizer)) if known else None
    return None if dataset is None else trial_of_labels(config, dataset, _tasks(config, dataset))


def _measured(trial: Trial, dataset: Dataset | None) -> list[Finding]:
    """Memory and speed of steps of the whole batch, or of as much of it as fits."""
    config = trial.config
    n_train, n_valid = trial.windows()
    batch_size = min(config.data.batch_size, n_train)
    available, where = _available(trial.device)
    growth, measured_to = _growth(trial, batch_size, available)
    held = 0 if dataset is None else memory_of(dataset).held
    weights = Weights(trial.parameters, bool(config.callbacks.ema_decay))
    findings = [check_memory(growth, measured_to, batch_size, available, weights, held, where)]
    batch_size = min(batch_size, measured_to)
    # Twice the same batches: window features are computed for the first time, and then kept.
    first, later = (trial.train(batch_size, STEPS)[0] for _ in range(2))
    eval_batch = min(config.data.eval_batch_size, n_valid, batch_size)
    speed = Speed(
        batch_size / max(first, later),
        batch_size / later,
        eval_batch / trial.validate(eval_batch),
        batch_size,
    )
    epochs, max_time = config.trainer.max_epochs, config.trainer.max_time
    return [*findings, check_speed(speed, n_train, n_valid, epochs, max_time)]


def _growth(trial: Trial, batch_size: int, available: int | None) -> tuple[Growth | None, int]:
    """Memory of a step from batches of an eighth to the whole, as long as the next one is sure to fit.

    Memory grows a little less than in proportion, so that the line through the last two errs upwards.

    Returns:
        the line, None where memory cannot be measured; and the windows of the largest batch.
    """
    sizes = sorted({max(1, batch_size // part) for part in (8, 4, 2, 1)})
    trial.train(sizes[0], 2)  # what is made once, such as kernels, is no part of a step
    measured: list[tuple[int, int]] = []
    growth = None
    for each in sizes:
        if growth is not None and available is not None and growth.of(each) > TIGHT * available:
            return growth, measured[-1][0]
        memory = trial.train(each, 2)[1]
        if memory is None:
            return None, batch_size
        measured.append((each, memory))
        growth = Growth.through(measured[max(0, len(measured) - 2)], measured[-1])
    return growth, batch_size


def _available(device: torch.device) -> tuple[int | None, str]:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0], torch.cuda.get_device_name(device)
    return available_bytes(), "the machine"
