"""What `resume` and `ckpt_path` name and refuse, and temporary files of processes that are gone."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_run import TINY, files, run_command, run_folders

from genome_lm.atomic import remove_abandoned, replacing
from genome_lm.commands import resume
from genome_lm.commands.resume import is_finished
from genome_lm.curve import CurveFile
from genome_lm.dataset.datamodule import EpochSampler


def train(small_file: Path, *more: str) -> int:
    return run_command("train", *TINY, f"data.path={small_file}", *more)


def test_the_last_checkpoint_of_the_newest_run(run, small_file, tmp_path, capsys):
    """With other settings, in a folder of its own, as for any checkpoint."""
    (tmp_path / "given").symlink_to(run)
    for name in ("last", str(run)):
        assert train(small_file, f"runs_dir={tmp_path}", f"ckpt_path={name}", "trainer.max_epochs=3") == 0
        assert "last.ckpt, 12 steps" in capsys.readouterr().out
        (new,) = (each for each in run_folders(tmp_path) if each.name != "given")
        assert new.name.endswith("_bigru")
        for path in sorted(new.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        new.rmdir()


@pytest.mark.parametrize(
    ("overrides", "answer"),
    [
        (("ckpt_path=last",), "no run with a checkpoint in"),
        (("ckpt_path=.",), "is a folder without checkpoints/last.ckpt"),
        (("ckpt_path=last", "resume=auto"), "give one of the two"),
        (("callbacks.save_every_minutes=0",), "callbacks.save_every_minutes is 0.0; expected more than 0"),
        (("callbacks.save_every_steps=0",), "callbacks.save_every_steps is 0; expected at least 1"),
        (("resume=now",), "auto"),
    ],
)
def test_what_cannot_be_gone_on_from(small_file, tmp_path, capsys, monkeypatch, overrides, answer):
    monkeypatch.chdir(tmp_path)
    assert train(small_file, f"runs_dir={tmp_path / 'runs'}", *overrides) == 2
    error = capsys.readouterr().err
    assert answer in error
    assert len(error.splitlines()) == 1
    assert files(tmp_path) == set()


def test_the_same_command_only(run, small_file, capsys):
    """A finished run's settings are held against those of the command, the machine's own left out."""
    assert is_finished(run)
    same = ("resume=auto", f"run_dir={run}", "trainer.progress_bar=false", "data.num_workers=1")
    assert train(small_file, *same) == 0
    assert "nothing is left to train" in capsys.readouterr().out
    before = (run / "training.json").read_bytes()
    assert train(small_file, *same, "optimizer.learning_rate=0.5") == 2
    error = capsys.readouterr().err
    assert f"goes on with the run in {run}, whose optimizer.learning_rate was " in error
    assert ", now 0.5; repeat its settings, give another run_dir, or" in error
    assert (run / "training.json").read_bytes() == before


def test_a_folder_that_is_found_again(small_file, tmp_path):
    for _ in range(2):
        assert train(small_file, f"runs_dir={tmp_path}", "resume=auto", "trainer.max_epochs=1") == 0
        assert [each.name for each in run_folders(tmp_path)] == ["bigru"]


def test_one_process_a_folder(small_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(resume, "LOCK_SECONDS", 0.0)
    (tmp_path / "run").mkdir()
    handle = os.open(tmp_path / "run", os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert train(small_file, f"run_dir={tmp_path / 'run'}") == 2
    finally:
        os.close(handle)
    assert f"another process trains in {tmp_path / 'run'}; wait for its end" in capsys.readouterr().err


@pytest.mark.parametrize("world_size", [1, 3])
def test_an_epoch_from_a_batch_on_is_the_rest_of_the_whole_one(world_size):
    how = {"shuffle": True, "max_shift_bp": 5, "reverse_complement": True, "seed": 3}
    for rank in range(world_size):
        ranks = {"rank": rank, "world_size": world_size}
        whole = EpochSampler(np.arange(100), 7, **how, **ranks)
        rest = EpochSampler(np.arange(100), 7, **how, **ranks, epoch=2, first_batch=4)
        for epoch, first in ((2, 4), (3, 0)):
            for sampler in (whole, rest):
                sampler.set_epoch(epoch)
            assert len(rest) == len(whole)
            for one, other in zip(list(whole)[first:], rest, strict=True):
                for name in ("window", "shift", "flip"):
                    np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_curve_goes_on_behind_the_rows_of_its_checkpoint(tmp_path):
    first = CurveFile(tmp_path, 0)
    for step in range(4):
        first.log_metrics({"loss": step / 2} | ({"valid": 1.5} if step > 1 else {}), step)
        first.save()
    assert first.flush() == 4
    path = tmp_path / "metrics.csv"
    assert path.read_text() == "loss,step,valid\n0.0,0,\n0.5,1,\n1.0,2,1.5\n1.5,3,1.5\n"
    with path.open("a") as file:
        file.write("2.0,")  # as if killed, or the disk full, in mid-row
    again = CurveFile(tmp_path, 3)
    assert again.rows == 3
    again.log_metrics({"loss": 7.0, "valid": 2.0}, 3)
    again.save()
    assert path.read_text() == "loss,step,valid\n0.0,0,\n0.5,1,\n1.0,2,1.5\n7.0,3,2.0\n"


HOLDS = """
import sys, time
from pathlib import Path
from genome_lm.atomic import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def test_a_temporary_file_is_removed_once_its_process_is_gone(tmp_path):
    path = tmp_path / "a*b.txt"
    (tmp_path / ".a*b.txt.0123abcd-1-1.xyz.tmp").touch()  # of another machine
    with subprocess.Popen([sys.executable, "-c", HOLDS, path], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"writing\n"
            assert remove_abandoned(tmp_path) == []
            (temporary,) = (each for each in tmp_path.iterdir() if "0123abcd" not in each.name)
        finally:
            process.send_signal(signal.SIGKILL)
    assert remove_abandoned(tmp_path, "b.txt") == []
    with replacing(path) as mine:
        assert not temporary.exists()
        assert remove_abandoned(tmp_path) == []
        mine.write_text("whole")
    assert {each.name for each in tmp_path.iterdir()} == {"a*b.txt", ".a*b.txt.0123abcd-1-1.xyz.tmp"}
