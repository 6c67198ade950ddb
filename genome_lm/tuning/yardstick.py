"""What a validation perplexity is measured on; trials of one study must share it."""

from typing import Any

from genome_lm.choices import TaskKind
from genome_lm.config import TrainConfig
from genome_lm.errors import UserError


def yardstick(config: TrainConfig) -> dict[str, Any]:
    """The settings that decide which labels or bases are validated, by key.

    A network that reads more context is judged on the same labels, but a language model on other bases: those
    at the beginning of a stretch have less before them, and stretches of another length begin elsewhere.
    """
    data, task, limit = config.data, config.task, config.trainer.limit_val_batches
    shared: dict[str, Any] = {
        "task": task.name,
        "data.path": data.path,
        "trainer.limit_val_batches": limit,
        "data.eval_batch_size": None if limit is None else data.eval_batch_size,
    }
    if task.name is TaskKind.multitask:
        return shared | {
            "data.min_positive_rate": data.min_positive_rate,
            "data.tasks.ids": data.tasks.ids,
            "data.tasks.groups": data.tasks.groups,
        }
    return shared | {
        "data.context_bp": data.context_bp,
        "task.fasta": task.fasta,
        "task.regions.valid": task.regions.valid,
        "task.regions.test": task.regions.test,
        "task.regions.buffer_bp": task.regions.buffer_bp,
    }


def refuse_other_yardstick(config: TrainConfig, first: dict[str, Any]) -> None:
    """Refuse a configuration whose perplexity could not be held against that of another.

    Args:
        first: the yardstick of the other one.

    Raises:
        UserError: the first setting in which they differ.
    """
    for key, value in yardstick(config).items():
        if key not in first or first[key] != value:
            raise UserError(
                f"{key} is searched ({first.get(key)}, {value}), but decides what validation is measured on: "
                "perplexities of its values cannot be compared; give it one value, or each value a study"
            )
