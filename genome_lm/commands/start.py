"""The checkpoint that a training starts from, checked against what it holds out."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genome_lm.checkpoint import Content, read_content
from genome_lm.choices import LeakPolicy
from genome_lm.commands.resume import ResumePoint
from genome_lm.config import TrainConfig
from genome_lm.errors import UserError
from genome_lm.held_out import origin_of, seen_before
from genome_lm.runs import BEST_CHECKPOINT

logger = logging.getLogger(__name__)


def start_for(
    config: TrainConfig, now: Mapping[str, Any], resume: ResumePoint | None
) -> tuple[Content | None, Mapping[str, Any] | None]:
    """What `model.init_from` names, and its origin.

    The first is None for fresh weights, or where a resumed training brings all of them; the second is then
    that of the weights that the resumed training started from.

    Args:
        config: the configuration of the training.
        now: `checksum`, `genome_build` and `regions` of its data.
        resume: where the training goes on.

    Raises:
        UserError: the checkpoint cannot be read, or was trained on what is held out now and
            `model.init_leak` is refuse.
    """
    if resume is not None:
        return None, resume.started_from
    if config.model.init_from is None:
        return None, None
    path = Path(config.model.init_from)
    start = read_content(path / BEST_CHECKPOINT if path.is_dir() else path)
    seen = seen_before(start, now)
    if seen.leak is not None and config.model.init_leak is LeakPolicy.refuse:
        raise UserError(
            f"model.init_from {start.path} was trained on sequence that is held out now: {seen.leak}; start "
            "from a model that holds it out too, or set model.init_leak=warn and take no score at its word"
        )
    if seen.leak is not None:
        logger.warning("model.init_from was trained on sequence that is held out now: %s", seen.leak)
    for doubt in seen.doubts:
        logger.warning(
            "whether model.init_from was trained on what is held out now cannot be told: %s", doubt
        )
    return start, origin_of(start)
