"""Settings that belong to the other kind of training, and so do nothing in this one."""

import logging
import re
from collections.abc import Iterable

from genome_lm.choices import TaskKind
from genome_lm.config import HeldOutConfig, TrainConfig
from genome_lm.errors import UserError

logger = logging.getLogger(__name__)

OF_LABELS = (
    "head",
    "window_features",
    "strand_encoding",
    "average_strands",
    "task.weighting",
    "data.tasks",
    "data.min_positive_rate",
    "data.max_shift_bp",
    "data.feature_cache_mib",
    "callbacks.norm_windows",
)
OF_SEQUENCE = ("task.fasta", "task.regions", "task.markov_order")
UNUSED: dict[TaskKind, tuple[str, ...]] = {
    TaskKind.multitask: OF_SEQUENCE,
    TaskKind.language_model: OF_LABELS,
}
"""By kind of training, the keys that it does not read."""


def refuse_without_effect(config: TrainConfig) -> None:
    """Refuse settings of the other kind of training that no file of conf/ sets: they were asked for.

    Raises:
        UserError: the first one, and when it would have an effect.
    """
    language = config.task.name is TaskKind.language_model
    for key, value, at_rest in (
        ("data.tasks.ids", config.data.tasks.ids, not language or not config.data.tasks.ids),
        ("data.tasks.groups", config.data.tasks.groups, not language or not config.data.tasks.groups),
        ("task.weighting", config.task.weighting, not language or config.task.weighting == "uniform"),
        ("strand_encoding", config.strand_encoding, not language or config.strand_encoding == "single"),
        ("task.regions", "given", language or config.task.regions == HeldOutConfig()),
        ("task.markov_order", config.task.markov_order, language or config.task.markov_order == 10),
    ):
        if not at_rest:
            other = TaskKind.multitask if language else TaskKind.language_model
            raise UserError(
                f"{key} is {value}, which has no effect with task={config.task.name}; leave it out, or use "
                f"task={other}"
            )


def without_effect(overrides: Iterable[str], task: TaskKind) -> list[str]:
    """Keys among the overrides of a command line that this kind of training does not read."""
    keys = [re.split(r"[=@]", each.lstrip("+~"), maxsplit=1)[0].replace("/", ".") for each in overrides]
    return [key for key in keys if any(key == each or key.startswith(f"{each}.") for each in UNUSED[task])]


def warn_without_effect(overrides: Iterable[str], task: TaskKind) -> None:
    """Say which settings of the command line this kind of training does not read."""
    if unused := without_effect(overrides, task):
        logger.warning("note    no effect with task=%s: %s", task, ", ".join(unused))
