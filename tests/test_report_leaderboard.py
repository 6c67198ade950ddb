"""The page of a leaderboard: runs first, then the chosen run's report or how to get it."""

from small_report import small_evaluation, visible

from genome_lm.report.inputs import read_inputs
from genome_lm.report.page import leaderboard_page, write_leaderboard_page
from genome_lm.report.render import render


def test_leaderboard_page(tmp_path):
    run, evaluation = small_evaluation(tmp_path, 6)
    score = {
        "seed": 0, "parameters": 10, "seconds": 60.0, "epochs": 3, "best_epoch": 2, "valid_perplexity": 1.22,
        "valid_prior_perplexity": 1.24, "valid_wins": 4, "valid_counted": 6, "valid_wins_interval": [2, 5],
    }  # fmt: skip
    test = {"perplexity": 1.19, "f1_difference": 0.03, "f1_difference_interval": [0.01, 0.05]}
    board = {
        "task_set": "6 tasks",
        "chosen": "b<i>g",
        "runs": [
            {**score, "rank": 1, "run": "b<i>g", "path": str(run), "model": "bigru", "test": test},
            {"rank": 2, "run": "gone", "path": "nowhere", "model": "lstm", "valid_perplexity": 1.23},
        ],
        "skipped": [{"path": "runs/other", "reason": "another dataset"}],
    }  # fmt: skip
    page = leaderboard_page(tmp_path, board, read_inputs(run, evaluation))
    text = visible(render(page))
    for words in (
        "Of 2 runs, b<i>g is chosen: on validation it has a perplexity of 1.2200 (prior 1.2400)",
        "4 of 6",
        "+0.010 to +0.050",
        "another dataset",
        "The model beats the k-mer regression",
    ):
        assert words in text, words
    assert page.datasets["runs"][0] == {"run": "b<i>g", "epoch": 1, "perplexity": 1.23}
    unevaluated = visible(render(leaderboard_page(tmp_path, board, None)))
    assert f"genome-lm evaluate ckpt_path={run / 'checkpoints' / 'best.ckpt'}" in unevaluated
    assert "The model beats" not in unevaluated
    nothing = visible(render(leaderboard_page(tmp_path, {"runs": [], "skipped": [], "chosen": ""}, None)))
    assert "There is no run to compare" in nothing


def test_it_is_written_with_its_figures(tmp_path):
    run, evaluation = small_evaluation(tmp_path, 6)
    board = {"chosen": "a", "runs": [{"run": "a", "path": "2026-01-01_bigru"}], "skipped": []}
    path = write_leaderboard_page(tmp_path, board, (run, evaluation))
    assert path == tmp_path / "report.html"
    assert (tmp_path / "figures" / "validation_curves.svg").stat().st_size > 1000, (
        "paths are relative to the folder"
    )
