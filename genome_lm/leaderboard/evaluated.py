"""The figures of a run's evaluation, read from evaluation/summary.json."""

import math
from dataclasses import dataclass
from pathlib import Path, PurePath

from genome_lm.leaderboard.configuration import Configuration
from genome_lm.leaderboard.fields import Damaged, Fields, read_fields
from genome_lm.leaderboard.training import Training

EVALUATION = "evaluation"
SUMMARY_FILE = "summary.json"
TASKS_FILE = "tasks.tsv"  # for the page of the chosen run
PROTOCOL = "tuned"
"""Thresholds from validation; an evaluation by other rules cannot stand beside these."""

SAME_WEIGHTS = 1e-3
"""Relative; by how much the perplexities of one validation, in training and in an evaluation, may differ.

Other devices, precisions and batches are far below that; other epochs of a training mostly above.
"""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Figures:
    """Of the model on one split; None where undefined or written by a version without them."""

    perplexity: float | None
    skill: float | None
    auroc: float | None
    ap: float | None
    f1: float | None
    wins: int  # tasks on which its F1 is higher than the baseline's
    counted: int  # tasks with an outcome
    wins_interval: Interval | None
    f1_difference: float | None  # model minus baseline
    f1_difference_interval: Interval | None


@dataclass(frozen=True)
class Evaluation:
    """Of a run, over the tasks that it was trained on.

    Attributes:
        block_bp: length of the blocks that the intervals come from.
        level: of the intervals.
        checkpoint_sha256: of the checkpoint's file; None where an older version did not write it.
    """

    folder: Path
    valid: Figures
    test: Figures
    block_bp: int | None
    level: float | None
    checkpoint_sha256: str | None


def read_evaluation(run_dir: Path, training: Training, configuration: Configuration) -> Evaluation | None:
    """Read the evaluation of a run; None where it has none.

    Whether the weights are the run's is told by the validation perplexity; `verified` also asks the file.

    Raises:
        Damaged: the summary cannot be read, or is of other data, tasks, rules or weights than the figures of
            the run's training, so that the two cannot stand in one row.
    """
    folder = run_dir / EVALUATION
    if not (folder / SUMMARY_FILE).exists():
        return None
    fields = read_fields(folder / SUMMARY_FILE)
    if not (folder / TASKS_FILE).is_file():
        raise Damaged(f"{EVALUATION}/{TASKS_FILE} is missing")
    sha256 = _check_same_object(fields, training)
    _check_same_weights(fields, training, configuration)
    return _evaluation(folder, fields, sha256)


def read_ensemble(folder: Path) -> Evaluation:
    """Read the evaluation of several checkpoints, which is no run's.

    Args:
        folder: with `summary.json`, as `genome-lm evaluate` leaves it below its output folder.

    Raises:
        Damaged: the summary cannot be read, is by other rules or of a single checkpoint.
    """
    fields = read_fields(folder / SUMMARY_FILE)
    if (protocol := fields.text("protocol")) != PROTOCOL:
        raise Damaged(f"{EVALUATION}/{SUMMARY_FILE} is by protocol={protocol}; expected protocol={PROTOCOL}")
    if len(fields.items("checkpoints")) < 2:
        raise Damaged(f"{EVALUATION}/{SUMMARY_FILE} is of one checkpoint; expected several")
    return _evaluation(folder, fields, None)


def _evaluation(folder: Path, fields: Fields, sha256: str | None) -> Evaluation:
    block_bp: int | None = None
    level: float | None = None
    if fields.has("bootstrap.block_bp") and (lengths := fields.wholes("bootstrap.block_bp")):
        block_bp = lengths[0]  # the one that every split has intervals of
        level = fields.number_if_there("bootstrap.level", 0, 1)
    valid, test = (_figures(fields, split, block_bp) for split in ("valid", "test"))
    return Evaluation(folder, valid, test, block_bp, level, sha256)


def skill(perplexity: float | None, prior_perplexity: float | None) -> float | None:
    """Share of the prior's mean cross-entropy that the model removes: 1 - ln(ppl) / ln(prior's ppl)."""
    if perplexity is None or prior_perplexity is None or prior_perplexity <= 1:
        return None
    return 1 - math.log(perplexity) / math.log(prior_perplexity)


def _check_same_object(fields: Fields, training: Training) -> str | None:
    """Refuse other rules, data, tasks or files; return the SHA-256 of the checkpoint if it is there."""
    name = f"{EVALUATION}/{SUMMARY_FILE}"
    if (protocol := fields.text("protocol")) != PROTOCOL:
        raise Damaged(f"{name} is by protocol={protocol}; expected protocol={PROTOCOL}")
    if fields.text("dataset.checksum") != training.dataset_checksum:
        raise Damaged(f"{name} is of another dataset than the training")
    scored = fields.whole("n_tasks")
    # Tasks scored are always among those trained on: as many means the same.
    if training.n_tasks is not None and scored != training.n_tasks:
        raise Damaged(f"{name} is over {scored} tasks; the run was trained on {training.n_tasks}")
    if not fields.has("checkpoints"):
        return None
    checkpoints = fields.items("checkpoints")
    if len(checkpoints) != 1 or not isinstance(checkpoints[0], dict):
        raise Damaged(f"{name} is of {len(checkpoints)} checkpoints; expected one")
    checkpoint = Fields(name, checkpoints[0])
    path = checkpoint.text("path")
    if PurePath(path).name != PurePath(training.best_checkpoint).name:
        raise Damaged(f"{name} is of {PurePath(path).name}; expected {training.best_checkpoint}")
    return checkpoint.text("sha256") if checkpoint.has("sha256") else None


def _check_same_weights(fields: Fields, training: Training, configuration: Configuration) -> None:
    """Refuse a validation perplexity that is not the training's, where the two are of the same thing."""
    key = "baseline.same_context.strands"
    # The regression sums both strands exactly when the network averages them.
    averaged = fields.text(key) == "summed" if fields.has(key) else configuration.average_strands
    partial = configuration.limit_val_batches is not None
    if partial or training.n_tasks is None or averaged != configuration.average_strands:
        return
    scored, trained = fields.number("valid.perplexity.model", 1), training.valid_perplexity
    if scored is None or trained is None or math.isclose(scored, trained, rel_tol=SAME_WEIGHTS):
        return
    raise Damaged(
        f"{EVALUATION}/{SUMMARY_FILE} is of other weights: its validation perplexity is {scored:.5f}, "
        f"the training's {trained:.5f}; run `genome-lm evaluate` again"
    )


def _figures(fields: Fields, split: str, block_bp: int | None) -> Figures:
    perplexity = fields.number(f"{split}.perplexity.model", 1)
    wins = fields.whole(f"{split}.wins")
    intervals = f"{split}.intervals.{block_bp}"
    return Figures(
        perplexity=perplexity,
        skill=skill(perplexity, fields.number(f"{split}.perplexity.prior", 1)),
        auroc=fields.number(f"{split}.auroc.model", 0, 1),
        ap=fields.number(f"{split}.ap.model", 0, 1),
        f1=fields.number(f"{split}.f1.model", 0, 1),
        wins=wins,
        counted=wins + fields.whole(f"{split}.ties") + fields.whole(f"{split}.losses"),
        wins_interval=fields.interval_if_there(f"{intervals}.wins"),
        f1_difference=fields.number(f"{split}.f1.difference", -1, 1),
        f1_difference_interval=fields.interval_if_there(f"{intervals}.f1.difference"),
    )
