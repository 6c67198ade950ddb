"""The sections of a leaderboard's page that stand before the chosen run's report."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from genome_lm.report.figures.runs import validation_curves
from genome_lm.report.inputs import Epoch, read_epochs
from genome_lm.report.lookup import inner, number, pair, rows, table, text, whole
from genome_lm.report.run_details import duration
from genome_lm.report.section import Cell, Section, Table, gathered
from genome_lm.report.words import (
    NONE,
    count,
    counts_spanned,
    percent,
    score,
    several,
    signed,
    spanned,
)

HEADER = (
    "run", "rank", "model", "seed", "perplexity", "skill", "AUROC", "AP", "F1", "won", "parameters", "epochs",
    "time", "windows/s",
)  # fmt: skip
TEST_HEADER = ("run", "perplexity", "skill", "AUROC", "AP", "F1", "F1 difference", "won")


def read_curves(folder: Path, leaderboard: Mapping[str, object]) -> dict[str, list[Epoch]]:
    """Epochs of every run whose metrics.csv can be read, best first.

    Args:
        folder: what the paths in the leaderboard are relative to, unless they are found as they are.
    """
    curves = {}
    for run in rows(leaderboard, "runs"):
        path = Path(text(run, "path"))
        epochs = read_epochs(path / "metrics.csv") or read_epochs(folder / path / "metrics.csv")
        if text(run, "path") and epochs:
            curves[_name(run)] = epochs
    return curves


def leaderboard_sections(
    leaderboard: Mapping[str, object], curves: Mapping[str, Sequence[Epoch]], reported: bool
) -> list[Section]:
    """The table of runs, their curves, what was left out, and how to evaluate the chosen run if it is not.

    Args:
        reported: whether the chosen run's report follows.
    """
    runs = rows(leaderboard, "runs")
    tables = [found for found in (_validation(leaderboard, runs), _test(runs)) if found is not None]
    missing = [] if runs else ["There is no run to compare."]
    content = {"answer": _answer(leaderboard, runs), "tables": tables}
    sections = [Section("leaderboard", "Leaderboard", "leaderboard", content, missing=missing)]
    if runs:
        figure = validation_curves(curves)
        without = [] if figure else ["No metrics.csv of these runs could be read, so there are no curves."]
        sections.append(
            Section("curves", "Validation curves", "figures", figures=gathered(figure), missing=without)
        )
    if skipped := rows(leaderboard, "skipped"):
        pairs = [(text(each, "path") or NONE, text(each, "reason") or NONE) for each in skipped]
        sections.append(Section("skipped", "Left out", "skipped", {"pairs": pairs}))
    if runs and not reported:
        sections.append(Section("next", "The chosen run", "next", {"command": evaluate_command(leaderboard)}))
    return sections


def evaluate_command(leaderboard: Mapping[str, object]) -> str:
    """The command that evaluates the chosen run; empty if none is chosen."""
    if named := text(leaderboard, "evaluate"):
        return named
    run = _chosen(leaderboard)
    if run is None or not text(run, "path"):
        return ""
    checkpoint = Path(text(run, "path")) / "checkpoints" / "best.ckpt"
    return f"genome-lm evaluate ckpt_path={shlex.quote(str(checkpoint))}"


def _chosen(leaderboard: Mapping[str, object]) -> Mapping[str, object] | None:
    chosen = text(leaderboard, "chosen")
    return next((run for run in rows(leaderboard, "runs") if chosen and text(run, "run") == chosen), None)


def _name(run: Mapping[str, object]) -> str:
    return text(run, "run") or text(run, "path") or "unnamed run"


def _answer(leaderboard: Mapping[str, object], runs: Sequence[Mapping[str, object]]) -> str:
    run = _chosen(leaderboard)
    if run is None:
        return f"{several(len(runs), 'run')} compared on validation; none is chosen." if runs else ""
    prior = number(run, "valid_prior_perplexity")
    beside = f" (prior {score(prior, 4)})" if prior is not None else ""
    return (
        f"Of {several(len(runs), 'run')}, {_name(run)} is chosen: on validation it has a perplexity of "
        f"{score(number(run, 'valid_perplexity'), 4)}{beside}."
    )


def _validation(leaderboard: Mapping[str, object], runs: Sequence[Mapping[str, object]]) -> Table | None:
    if not runs:
        return None
    body = []
    for run in runs:
        seconds, seed = number(run, "seconds"), whole(run, "seed")
        epochs = count(number(run, "epochs"))
        best = whole(run, "best_epoch")
        body.append(
            [
                Cell(_name(run), heading=True),
                Cell(count(number(run, "rank"))),
                Cell(text(run, "model") or NONE),
                Cell(NONE if seed is None else str(seed)),
                Cell(score(number(run, "valid_perplexity"), 4)),
                Cell(percent(number(run, "valid_skill"), 1)),
                *(Cell(score(number(run, f"valid_{measure}"))) for measure in ("auroc", "ap", "f1")),
                _won(run, "valid_"),
                Cell(count(number(run, "parameters"))),
                Cell(epochs, f"best {best}" if best is not None else ""),
                Cell(NONE if seconds is None else duration(seconds)),
                Cell(count(number(run, "windows_per_second"))),
            ]
        )
    scope = text(leaderboard, "task_set")
    note = (
        "Runs are ranked and chosen on validation, which also chose their epochs and thresholds: these "
        "figures are optimistic."
    )
    return Table(f"Validation{', ' if scope else ''}{scope}", HEADER, body, note)


def _test(runs: Sequence[Mapping[str, object]]) -> Table | None:
    scored = [run for run in runs if table(run, "test")]
    if not scored:
        return None
    body = []
    for run in scored:
        test = table(run, "test")
        body.append(
            [
                Cell(_name(run), heading=True),
                Cell(score(number(test, "perplexity"), 4)),
                Cell(percent(number(test, "skill"), 1)),
                *(Cell(score(number(test, measure))) for measure in ("auroc", "ap", "f1")),
                Cell(
                    signed(number(test, "f1_difference")),
                    spanned(pair(test, "f1_difference_interval"), sign=True),
                ),
                _won(test, ""),
            ]
        )
    return Table("Test, of the runs that are evaluated; no part in the ranking", TEST_HEADER, body)


def _won(figures: Mapping[str, object], prefix: str) -> Cell:
    wins, n = (whole(figures, prefix + name) for name in ("wins", "counted"))
    if wins is None:
        return Cell(NONE)
    interval = pair(inner(figures, f"{prefix}wins_interval"))
    return Cell(f"{count(wins)} of {count(n)}" if n else count(wins), counts_spanned(interval))
