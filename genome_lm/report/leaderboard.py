"""The sections of a leaderboard's page that stand before the chosen run's report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from genome_lm.report.figures.runs import validation_curves
from genome_lm.report.inputs import Epoch, read_epochs
from genome_lm.report.lookup import inner, number, pair, rows, table, text, whole
from genome_lm.report.section import Cell, Section, Table, gathered
from genome_lm.report.seeds import seed_tables
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
    "run", "rank", "model", "perplexity", "skill", "AUROC", "AP", "F1", "won", "parameters", "epochs",
    "minutes", "windows/s, tokens/s",
)  # fmt: skip
ESTIMATE = "~"  # before a score that training estimated from histograms
TEST_HEADER = ("run", "perplexity", "skill", "AUROC", "AP", "F1", "F1 difference", "won")


def read_curves(folder: Path, leaderboard: Mapping[str, object]) -> dict[str, list[Epoch]]:
    """Epochs of every run, best first; none where its metrics.csv cannot be read.

    Args:
        folder: what the paths in the leaderboard are relative to, unless they are found as they are.
    """
    curves: dict[str, list[Epoch]] = {}
    for run in rows(leaderboard, "runs"):
        path = Path(text(run, "path"))
        epochs = read_epochs(path / "metrics.csv") or read_epochs(folder / path / "metrics.csv")
        curves[_name(run)] = epochs if text(run, "path") else []
    return curves


def leaderboard_sections(
    leaderboard: Mapping[str, object], curves: Mapping[str, Sequence[Epoch]], reported: bool
) -> list[Section]:
    """The table of runs, their curves, what was left out, and how to evaluate the chosen run if it is not.

    Args:
        reported: whether the chosen run's report follows.
    """
    runs = rows(leaderboard, "runs")
    every = (_validation(leaderboard, runs), _test(leaderboard, runs), *seed_tables(leaderboard))
    tables = [found for found in every if found is not None]
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
        sections.append(Section("next", "The chosen run", "next", {"command": text(leaderboard, "evaluate")}))
    return sections


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
    beside = f" (prior {score(prior, 5)})" if prior is not None else ""
    ties = sum(whole(each, "rank") == 1 for each in runs) - 1
    others = f"{several(ties, 'other run has', 'other runs have')}"
    tie = (
        f" {others} the same: among equals, fewer parameters come first, then evaluated runs, then names."
        if ties > 0
        else ""
    )
    return (
        f"Of {several(len(runs), 'run')}, {_name(run)} is chosen: it has the lowest perplexity on "
        f"validation, {score(number(run, 'valid_perplexity'), 5)}{beside}.{tie}"
    )


def _validation(leaderboard: Mapping[str, object], runs: Sequence[Mapping[str, object]]) -> Table | None:
    if not runs:
        return None
    scope = text(leaderboard, "task_set")
    note = (
        "Runs are ranked and chosen on validation, which also chose their epochs and thresholds: these "
        "figures are optimistic."
    )
    if any(_estimated(run) for run in runs):
        note += (
            f" {ESTIMATE} marks scores of runs that are not evaluated: training estimated them from "
            "histograms, F1 at each task's best bin edge."
        )
    caption = f"Validation{', ' if scope else ''}{scope}"
    return Table(caption, HEADER, [_validation_cells(run) for run in runs], note, dense=True)


def _estimated(run: Mapping[str, object]) -> bool:
    return text(run, "valid_scores") == "streaming"


def _validation_cells(run: Mapping[str, object]) -> list[Cell]:
    seconds, seed, best = number(run, "seconds"), whole(run, "seed"), whole(run, "best_epoch")
    scores = [number(run, f"valid_{measure}") for measure in ("auroc", "ap", "f1")]
    mark = ESTIMATE if _estimated(run) else ""
    tokens = number(run, "tokens_per_second")
    return [
        Cell(_name(run), heading=True),
        Cell(count(number(run, "rank"))),
        Cell(text(run, "model") or NONE, "" if seed is None else f"seed {seed}"),
        Cell(score(number(run, "valid_perplexity"), 5)),
        Cell(percent(number(run, "valid_skill"), 2)),
        *(Cell(NONE if value is None else mark + score(value)) for value in scores),
        _won(run, "valid_"),
        Cell(count(number(run, "parameters"))),
        Cell(count(number(run, "epochs")), "" if best is None else f"best {best}"),
        Cell(NONE if seconds is None else f"{seconds / 60:,.1f}"),
        Cell(count(number(run, "windows_per_second")), "" if tokens is None else count(tokens)),
    ]


def _test(leaderboard: Mapping[str, object], runs: Sequence[Mapping[str, object]]) -> Table | None:
    scored = [run for run in runs if table(run, "test")]
    if not scored:
        return None
    body = []
    for run in scored:
        test = table(run, "test")
        body.append(
            [
                Cell(_name(run), heading=True),
                Cell(score(number(test, "perplexity"), 5)),
                Cell(percent(number(test, "skill"), 2)),
                *(Cell(score(number(test, measure))) for measure in ("auroc", "ap", "f1")),
                Cell(
                    signed(number(test, "f1_difference")),
                    spanned(pair(test, "f1_difference_interval"), sign=True),
                ),
                _won(test, ""),
            ]
        )
    shown = text(leaderboard, "test_shown")
    note = (
        "Others may be evaluated too; their test figures are left out, so that nobody chooses by them."
        if shown == "the chosen run" and any(run.get("evaluated") for run in runs if run not in scored)
        else ""
    )
    whose = f", {shown}" if shown else ""
    return Table(f"Test{whose}; no part in the ranking", TEST_HEADER, body, note)


def _won(figures: Mapping[str, object], prefix: str) -> Cell:
    wins, n = (whole(figures, prefix + name) for name in ("wins", "counted"))
    if wins is None:
        return Cell(NONE)
    interval = pair(inner(figures, f"{prefix}wins_interval"))
    return Cell(f"{count(wins)} of {count(n)}" if n else count(wins), counts_spanned(interval))
