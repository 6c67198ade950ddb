"""Checks of a training configuration before anything is written."""

import math
import re

import torch

from genome_lm.commands.device import device_from
from genome_lm.config import Precision, TrainConfig
from genome_lm.errors import UserError

MAX_SEED = 2**32 - 1  # NumPy's bound


def check_settings(config: TrainConfig) -> None:
    """Check the numbers that the trainer takes and that no other part checks.

    Raises:
        UserError: the first one out of range, and what is possible.
    """
    trainer, callbacks = config.trainer, config.callbacks
    least_one = "at least 1"
    at_least_devices = f"at least {trainer.devices}, the number of trainer.devices"
    for key, holds, expected in (
        ("seed", 0 <= config.seed <= MAX_SEED, f"0 to {MAX_SEED}"),
        ("run_name", "/" not in config.run_name, "a name without /"),
        ("trainer.max_epochs", trainer.max_epochs >= 1, least_one),
        ("trainer.devices", trainer.devices >= 1, least_one),
        ("data.batch_size", config.data.batch_size >= trainer.devices, at_least_devices),
        ("data.eval_batch_size", config.data.eval_batch_size >= trainer.devices, at_least_devices),
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
        ("callbacks.patience", callbacks.patience >= 1, least_one),
        ("callbacks.min_delta", 0 <= callbacks.min_delta < math.inf, "0 or more"),
    ):
        if not holds:
            value: object = config
            for name in key.split("."):
                value = getattr(value, name)
            raise UserError(f"{key} is {value}; expected {expected}")
    device = device_from(trainer.accelerator, "trainer")
    if device.type == "cuda" and trainer.devices > torch.cuda.device_count():
        raise UserError(
            f"trainer.devices is {trainer.devices}, but torch sees {torch.cuda.device_count()} GPUs; "
            "lower it, or use trainer.accelerator=cpu"
        )
    if device.type == "cpu" and trainer.precision is Precision.fp16:
        raise UserError("trainer.precision is fp16, which needs a GPU; use bf16 or float32 on a CPU")


def _none_or_positive(value: int | None) -> bool:
    return value is None or value >= 1
