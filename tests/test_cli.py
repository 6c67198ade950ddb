"""The commands from outside: help, version, exit codes, and errors that stop a run."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Timer
from small_genome import random_letters, write_fasta
from small_run import TINY, files, run_command, run_folders

import genome_lm
from genome_lm.checkpoint import read_checkpoint
from genome_lm.cli import main
from genome_lm.module import MultitaskModule

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("command", "group"),
    [("train", "model"), ("evaluate", "protocol"), ("prepare", "source"), ("predict", None)],
)
def test_help_shows_groups_keys_and_three_examples(command, group, capsys):
    assert run_command(command, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.count(f"\n  genome-lm {command}") + shown.count(f"\n    genome-lm {command}") >= 3
    assert f"genome-lm {command}: " in shown
    if group is None:
        assert "Groups: none" in shown
    else:
        choices = sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))
        assert f"{group}: {', '.join(choices)}\n" in shown
    assert "allowed_packages" in shown or command == "prepare"
    assert "--config-dir" in shown


@pytest.mark.parametrize("command", ["train", "doctor"])
def test_help_shows_the_groups_of_a_training_and_no_other_command_s(command, capsys):
    assert run_command(command, "--help") == 0
    shown = capsys.readouterr().out.partition("Groups and their choices")[2].partition("\n\n")[0]
    defaults = yaml.safe_load((ROOT / "conf/train.yaml").read_text())["defaults"]
    groups = {key for each in defaults if isinstance(each, dict) for key in each if " " not in key}
    assert {line.partition(":")[0] for line in shown.splitlines()[1:]} == groups


def test_a_choice_from_a_folder_of_one_s_own_is_in_the_help(tmp_path, capsys):
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "slow.yaml").write_text("learning_rate: 1e-5\n")
    assert run_command("train", "--help", "--config-dir", str(tmp_path)) == 0
    ours = {path.stem for path in (ROOT / "conf" / "optimizer").glob("*.yaml")}
    assert f"optimizer: {', '.join(sorted(ours | {'slow'}))}\n" in capsys.readouterr().out


LOGGING_JOB = """
import logging, sys
from genome_lm import cli
def job(config, folder):
    for number in range(3):
        logging.getLogger("genome_lm").info("a line")
    print("done", file=sys.stderr)
cli._run("train", ["hydra.run.dir=.", "hydra.output_subdir=null"], job)
"""


@pytest.mark.parametrize(
    ("code", "statuses", "error"),
    [
        ("from genome_lm.cli import main; main(['train', '--cfg', 'job'])", (141,), b""),
        ("from genome_lm.cli import main; main(['train', '--help'])", (0, 141), b""),
        ("from genome_lm.cli import main; main(['--help'])", (0, 141), b""),
        ("from genome_lm.cli import main; main(['compare', '--help'])", (0, 141), b""),
        (LOGGING_JOB, (0,), b"done\n"),  # what logs goes on without a reader: a training is worth more
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_ends_a_command_quietly(code, statuses, error, unbuffered, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=closed, stderr=subprocess.PIPE, cwd=tmp_path, env=environment
        )
    assert done.stderr == error
    assert done.returncode in statuses


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_output_that_does_not_fit_is_one_line(tmp_path):
    code = "from genome_lm.cli import main; main(['train', '--cfg', 'job'])"
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=environment
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"genome-lm: error: file error: [Errno 28] No space left")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "window_features=null"), "window_features is null; expected one of motifs, none"),
        (("train", "head=1"), "head is 1; expected one of default, last"),
        (("doctor", "stem=null"), "stem is null; expected one of conv, none"),
        (("evaluate", "protocol=null"), "protocol is null; expected one of poster, tuned"),
        (("tune", "stem=null"), "stem is null; expected one of conv, none"),
    ],
)
def test_a_group_without_a_choice_is_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(*arguments) == 2
    assert capsys.readouterr().err == f"genome-lm: error: {message}\n"


def test_overrides_on_both_sides_of_a_flag(tmp_path, capsys):
    (tmp_path / "a=b" / "optimizer").mkdir(parents=True)  # a folder that looks like an override
    arguments = ("seed=7", "--config-dir", str(tmp_path / "a=b"), "model=gru", "--cfg", "job", "--resolve")
    assert run_command("train", *arguments) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["seed"], shown["model"]["name"]) == (7, "gru")


def test_flags_that_exclude_each_other_are_one_line(capsys):
    assert run_command("train", "-m", "seed=0,1", "--cfg", "job") == 2
    error = capsys.readouterr().err
    assert error.startswith("genome-lm: error: Only one of --run, --multirun, --cfg")
    assert error.count("\n") == 1


def test_help_of_the_whole(capsys):
    for arguments in ([], ["--help"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
        shown = capsys.readouterr().out
        assert all(f"\n  {command} " in shown for command in ("train", "evaluate", "prepare", "predict"))


def test_version_and_unknown_command(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"genome-lm {genome_lm.__version__}\n"
    with pytest.raises(SystemExit) as left:
        main(["trian"])
    assert left.value.code == 2
    assert "choose from" in capsys.readouterr().err


def test_help_in_a_fresh_process_loads_nothing_heavy(tmp_path):
    """`python train.py --help` as a user types it; what was imported is listed at the end."""
    script = (
        "import runpy, sys; sys.argv = ['train.py', '--help'];"
        "import atexit; atexit.register(lambda: print('LOADED', *sys.modules));"
        f"runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.partition("LOADED ")[2].split())
    assert loaded
    assert not loaded & {
        "torch",
        "lightning",
        "numpy",
        "h5py",
        "wandb",
        "torchmetrics",
        "sklearn",
        "matplotlib",
    }
    assert "genome-lm train model=bilstm" in done.stdout
    assert list(tmp_path.iterdir()) == []


def run_tiny(small_file: Path, tmp_path: Path, *more: str) -> int:
    return run_command("train", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path / 'runs'}", *more)


def test_a_loss_that_is_no_number_stops_and_names_its_step(small_file, tmp_path, monkeypatch, capsys):
    plain = MultitaskModule.training_step

    def broken(self, batch, batch_idx):
        loss = plain(self, batch, batch_idx)
        return loss * torch.nan if self.trainer.global_step == 7 else loss

    monkeypatch.setattr(MultitaskModule, "training_step", broken)
    assert run_tiny(small_file, tmp_path) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "genome-lm: error: the loss is not finite at step 7 (epoch 2); training stops there."
    )
    assert len(error.splitlines()) == 1
    (run,) = run_folders(tmp_path)
    assert files(run) == {
        "config.yaml",
        "hparams.yaml",
        "metrics.csv",
        "checkpoints/best.ckpt",  # of the epoch before, whole and finite
        "checkpoints/last.ckpt",
    }


def test_weights_spoilt_by_the_last_step_are_not_saved(small_file, tmp_path, monkeypatch, capsys):
    """The step's own loss was finite; only the validation after it can tell."""
    plain = MultitaskModule.optimizer_step

    def broken(self, *arguments, **more):
        plain(self, *arguments, **more)
        with torch.no_grad():
            self.network.head.linear.bias.fill_(torch.nan)

    monkeypatch.setattr(MultitaskModule, "optimizer_step", broken)
    more = ("trainer.max_epochs=1", "trainer.limit_train_batches=1", "callbacks.ema_decay=0.0")
    assert run_tiny(small_file, tmp_path, *more) == 2
    assert "the loss is not finite at step 1 (epoch 1)" in capsys.readouterr().err
    (run,) = run_folders(tmp_path)
    assert not (run / "checkpoints").exists()


def test_weights_that_are_no_numbers_stop_the_run_too(small_file, tmp_path, capsys):
    assert run_tiny(small_file, tmp_path, "optimizer.learning_rate=1e38", "optimizer.warmup_fraction=0") == 2
    assert "the loss is not finite at step " in capsys.readouterr().err
    (run,) = run_folders(tmp_path)
    assert not (run / "checkpoints").exists()


def test_ctrl_c_ends_with_130_and_no_traceback(small_file, tmp_path, monkeypatch, capsys):
    def interrupted(self, batch, batch_idx):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(MultitaskModule, "training_step", interrupted)
    try:
        assert run_tiny(small_file, tmp_path) == 130
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning ignores further signals while it shuts down
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert not list(tmp_path.rglob("*.ckpt"))


def test_sigterm_ends_with_143_and_no_part_of_an_output(checkpoint, tmp_path):
    """In a process of its own, as a batch system ends it, while the output is being written."""
    fasta = write_fasta(tmp_path / "some.fa", {"a": random_letters(200_000)})
    (tmp_path / "out").mkdir()
    arguments = (
        f"ckpt_path={checkpoint}", f"fasta={fasta}", f"output={tmp_path}/out/o.tsv.gz", "stride_bp=1",
        "thresholds=none", "predict.threads=1", "predict.accelerator=cpu",
    )  # fmt: skip
    program = "from genome_lm.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "predict", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            until = time.monotonic() + 60
            while not any(path.stat().st_size for path in (tmp_path / "out").iterdir()):
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < until
                time.sleep(0.01)
            process.terminate()
            assert process.wait(timeout=30) == 143
        finally:
            process.kill()
        assert process.stderr.read().splitlines()[-1] == "terminated"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("command", ["prepare", "evaluate", "predict", "compare"])
def test_every_command_but_train_cleans_up_after_sigterm(command, tmp_path, monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)

    def terminated(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # a second one while cleaning up
            (tmp_path / "cleaned").touch()

    module = importlib.import_module(f"genome_lm.commands.{command}")
    monkeypatch.setattr(module, command, terminated)
    monkeypatch.chdir(tmp_path)
    needed = {
        "prepare": ("fasta=a", "manifest=b", "output=c", "genome_build=d"),
        "predict": ("fasta=a", "output=b.tsv"),
    }
    assert run_command(command, *needed.get(command, ())) == 143
    assert (tmp_path / "cleaned").exists()
    assert capsys.readouterr().err.splitlines() == ["terminated"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_time_that_is_up_within_the_first_epoch(small_file, tmp_path, monkeypatch, capsys):
    """The run still validates and leaves a checkpoint."""
    plain, steps = MultitaskModule.training_step, []

    def counting(self, batch, batch_idx):
        steps.append(batch_idx)
        return plain(self, batch, batch_idx)

    monkeypatch.setattr(MultitaskModule, "training_step", counting)
    monkeypatch.setattr(Timer, "time_elapsed", lambda *_: 0.0 if len(steps) < 2 else 11.0)
    assert run_tiny(small_file, tmp_path, "trainer.max_time=00:00:00:10") == 0, capsys.readouterr().err
    assert steps == [0, 1]
    (run,) = run_folders(tmp_path)
    result = json.loads((run / "training.json").read_text())
    assert result["windows_per_second"] > 0
    assert read_checkpoint(run / "checkpoints" / "best.ckpt").epochs == 1


def test_time_that_is_up_before_the_first_step(small_file, tmp_path, capsys):
    assert run_tiny(small_file, tmp_path, "trainer.max_time=00:00:00:00") == 2
    assert "the run ended before its first validation and has no checkpoint" in capsys.readouterr().err


def test_mixed_precision_with_clipping(small_file, tmp_path, capsys):
    assert run_tiny(small_file, tmp_path, "trainer.precision=bf16", "trainer.gradient_clip_norm=1") == 0
    assert "valid perplexity" in capsys.readouterr().out


def test_a_programming_error_is_not_hidden(small_file, tmp_path, monkeypatch):
    def broken(self, batch, batch_idx):
        raise ZeroDivisionError("not the user's fault")

    monkeypatch.setattr(MultitaskModule, "training_step", broken)
    with pytest.raises(ZeroDivisionError):
        run_tiny(small_file, tmp_path)
