"""Sweeps: a folder a job, one table, and failures that stay where they are."""

import csv
import json

import pytest
from small_run import TINY, files, run_command, run_folders

from genome_lm.sweep import COLUMNS, sweep_rows


def sweep(small_file, tmp_path, *more: str) -> int:
    arguments = (*TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", "trainer.max_epochs=1")
    return run_command("train", "-m", *arguments, *more)


def table_of(tmp_path) -> list[dict[str, str]]:
    (path,) = tmp_path.glob("*_sweep/sweep.tsv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_two_models_give_two_runs_and_one_ranked_table(small_file, tmp_path, capsys):
    assert sweep(small_file, tmp_path, "model=gru,bilstm", "head.norm=none") == 0
    first, second = run_folders(tmp_path)
    assert (first.name, second.name) == ("0_gru", "1_bilstm")
    rows = table_of(tmp_path)
    assert tuple(rows[0]) == COLUMNS
    results = {}
    for folder in (first, second):
        assert {"checkpoints/best.ckpt", "config.yaml", "metrics.csv", "training.json"} <= files(folder)
        results[folder.name] = json.loads((folder / "training.json").read_text())
    ranked = sorted(results, key=lambda name: results[name]["valid_perplexity"])
    assert [row["job"] for row in rows] == ranked
    for row in rows:
        result = results[row["job"]]
        assert float(row["valid_perplexity"]) == pytest.approx(result["valid_perplexity"], abs=1e-5)
        assert float(row["prior"]) == pytest.approx(result["valid_prior_perplexity"], abs=1e-5)
        assert (row["model"], int(row["parameters"])) == (result["model"], result["parameters"])
        assert f"model={result['model']}" in row["overrides"]
    shown = capsys.readouterr().out
    markdown = (first.parent / "sweep.md").read_text()
    assert markdown.splitlines()[0] in shown
    assert "Validation perplexity over 19 of 21 tasks with >= 1% positives in train." in markdown


def test_a_job_that_fails_does_not_stop_the_others(small_file, tmp_path, capsys):
    assert sweep(small_file, tmp_path, "data.context_bp=2,60,2000") == 2
    rows = table_of(tmp_path)
    assert [row["job"].partition("_")[0] for row in rows] == ["1", "0", "2"]
    assert [row["valid_perplexity"] == "failed" for row in rows] == [False, True, True]
    (folder,) = tmp_path.glob("*_sweep")
    assert "this tokenizer needs at least 3 bp" in (folder / rows[1]["job"] / "error.txt").read_text()
    assert "does not fit the stored windows" in (folder / rows[2]["job"] / "error.txt").read_text()
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "genome-lm: error: 2 of the sweep's jobs failed; each folder says why in error.txt"
    ]
    assert "job failed: data.context_bp is 2" in captured.out


def test_a_programming_error_in_a_job_is_kept_whole(small_file, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("not the user's fault")

    monkeypatch.setattr("genome_lm.commands.train.describe", broken)
    assert sweep(small_file, tmp_path, "seed=1,2") == 2
    for path in tmp_path.glob("*_sweep/*/error.txt"):
        assert path.read_text().startswith("Traceback")
        assert "ZeroDivisionError: not the user's fault" in path.read_text()
    assert len(table_of(tmp_path)) == 2


def test_a_mistyped_choice_starts_no_job(small_file, tmp_path, capsys):
    assert sweep(small_file, tmp_path, "model=gru,grru") == 2
    assert "Could not find 'model/grru'" in capsys.readouterr().err
    assert run_folders(tmp_path) == []


def test_a_folder_without_jobs_has_no_rows(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()
    assert sweep_rows(tmp_path) == []
