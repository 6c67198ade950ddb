"""A full disk ends every command in one line and exit code 2, and costs no earlier file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from full_disk import SmallDisk, small_disk
from interrupted import Killed, kill_after, training
from same_run import run_differences
from small_run import SLICE, run_command

from genome_lm.callbacks.run_checkpoints import RunCheckpoints
from genome_lm.callbacks.run_state import Moment
from genome_lm.checkpoint_io import is_intact
from genome_lm.curve import CurveFile
from genome_lm.errors import UserError


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 2_000_000) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def undisturbed(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert training(small_file, folder, "logger=tensorboard") == 0
    return folder


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Of the error."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("genome-lm: error: ")
    assert "No space left on device" in line
    return line


@pytest.mark.parametrize("room", [4096, 20_000])
def test_a_training_keeps_its_last_checkpoint_and_goes_on(
    disk, small_file, undisturbed, monkeypatch, capsys, room
):
    run = disk.path / "run"
    kill_after(monkeypatch, [(8, Moment.batch)])
    with pytest.raises(Killed):
        training(small_file, run, "logger=tensorboard")
    before = {name: (run / "checkpoints" / name).read_bytes() for name in ("last.ckpt", "best.ckpt")}
    assert len(before["last.ckpt"]) > 20_000
    disk.fill(room)
    capsys.readouterr()
    assert training(small_file, run, "logger=tensorboard") == 2
    only_line(capsys)
    for name, content in before.items():
        assert (run / "checkpoints" / name).read_bytes() == content
    assert not list(run.rglob("*.tmp"))
    disk.empty()
    assert training(small_file, run, "logger=tensorboard") == 0
    assert run_differences(undisturbed, run) == []


def test_a_disk_that_fills_up_while_a_run_trains(disk, small_file, monkeypatch, capsys):
    """Before the second of the checkpoints of the first epoch."""
    run = disk.path / "run"
    saved = RunCheckpoints._save

    def save(self, trainer, path, moment):
        if trainer.global_step == 4:
            disk.fill(8192)
        saved(self, trainer, path, moment)

    monkeypatch.setattr(RunCheckpoints, "_save", save)
    assert training(small_file, run) == 2
    assert f"cannot write {run}/checkpoints/last.ckpt: " in only_line(capsys)
    assert is_intact(run / "checkpoints" / "last.ckpt")
    disk.empty()
    monkeypatch.undo()
    assert training(small_file, run) == 0
    assert "last.ckpt, 2 steps" in capsys.readouterr().out


def test_a_curve_keeps_whole_rows(disk):
    curve = CurveFile(disk.path, 0)
    disk.fill(4096)

    def log() -> None:
        for step in range(1000):
            curve.log_metrics({"loss": 0.123456789}, step)
            curve.save()

    with pytest.raises(UserError, match=r"^cannot write \S+/metrics.csv: No space left on device; free some"):
        log()
    lines = (disk.path / "metrics.csv").read_text().splitlines()
    assert 10 < len(lines) == curve.rows + 1
    assert all(line.count(",") == 1 and line.startswith("0.123456789,") for line in lines[1:])


@pytest.mark.parametrize("room", [0, 30_000])
def test_prepare_leaves_the_earlier_file(disk, small_file, capsys, room):
    output = disk.path / "small.h5"
    shutil.copy(small_file, output)
    before = output.read_bytes()
    disk.fill(room)
    arguments = (
        f"fasta={SLICE / 'chr20_47Mb_49Mb.fa.gz'}", f"manifest={SLICE / 'tracks.tsv'}", f"output={output}",
        "genome_build=hg19", "overwrite=true", "splits.valid=[chr20:0-300000]",
        "splits.test=[chr20:300000-600000]",
    )  # fmt: skip
    assert run_command("prepare", *arguments) == 2
    assert "cannot write" in capsys.readouterr().err.splitlines()[-1]
    assert output.read_bytes() == before
    assert {each.name for each in disk.path.iterdir()} == {"small.h5", "filler"}


@pytest.mark.parametrize("room", [20_000, 300_000])
def test_an_evaluation_says_so_and_leaves_no_part_of_a_file(disk, run, capsys, room):
    disk.fill(room)
    arguments = (
        f"ckpt_path={run}", f"output_dir={disk.path / 'out'}", f"runs_dir={disk.path / 'runs'}",
        "baseline.contexts_bp=[100]", "evaluate.threads=1", "evaluate.accelerator=cpu",
    )  # fmt: skip
    capsys.readouterr()
    assert run_command("evaluate", *arguments) == 2
    only_line(capsys)
    assert not list(disk.path.rglob("*.tmp"))
