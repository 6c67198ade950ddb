"""`genome-lm compare` from outside: files, printed lines, mistakes, and what it does not load."""

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_leaderboard import write_evaluation, write_run
from small_run import files, run_command

from genome_lm.commands.compare import compare
from genome_lm.errors import UserError

WRITTEN = {"leaderboard.json", "leaderboard.md", "leaderboard.tsv", "report.html"}


@pytest.fixture
def runs_dir(tmp_path, monkeypatch) -> Path:
    """Three runs, none of them evaluated, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name, perplexity in (("a", 1.3), ("b", 1.1), ("c", 1.2)):
        write_run(tmp_path / "runs" / "sweep" / name, perplexity)
    return Path("runs")


def one_line(captured) -> str:
    (line,) = captured.err.splitlines()
    assert line.startswith("genome-lm: error: ")
    return line.removeprefix("genome-lm: error: ")


def test_one_folder_takes_the_files_and_several_do_not(runs_dir, capsys):
    assert run_command("compare", "runs/sweep") == 0
    assert {name for name in files(runs_dir / "sweep") if "/" not in name} == WRITTEN
    shown = capsys.readouterr().out
    assert [line.split()[1] for line in shown.splitlines()[3:6]] == ["b", "c", "a"]
    assert shown.splitlines()[-4:] == [
        f"runs/sweep/{name}"
        for name in ("leaderboard.json", "leaderboard.tsv", "leaderboard.md", "report.html")
    ]
    assert "genome-lm evaluate ckpt_path=runs/sweep/b/checkpoints/best.ckpt" in shown
    assert run_command("compare", "runs/sweep/a", "runs/sweep/c") == 0
    assert files(Path("leaderboard")) == WRITTEN
    assert json.loads(Path("leaderboard/leaderboard.json").read_text())["chosen"] == "c"
    assert run_command("compare", "runs", "--output", "elsewhere/deep", "--exclude", "runs/sweep/b") == 0
    lines = Path("elsewhere/deep/leaderboard.tsv").read_text().splitlines()
    assert [row["run"] for row in csv.DictReader(lines, delimiter="\t")] == ["c", "a"]
    assert not (runs_dir / "leaderboard.tsv").exists()


def test_comparing_again_reads_the_same_runs(runs_dir, capsys):
    assert run_command("compare", "runs") == 0
    first = (runs_dir / "leaderboard.json").read_text()
    assert run_command("compare", "runs") == 0
    assert (runs_dir / "leaderboard.json").read_text() == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: RUN_OR_SWEEP_DIR; see genome-lm compare --help"),
        (("runs", "--tset"), "unrecognized arguments: --tset; see genome-lm compare --help"),
        (("runs", "--output"), "argument --output: expected one argument; see genome-lm compare --help"),
        (("runs", "--output", "runs/sweep/a/config.yaml"), "--output runs/sweep/a/config.yaml is no folder"),
        (("runs", "--output", "runs/sweep/a/config.yaml/x"), "cannot write runs/sweep/a/config.yaml/x"),
        (("nowhere",), "nowhere does not exist"),
        (("runs", "--exclude", "runs"), "no finished run in runs"),
        (("runs", "--exclude", "rusn/sweep"), "--exclude rusn/sweep does not exist"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(runs_dir, arguments, message, capsys):
    assert run_command("compare", *arguments) == 2
    assert one_line(capsys.readouterr()).startswith(message)
    assert not WRITTEN & files(runs_dir)
    assert not Path("leaderboard").exists()


def test_runs_that_cannot_be_ranked_leave_no_file(runs_dir, capsys):
    write_run(runs_dir / "other", training={"dataset_checksum": "sha256:2"})
    assert run_command("compare", "runs") == 2
    assert "have different datasets" in one_line(capsys.readouterr())
    assert not WRITTEN & files(runs_dir)


def test_a_folder_in_the_place_of_a_file_is_found_first(runs_dir, capsys):
    (runs_dir / "report.html").mkdir()
    with pytest.raises(UserError, match=r"^runs/report.html is a folder; expected a file"):
        compare(["runs", "--evaluate"], lambda overrides: pytest.fail("evaluated before it was found"))
    assert capsys.readouterr().out == ""
    assert not WRITTEN & files(runs_dir)


def test_a_damaged_table_of_the_chosen_run_costs_its_test_figures_alone(runs_dir, capsys):
    write_evaluation(runs_dir / "sweep" / "b")
    (runs_dir / "sweep" / "b" / "evaluation" / "tasks.tsv").write_text("")
    assert run_command("compare", "runs") == 0
    shown = capsys.readouterr().out
    assert "evaluation/tasks.tsv is damaged; the run is ranked without it" in shown
    assert files(runs_dir) >= WRITTEN


def test_no_table_is_written_beside_a_page_that_fails(runs_dir, monkeypatch, capsys):
    def fails(*_: object) -> None:
        raise UserError("no page")

    monkeypatch.setattr("genome_lm.report.page.write_leaderboard_page", fails)
    assert run_command("compare", "runs") == 2
    assert one_line(capsys.readouterr()) == "no page"
    assert not WRITTEN & files(runs_dir)


def test_help_has_examples(capsys):
    assert run_command("compare", "--help") == 0
    shown = capsys.readouterr().out
    assert shown.count("\n  genome-lm compare") >= 3
    assert all(option in shown for option in ("--output", "--exclude", "--test", "--evaluate"))


def test_the_chosen_run_is_evaluated_first_when_asked_for(runs_dir, capsys):
    told = []

    def evaluate(overrides) -> None:
        told.append(list(overrides))
        write_evaluation(runs_dir / "sweep" / "b", {"test.perplexity.model": 1.0625})

    compare(["runs/sweep", "--evaluate"], evaluate)
    assert told == [["ckpt_path=runs/sweep/b/checkpoints/best.ckpt", "evaluate.min_positive_rate=0.01"]]
    assert "1.06250" in capsys.readouterr().out
    compare(["runs/sweep", "--evaluate"], evaluate)
    assert len(told) == 1


def test_a_real_run_is_compared_and_evaluated(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, tmp_path / "runs" / "tiny")
    shutil.copytree(run, tmp_path / "runs" / "again")
    quick = ("bootstrap.resamples=100", "bootstrap.test_resamples=1000", "baseline.contexts_bp=[60]")

    def evaluate(overrides) -> None:
        assert run_command("evaluate", *overrides, *quick, "evaluate.threads=1") == 0

    compare(["runs", "--evaluate"], evaluate)
    first, second = json.loads((tmp_path / "runs" / "leaderboard.json").read_text())["runs"]
    assert (first["run"], second["run"]) == ("again", "tiny")
    summary = json.loads((tmp_path / "runs" / "again" / "evaluation" / "summary.json").read_text())
    assert first["valid_perplexity"] == pytest.approx(summary["valid"]["perplexity"]["model"], rel=1e-6)
    assert first["test"]["perplexity"] == summary["test"]["perplexity"]["model"]
    interval = summary["test"]["intervals"]["100000"]["wins"]
    assert first["test"]["wins_interval"] == (None if None in interval else interval)
    assert first["valid_auroc"] == summary["valid"]["auroc"]["model"]
    assert second["test"] is None
    assert "Chosen by validation perplexity alone: again (1 more with the same" in capsys.readouterr().out


def test_an_evaluation_that_fails_stops_there(runs_dir, capsys):
    """The runs here are of text files: there is no checkpoint."""
    assert run_command("compare", "runs", "--evaluate") == 2
    assert "checkpoint runs/sweep/b/checkpoints/best.ckpt does not exist" in one_line(capsys.readouterr())
    assert not WRITTEN & files(runs_dir)


def test_nothing_heavy_is_loaded_and_it_is_quick(runs_dir):
    script = (
        "import sys; from genome_lm.cli import main; main(['compare', 'runs']); print('LOADED', *sys.modules)"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert (
        time.perf_counter() - began < 15
    )  # measured: about a second; benchmarks/leaderboard.py has the figure
    loaded = set(done.stdout.partition("LOADED ")[2].split())
    assert "genome_lm.leaderboard.board" in loaded
    assert not loaded & {"torch", "lightning", "wandb", "torchmetrics", "h5py", "tensorboard", "sklearn"}


def test_bad_arguments_are_the_callers_to_print():
    with pytest.raises(UserError, match="unrecognized arguments"):
        compare(["runs", "--nope"], lambda overrides: None)
