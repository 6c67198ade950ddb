"""Trainings that end at chosen moments, inside the test process and as processes of their own."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from small_run import TINY, run_command

from genome_lm.callbacks.run_checkpoints import RunCheckpoints
from genome_lm.callbacks.run_state import Moment

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

PROGRAM = "from genome_lm.cli import main; main()"

DROPOUT = (
    *TINY,
    "head.dropout=0.3",
    "head.input_dropout=0.1",
    "data.eval_batch_size=48",
    "trainer.log_every_n_steps=2",
    "callbacks.save_every_steps=2",
    "resume=auto",
)
"""Two epochs of six steps, and of three batches to validate on, that draw for dropout, order and strands."""


class Killed(BaseException):
    """Stands for the end of the process."""


def training(small_file: Path, run_dir: Path, *more: str) -> int:
    """Exit code of a training in `run_dir`."""
    return run_command("train", *DROPOUT, f"data.path={small_file}", f"run_dir={run_dir}", *more)


def kill_after(monkeypatch: pytest.MonkeyPatch, points: Iterable[tuple[int, Moment]]) -> list[object]:
    """End trainings right after the checkpoints of these steps and moments, each once; what is left to do."""
    saved, left = RunCheckpoints._save, list(points)

    def save(self: RunCheckpoints, trainer: object, path: Path, moment: Moment) -> None:
        saved(self, trainer, path, moment)
        if (trainer.global_step, moment) in left:
            left.remove((trainer.global_step, moment))
            raise Killed

    monkeypatch.setattr(RunCheckpoints, "_save", save)
    return left


def until_it_ends(small_file: Path, run_dir: Path, *more: str) -> int:
    """Repeat a training until it is not killed; how often it was."""
    for kills in range(100):
        try:
            assert training(small_file, run_dir, *more) == 0
        except Killed:
            continue
        return kills
    raise AssertionError("killed for ever")
