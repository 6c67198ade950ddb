"""A training that is killed and started again by the same command ends as an undisturbed one."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from interrupted import DROPOUT, PROGRAM, Killed, kill_after, training, until_it_ends
from same_run import run_differences
from small_run import files

from genome_lm.callbacks.run_checkpoints import RunCheckpoints
from genome_lm.callbacks.run_state import Moment
from genome_lm.checkpoint_io import is_intact
from genome_lm.commands import session
from genome_lm.commands.resume import newest_intact
from genome_lm.module import MultitaskModule

LANGUAGE = (
    "task=language_model",
    "task.markov_order=2",
    "model.encoder.dropout=0.2",
    "trainer.limit_train_batches=6",  # of an epoch that has more
)


@pytest.fixture(scope="module")
def undisturbed(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert training(small_file, folder) == 0
    return folder


def test_killed_at_every_kind_of_moment(small_file, undisturbed, tmp_path, monkeypatch):
    points = [(2, Moment.batch), (6, Moment.validation), (6, Moment.epoch), (8, Moment.batch)]
    left = kill_after(monkeypatch, points)
    assert until_it_ends(small_file, tmp_path / "run") == len(points)
    assert not left
    assert run_differences(undisturbed, tmp_path / "run") == []
    assert files(tmp_path / "run") == files(undisturbed)


def test_killed_between_the_last_epoch_and_its_files(small_file, undisturbed, tmp_path, monkeypatch):
    """Before the last checkpoint gets its second name, and before training.json is written."""
    kill_after(monkeypatch, [(12, Moment.epoch)])
    with pytest.raises(Killed):
        training(small_file, tmp_path / "run")
    monkeypatch.setattr(session, "_leave", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        training(small_file, tmp_path / "run")
    assert not (tmp_path / "run" / "training.json").exists()
    monkeypatch.undo()
    assert training(small_file, tmp_path / "run") == 0
    assert run_differences(undisturbed, tmp_path / "run") == []


@pytest.mark.parametrize(
    ("more", "points"),
    [
        (LANGUAGE, [(6, Moment.validation), (8, Moment.batch)]),
        (  # goes on from the best checkpoint, since there is no other
            ("callbacks.ema_decay=0", "callbacks.save_last=false"),
            [(6, Moment.epoch)],
        ),
        (  # stops early, and must stay stopped after a kill behind its last epoch
            ("optimizer.learning_rate=0.1", "optimizer.schedule=constant", "optimizer.warmup_fraction=0",
             "trainer.max_epochs=30", "callbacks.patience=1"),
            [],
        ),
    ],
    ids=["language model", "best checkpoint alone", "early stopping"],
)  # fmt: skip
def test_other_trainings(small_file, tmp_path, monkeypatch, more, points):
    plain, cut = tmp_path / "plain", tmp_path / "cut"
    assert training(small_file, plain, *more) == 0
    epochs = json.loads((plain / "training.json").read_text())["epochs"]
    left = kill_after(monkeypatch, points or [(6 * epochs, Moment.epoch)])
    assert until_it_ends(small_file, cut, *more) == max(1, len(points))
    assert not left
    if "callbacks.save_last=false" in more:
        for run in (plain, cut):
            assert not (run / "checkpoints" / "last.ckpt").exists()
            (run / "checkpoints" / "last.ckpt").hardlink_to(run / "checkpoints" / "best.ckpt")
    elif not points:
        assert epochs < 30
    assert run_differences(plain, cut) == []


def test_a_process_killed_while_it_writes_a_checkpoint(small_file, undisturbed, tmp_path):
    run = tmp_path / "run"
    arguments = ("train", *DROPOUT, f"data.path={small_file}", f"run_dir={run}")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        until = time.monotonic() + 240
        while not list(run.glob("checkpoints/.*.tmp")) and time.monotonic() < until:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert all(is_intact(path) for path in run.glob("checkpoints/*.ckpt"))
    assert training(small_file, run) == 0
    assert run_differences(undisturbed, run) == []
    assert not list(run.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("step", "number", "call", "saved"),
    [("training_step", signal.SIGTERM, 3, 3), ("validation_step", signal.SIGUSR1, 2, 6)],
)
def test_a_signal_ends_a_training_in_order(
    small_file, undisturbed, tmp_path, monkeypatch, capsys, step, number, call, saved
):
    """After the batch in hand, with the state before the next one, or before the validation."""
    plain = getattr(MultitaskModule, step)
    handlers = [signal.getsignal(each) for each in signal.valid_signals()]
    calls = []

    def signalled(self, batch, batch_idx):
        calls.append(batch_idx)
        if len(calls) == call:
            signal.raise_signal(number)
        return plain(self, batch, batch_idx)

    monkeypatch.setattr(MultitaskModule, step, signalled)
    assert training(small_file, tmp_path / "run", "callbacks.save_every_steps=100") == 143
    assert [signal.getsignal(each) for each in signal.valid_signals()] == handlers
    assert "told to end; the state is saved: resume=auto goes on in" in capsys.readouterr().out
    assert len(calls) == call
    assert not (tmp_path / "run" / "training.json").exists()
    monkeypatch.undo()
    assert training(small_file, tmp_path / "run") == 0
    assert f"last.ckpt, {saved} steps" in capsys.readouterr().out
    assert run_differences(undisturbed, tmp_path / "run") == []


def test_a_signal_before_the_first_step_leaves_nothing_to_go_on_from(
    small_file, undisturbed, tmp_path, monkeypatch, capsys
):
    def signalled(self):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(MultitaskModule, "on_train_epoch_start", signalled)
    assert training(small_file, tmp_path / "run") == 143
    assert "told to end before there was a state to save in" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.ckpt"))
    monkeypatch.undo()
    assert training(small_file, tmp_path / "run") == 0
    assert run_differences(undisturbed, tmp_path / "run") == []


def test_a_finished_run_is_left_as_it_is(small_file, undisturbed, capsys, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.*") if path.is_file()}
    monkeypatch.setattr(RunCheckpoints, "_save", None)
    assert training(small_file, undisturbed) == 0
    assert "nothing is left to train" in capsys.readouterr().out
    after = {path: path.stat().st_mtime_ns for path in before}
    assert {path for path in before if before[path] != after[path]} <= set((undisturbed / ".hydra").iterdir())


def test_a_damaged_last_checkpoint_gives_way_to_the_best(small_file, tmp_path, monkeypatch, undisturbed):
    kill_after(monkeypatch, [(8, Moment.batch)])
    with pytest.raises(Killed):
        training(small_file, tmp_path / "run")
    last, best = (tmp_path / "run" / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    assert newest_intact(tmp_path / "run") == last
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    assert newest_intact(tmp_path / "run") == best
    assert training(small_file, tmp_path / "run") == 0
    assert run_differences(undisturbed, tmp_path / "run") == []
