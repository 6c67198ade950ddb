"""Checks of a configuration before anything is written."""

import math
import re

import torch

from genome_lm.choices import Protocol, TaskKind
from genome_lm.commands.device import device_from
from genome_lm.commands.without_effect import refuse_without_effect
from genome_lm.config import EvaluateConfig, Precision, TrainConfig
from genome_lm.errors import UserError

MAX_SEED = 2**32 - 1  # NumPy's bound
MAX_MARKOV_ORDER = 12
LEAST_RESAMPLES = 100
"""The ends of a 95% interval are then the third and the 98th resample."""
LEAST_TEST_RESAMPLES = 1_000
"""The least p is then 0.001. Some hundred tasks ask for ten times as many, the default."""
REPORT_RATE = 0.01
"""The least rate of positives of the tasks that the report of 2016 scores."""


def check_settings(config: TrainConfig) -> None:
    """Check the numbers that the trainer takes and that no other part checks.

    Raises:
        UserError: the first one out of range, and what is possible; or one of another kind of training.
    """
    refuse_without_effect(config)
    trainer, callbacks = config.trainer, config.callbacks
    devices = trainer.devices or 1
    ranks = devices * (trainer.num_nodes or 1)
    least_one = "at least 1"
    one_each = f"at least {ranks}, the number of trainer.devices on all nodes"
    for key, holds, expected in (
        ("seed", 0 <= config.seed <= MAX_SEED, f"0 to {MAX_SEED}"),
        ("run_name", "/" not in config.run_name, "a name without /"),
        (
            "task.fasta",
            config.task.name is TaskKind.language_model or config.task.fasta is None,
            "null: a FASTA is what task=language_model trains on",
        ),
        (
            "data.train_fraction",
            config.task.name is TaskKind.multitask or config.data.train_fraction == 1,
            "1 with task=language_model, which reads all of the training sequence",
        ),
        (
            "task.markov_order",
            0 <= config.task.markov_order <= MAX_MARKOV_ORDER,
            f"0 to {MAX_MARKOV_ORDER} (a table of 4^(order + 1) numbers is held several times)",
        ),
        ("trainer.max_epochs", trainer.max_epochs >= 1, least_one),
        ("trainer.devices", _none_or_positive(trainer.devices), "at least 1, or null"),
        ("trainer.num_nodes", _none_or_positive(trainer.num_nodes), "at least 1, or null"),
        ("trainer.timeout_seconds", trainer.timeout_seconds >= 1, least_one),
        ("data.batch_size", config.data.batch_size >= ranks, one_each),
        ("data.eval_batch_size", config.data.eval_batch_size >= ranks, one_each),
        ("data.feature_cache_mib", config.data.feature_cache_mib >= 0, "0 (off) or more"),
        ("trainer.log_every_n_steps", trainer.log_every_n_steps >= 1, least_one),
        ("trainer.threads", _none_or_positive(trainer.threads), "at least 1, or null for all cores"),
        (
            "trainer.limit_train_batches",
            _none_or_positive(trainer.limit_train_batches),
            "at least 1, or null",
        ),
        ("trainer.limit_val_batches", _none_or_positive(trainer.limit_val_batches), "at least 1, or null"),
        ("trainer.gradient_clip_norm", 0 <= trainer.gradient_clip_norm < math.inf, "0 (off) or more"),
        (
            "trainer.max_time",
            trainer.max_time is None or re.fullmatch(r"\d+:\d\d:\d\d:\d\d", trainer.max_time),
            "DD:HH:MM:SS, such as 00:00:10:00 for ten minutes, or null",
        ),
        ("callbacks.ema_decay", 0 <= callbacks.ema_decay < 1, "0 (off) or more and less than 1"),
        (
            "callbacks.norm_windows",
            callbacks.norm_windows == 0 or callbacks.norm_windows >= max(2, ranks),
            f"0 (off), or {max(2, ranks)} or more",
        ),
        ("callbacks.patience", callbacks.patience >= 1, least_one),
        ("callbacks.min_delta", 0 <= callbacks.min_delta < math.inf, "0 or more"),
        (
            "callbacks.save_every_minutes",
            callbacks.save_every_minutes is None or 0 < callbacks.save_every_minutes < math.inf,
            "more than 0, or null",
        ),
        ("callbacks.save_every_steps", _none_or_positive(callbacks.save_every_steps), "at least 1, or null"),
    ):
        if not holds:
            value: object = config
            for name in key.split("."):
                value = getattr(value, name)
            raise UserError(f"{key} is {value}; expected {expected}")
    device = device_from(trainer.accelerator, "trainer")
    _check_gpus("trainer", device, devices)
    if device.type == "cpu" and trainer.precision is Precision.fp16:
        raise UserError("trainer.precision is fp16, which needs a GPU; use bf16 or float32 on a CPU")


def check_evaluation(config: EvaluateConfig) -> None:
    """Check the numbers of an evaluation that no other part checks.

    Raises:
        UserError: the first one out of range, and what is possible.
    """
    settings, bootstrap = config.evaluate, config.bootstrap
    for key, holds, value, expected in (
        (
            "evaluate.threads",
            settings.threads is None or settings.threads >= 1,
            settings.threads,
            "at least 1, or null",
        ),
        ("evaluate.devices", settings.devices >= 1, settings.devices, "at least 1"),
        ("evaluate.batch_size", settings.batch_size >= 1, settings.batch_size, "at least 1"),
        (
            "bootstrap.resamples",
            bootstrap.resamples == 0 or bootstrap.resamples >= LEAST_RESAMPLES,
            bootstrap.resamples,
            f"0 (off), or at least {LEAST_RESAMPLES}",
        ),
        (
            "bootstrap.test_resamples",
            bootstrap.test_resamples >= LEAST_TEST_RESAMPLES,
            bootstrap.test_resamples,
            f"at least {LEAST_TEST_RESAMPLES:,}",
        ),
        (
            "evaluate.min_positive_rate",
            config.protocol.name is Protocol.tuned or settings.min_positive_rate == REPORT_RATE,
            settings.min_positive_rate,
            f"{REPORT_RATE:g} under protocol=poster, as in the report; or protocol=tuned",
        ),
        (
            "bootstrap.block_bp",
            bool(bootstrap.block_bp)
            and min(bootstrap.block_bp) >= 1
            and len(set(bootstrap.block_bp)) == len(bootstrap.block_bp),
            bootstrap.block_bp,
            "one or more different lengths in bp, such as [100000,500000]",
        ),
        ("bootstrap.level", 0 < bootstrap.level < 1, bootstrap.level, "a share between 0 and 1"),
        ("bootstrap.seed", bootstrap.seed >= 0, bootstrap.seed, "0 or more"),
    ):
        if not holds:
            raise UserError(f"{key} is {value}; expected {expected}")
    _check_gpus("evaluate", device_from(settings.accelerator, "evaluate"), settings.devices)


def _check_gpus(section: str, device: torch.device, devices: int) -> None:
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise UserError(
            f"{section}.devices is {devices}, but torch sees {torch.cuda.device_count()} GPUs; "
            f"lower it, or use {section}.accelerator=cpu"
        )


def _none_or_positive(value: int | None) -> bool:
    return value is None or value >= 1
