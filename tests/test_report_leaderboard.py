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
    score |= {"valid_scores": "exact", "valid_f1": 0.294, "tokens_per_second": 61611.8, "evaluated": True}
    guess = {"valid_scores": "streaming", "valid_f1": 0.3, "valid_skill": 0.0776, "seconds": 114.0}
    test = {"perplexity": 1.19, "f1_difference": 0.03, "f1_difference_interval": [0.01, 0.05]}
    board = {
        "task_set": "6 tasks",
        "chosen": "b<i>g",
        "test_shown": "the chosen run",
        "evaluate": "genome-lm evaluate ckpt_path=b.ckpt",
        "runs": [
            {**score, "rank": 1, "run": "b<i>g", "path": str(run), "model": "bigru", "test": test},
            {**score, "rank": 2, "run": "unseen", "path": "nowhere", "valid_perplexity": 1.221},
            {**guess, "rank": 3, "run": "gone", "path": "nowhere", "model": "lstm", "valid_perplexity": 1.23},
        ],
        "seeds": [
            {"model": "bigru", "runs": ["b<i>g", "unseen"], "seeds": [0, 7], "chosen": True,
             "valid_perplexity": {"mean": 1.2205, "sd": 0.00071, "n": 2}, "valid_skill": None,
             "test": {"perplexity": {"mean": 1.19, "sd": None, "n": 1},
             "wins": {"mean": 4.0, "sd": 1.5, "n": 1}}}
        ],
        "skipped": [{"path": "runs/other", "reason": "another dataset"}],
    }  # fmt: skip
    page = leaderboard_page(tmp_path, board, read_inputs(run, evaluation))
    text = visible(render(page))
    for words in (
        "Of 3 runs, b<i>g is chosen: it has the lowest perplexity on validation, 1.22000 (prior 1.24000).",
        "4 of 6",
        "1.0 ",
        "1.9 ",
        "windows/s, tokens/s",
        "61,612",
        "~0.300",
        " 0.294",
        "~ marks scores of runs that are not evaluated",
        "Test, the chosen run; no part in the ranking",
        "test figures are left out",
        "1.22050 sd 0.00071",
        "4.0 sd 1.5",
        "+0.010 to +0.050",
        "another dataset",
        "The model beats the k-mer regression",
    ):
        assert words in text, words
    row = {"run": "b<i>g", "place": 1, "shown": "1: b<i>g", "epoch": 1, "perplexity": 1.23}
    assert page.datasets["runs"][0] == row
    unevaluated = visible(render(leaderboard_page(tmp_path, board, None)))
    assert "genome-lm evaluate ckpt_path=b.ckpt" in unevaluated
    assert "The model beats" not in unevaluated
    nothing = visible(render(leaderboard_page(tmp_path, {"runs": [], "skipped": [], "chosen": ""}, None)))
    assert "There is no run to compare" in nothing
    board["runs"][1] |= {"rank": 1, "test": test}
    board["test_shown"] = "all evaluated runs"
    tied = visible(render(leaderboard_page(tmp_path, board, None)))
    assert "1 other run has the same: among equals, fewer parameters come first" in tied
    assert "Test, all evaluated runs" in tied
    assert "left out, so" not in tied


def test_it_is_written_with_its_figures(tmp_path):
    run, evaluation = small_evaluation(tmp_path, 6)
    board = {"chosen": "a", "runs": [{"run": "a", "path": "2026-01-01_bigru"}], "skipped": []}
    path = write_leaderboard_page(tmp_path, board, (run, evaluation))
    assert path == tmp_path / "report.html"
    assert (tmp_path / "figures" / "validation_curves.svg").stat().st_size > 1000, (
        "paths are relative to the folder"
    )
