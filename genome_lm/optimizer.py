"""How the weights are changed: optimizer, decay and learning rate, for every kind of training."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn

from genome_lm.choices import OptimizerKind, ScheduleKind
from genome_lm.errors import UserError


@dataclass(frozen=True)
class OptimizerSettings:
    """How the weights are changed.

    `learning_rate` is reached after a linear warm-up over `warmup_fraction` of all steps and then kept or
    lowered to zero by a half cosine. `weight_decay` applies to matrices, not to biases; `embedding_decay`
    to the tokenizer's tables.
    """

    name: OptimizerKind = OptimizerKind.adamw
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    embedding_decay: float = 0.01
    warmup_fraction: float = 0.1
    schedule: ScheduleKind = ScheduleKind.cosine

    def __post_init__(self) -> None:
        """Raises UserError for a value out of range."""
        for name, holds, expected in (
            ("learning_rate", 0 < self.learning_rate < math.inf, "more than 0"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
            ("embedding_decay", 0 <= self.embedding_decay < math.inf, "0 or more"),
            ("warmup_fraction", 0 <= self.warmup_fraction < 1, "0 or more and less than 1"),
        ):
            if not holds:
                raise UserError(f"optimizer.{name} is {getattr(self, name)}; expected {expected}")

    def configured(
        self, parameters: Iterable[nn.Parameter], tables: Iterable[nn.Parameter], steps: int, precision: str
    ) -> OptimizerLRScheduler:
        """What a Lightning module returns from `configure_optimizers`.

        Args:
            parameters: of the whole network.
            tables: those of them that are the tokenizer's.
            steps: of the whole training.
            precision: the trainer's, such as "32-true".
        """
        embedded = list(tables)
        known = {id(parameter) for parameter in embedded}
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for parameter in parameters:
            if id(parameter) not in known:
                (decayed if parameter.ndim > 1 else plain).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        if embedded:
            groups.append({"params": embedded, "weight_decay": self.embedding_decay})
        kind = torch.optim.AdamW if self.name is OptimizerKind.adamw else torch.optim.Adam
        # One operation for all weights. Under fp16 a fused optimizer takes the scale of the gradients out
        # inside its step, too late for clipping.
        optimizer = kind(groups, lr=self.learning_rate, fused=precision != "16-mixed")
        warmup = round(self.warmup_fraction * steps)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            if self.schedule is ScheduleKind.constant:
                return 1.0
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def clip_gradients(module: L.LightningModule, largest_norm: float | None) -> None:
    """Scale all gradients of a module down together to a norm of `largest_norm`; not for None or 0.

    For `configure_gradient_clipping` of a module whose optimizer is of `OptimizerSettings.configured`.
    Lightning's own refuses a fused optimizer in mixed precision, though only that of fp16 scales gradients.
    """
    if largest_norm:
        nn.utils.clip_grad_norm_(module.parameters(), largest_norm)
