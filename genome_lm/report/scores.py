"""Tables of scores: by group, by member, and beside the report of 2016."""

from collections.abc import Callable, Mapping, Sequence

from genome_lm.report.answer import counted, first_block, interval_of, level_of
from genome_lm.report.lookup import number, rows, table, text, whole
from genome_lm.report.section import Cell, Section, Table
from genome_lm.report.words import (
    NONE,
    count,
    counts_spanned,
    group_name,
    percent,
    score,
    signed,
    signed_percent,
    size,
    spanned,
)

F1_HEADER = ("group", "tasks", "won", "F1, model", "F1, baseline", "difference")
RANKING_HEADER = (
    "group", "AUROC, model", "AUROC, baseline", "difference", "AP, model", "AP, baseline", "difference",
)  # fmt: skip
INFORMATION_HEADER = (
    "group", "skill, model", "skill, baseline", "difference", "bits, model", "bits, baseline", "bits, prior",
)  # fmt: skip
TASK_SKILL_HEADER = ("own skill, model", "own skill, baseline", "difference")


def group_section(summary: Mapping[str, object]) -> Section:
    """Scores on test of all tasks and of each group, tables by block length."""
    test = table(summary, "test")
    blocks = sorted((name for name in table(test, "intervals") if name.isdigit()), key=int)
    missing = [] if blocks else ["This evaluation has no bootstrap intervals."]
    content = {
        "tables": [_group_tables(summary, block) for block in blocks or [""]] if test else [],
        "lengths": [f"{size(int(block))} ({_blocks(summary, block)})" for block in blocks],
        "level": level_of(summary),
    }
    missing = missing if test else ["This evaluation has no scores on test."]
    return Section("groups", "Scores by group", "groups", content, missing=missing)


def _blocks(summary: Mapping[str, object], block: str) -> str:
    n = number(summary, "bootstrap", "n_blocks", block)
    return f"{count(n)} blocks" if n is not None else "number of blocks not recorded"


def _group_tables(summary: Mapping[str, object], block: str) -> list[Table]:
    resampled = f"; {level_of(summary)} intervals from blocks of {size(int(block))}" if block else ""
    own = any(number(figures, "task_skill", "model") is not None for figures in _sets(summary).values())
    skills: tuple[str, ...] = (
        (*INFORMATION_HEADER[:4], *TASK_SKILL_HEADER, *INFORMATION_HEADER[4:]) if own else INFORMATION_HEADER
    )
    kinds: tuple[tuple[str, Sequence[str], Callable[[Mapping[str, object], str], list[Cell]]], ...] = (
        ("Outcomes and F1, test, means over tasks", F1_HEADER, _outcome_cells),
        ("Ranking, test, means over tasks", RANKING_HEADER, _ranking_cells),
        (
            "Information, test; skill and bits of all tasks and windows together"
            + ("; own skill: mean of the tasks' own" if own else ""),
            skills,
            _information_cells_with_own if own else _information_cells,
        ),
    )
    return [
        Table(
            f"{title}{resampled}",
            header,
            [[Cell(name, heading=True), *cells(figures, block)] for name, figures in _sets(summary).items()],
            dense=len(header) > 8,
        )
        for title, header, cells in kinds
    ]


def _outcome_cells(figures: Mapping[str, object], block: str) -> list[Cell]:
    n, wins = counted(figures), whole(figures, "wins")
    sure, untested = whole(figures, "significant_wins"), whole(figures, "untested")
    among = "" if untested is None else f" of {count(n - untested)} tested"
    notes = (
        counts_spanned(interval_of(figures, "wins", block=block)),
        "" if sure is None else f"{count(sure)} significant{among}",
    )
    return [
        Cell(count(whole(figures, "n_tasks"))),
        Cell(f"{count(wins)} ({percent((wins or 0) / n)})" if n else NONE, "; ".join(filter(None, notes))),
        *_compared(figures, "f1", block),
    ]


def _ranking_cells(figures: Mapping[str, object], block: str) -> list[Cell]:
    return [*_compared(figures, "auroc", block), *_compared(figures, "ap", block)]


def _compared(figures: Mapping[str, object], measure: str, block: str) -> list[Cell]:
    """Cells of the model, the baseline and their difference."""
    both = [
        Cell(score(number(figures, measure, name)), spanned(interval_of(figures, measure, name, block)))
        for name in ("model", "baseline")
    ]
    span = spanned(interval_of(figures, measure, "difference", block), sign=True)
    return [*both, Cell(signed(number(figures, measure, "difference")), span)]


def _information_cells(figures: Mapping[str, object], block: str) -> list[Cell]:
    return [*_skills(figures, "skill", block), *_bits(figures)]


def _information_cells_with_own(figures: Mapping[str, object], block: str) -> list[Cell]:
    return [*_skills(figures, "skill", block), *_skills(figures, "task_skill", block), *_bits(figures)]


def _skills(figures: Mapping[str, object], measure: str, block: str) -> list[Cell]:
    cells = []
    for name in ("model", "baseline", "difference"):
        show = signed_percent if name == "difference" else percent
        span = interval_of(figures, measure, name, block)
        note = f"{show(span[0], 1)} to {show(span[1], 1)}" if span else ""
        cells.append(Cell(show(number(figures, measure, name), 1), note))
    return cells


def _bits(figures: Mapping[str, object]) -> list[Cell]:
    return [Cell(score(number(figures, "bits", name), 4)) for name in ("model", "baseline", "prior")]


def calibration_table(summary: Mapping[str, object]) -> Table | None:
    """Expected calibration error and Brier score on test, of all tasks and each group; None if not scored."""
    test = table(summary, "test")
    columns = [(measure, name) for measure in ("ece", "brier") for name in ("model", "baseline", "prior")]
    if not any(number(test, measure, name) is not None for measure, name in columns):
        return None
    block = first_block(test)
    titles = {"ece": "ECE", "brier": "Brier"}
    header = ["group", *(f"{titles[measure]}, {name}" for measure, name in columns)]
    body = [
        [
            Cell(group, heading=True),
            *(
                Cell(
                    score(number(figures, measure, name), 4),
                    spanned(interval_of(figures, measure, name, block), 4),
                )
                for measure, name in columns
            ),
        ]
        for group, figures in _sets(summary).items()
    ]
    note = (
        "ECE: expected calibration error, the mean distance between predicted probability and observed rate "
        "over 15 bins. Brier: mean squared error of the probability. Both are means over tasks, and less is "
        "better; a constant can be well calibrated and know nothing, so read them beside the skill."
    )
    return Table("Calibration error and Brier score, test", header, body, note)


def _sets(summary: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    """Figures on test of all tasks and of each group, by name."""
    groups = table(summary, "test", "groups")
    named = {group_name(group): table(groups, group) for group in groups}
    return {"all tasks": table(summary, "test"), **named}


def context_section(summary: Mapping[str, object]) -> Section | None:
    """Members of an ensemble, both protocols, and the figures of 2016; None if there is nothing of it."""
    tables = [
        found for found in (_members(summary), _protocols(summary), _report(summary)) if found is not None
    ]
    return Section("context", "Beside other figures", "tables", {"tables": tables}) if tables else None


def _members(summary: Mapping[str, object]) -> Table | None:
    members = rows(summary, "members")
    if len(members) < 2:
        return None
    header = (
        "checkpoint", "seed", "won, test", "F1, test", "AUROC, test", "AP, test", "perplexity, test",
        "skill, test", "perplexity, validation",
    )  # fmt: skip
    body = []
    for member in members:
        test = table(member, "test")
        wins, n = whole(test, "wins"), whole(test, "counted")
        seed = whole(member, "seed")
        body.append(
            [
                Cell(text(member, "name") or text(member, "checkpoint") or NONE, heading=True),
                Cell(NONE if seed is None else str(seed)),
                Cell(f"{count(wins)} of {count(n)}" if n else count(wins)),
                *(Cell(score(number(test, measure))) for measure in ("f1", "auroc", "ap")),
                Cell(score(number(test, "perplexity"), 4)),
                Cell(percent(number(test, "skill"), 1)),
                Cell(score(number(member, "valid", "perplexity"), 4)),
            ]
        )
    if spread := table(summary, "spread", "test"):
        body.append(_spread_row(spread, table(summary, "spread", "valid")))
    note = (
        "Each checkpoint is scored by itself, with thresholds of its own. The spread between them is what "
        "another seed changes; the intervals above do not contain it."
    )
    return Table("Checkpoints one by one", header, body, note)


def _spread_row(test: Mapping[str, object], valid: Mapping[str, object]) -> list[Cell]:
    """Mean and standard deviation over the members, in the columns of their table."""

    def cell(
        figures: Mapping[str, object], name: str, digits: int, scale: float = 1.0, unit: str = ""
    ) -> Cell:
        mean, deviation = (number(figures, name, key) for key in ("mean", "sd"))
        shown = NONE if mean is None else f"{score(scale * mean, digits)}{unit}"
        return Cell(shown, "" if deviation is None else f"sd {score(scale * deviation, digits)}")

    return [
        Cell("mean", heading=True),
        Cell(""),
        cell(test, "wins", 1),
        *(cell(test, measure, 3) for measure in ("f1", "auroc", "ap")),
        cell(test, "perplexity", 4),
        cell(test, "skill", 1, 100, "%"),
        cell(valid, "perplexity", 4),
    ]


def _protocols(summary: Mapping[str, object]) -> Table | None:
    tuned = table(summary, "tuned")
    if not tuned:
        return None
    sources = {"probability 0.5 (this evaluation)": table(summary, "test"), "tuned on validation": tuned}
    body = [
        [
            Cell(name, heading=True),
            Cell(f"{count(whole(figures, 'wins'))} of {count(counted(figures))}"),
            *(Cell(score(number(figures, "f1", predictor))) for predictor in ("model", "baseline")),
            Cell(signed(number(figures, "f1", "difference"))),
        ]
        for name, figures in sources.items()
    ]
    return Table(
        "The same predictions under both rules for thresholds, test",
        ("thresholds", "won", "F1, model", "F1, baseline", "F1 difference"),
        body,
        "AUROC, AP, perplexity and skill do not depend on thresholds.",
    )


def _report(summary: Mapping[str, object]) -> Table | None:
    report, test = table(summary, "report"), table(summary, "test")
    if not report or not test:
        return None
    n = whole(report, "n_tasks")
    body = [
        [
            Cell("this evaluation", heading=True),
            Cell(f"{count(whole(test, 'wins'))} of {count(counted(test))}"),
            *(Cell(score(number(test, "f1", name))) for name in ("model", "baseline")),
            Cell(signed(number(test, "f1", "difference"))),
            *(Cell(score(number(test, "perplexity", name), 4)) for name in ("model", "prior")),
        ],
        [
            Cell("report of 2016", heading=True),
            Cell(f"{count(whole(report, 'wins'))} of {count(n)}"),
            *(Cell(score(number(report, f"f1_{name}"))) for name in ("model", "baseline")),
            Cell(signed(number(report, "f1_difference"))),
            *(Cell(score(number(report, f"perplexity_{name}"))) for name in ("model", "prior")),
        ],
    ]
    details = "; ".join(filter(None, (text(report, "data"), text(report, "rules"), text(report, "note"))))
    return Table(
        "Beside the report that this work follows",
        ("", "won", "F1, model", "F1, baseline", "F1 difference", "perplexity, model", "perplexity, prior"),
        body,
        f"Context and no target: {text(report, 'source') or 'the report'} used other data and rules "
        f"({details}).",
    )
