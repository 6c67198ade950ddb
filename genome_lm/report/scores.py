"""Tables of scores: by group, by member, and beside the report of 2016."""

from collections.abc import Mapping, Sequence

from genome_lm.report.answer import counted, interval_of, level_of
from genome_lm.report.lookup import Pair, number, rows, table, text, whole
from genome_lm.report.section import Cell, Section, Table
from genome_lm.report.words import (
    NONE,
    count,
    counts_spanned,
    group_name,
    percent,
    score,
    signed,
    size,
    spanned,
)

GROUP_HEADER = (
    "group", "tasks", "won", "F1, model", "F1, baseline", "F1 difference", "AUROC, model", "AP, model",
    "skill, model", "skill, baseline", "bits, model", "bits, prior",
)  # fmt: skip


def group_section(summary: Mapping[str, object]) -> Section:
    """Scores on test of all tasks and of each group, one table a block length."""
    test = table(summary, "test")
    blocks = sorted((name for name in table(test, "intervals") if name.isdigit()), key=int)
    tables = [_group_table(summary, block) for block in blocks or [""]]
    missing = [] if blocks else ["This evaluation has no bootstrap intervals."]
    lengths = [f"{size(int(block))} ({_blocks(summary, block)})" for block in blocks]
    return Section(
        "groups",
        "Scores by group",
        "groups",
        {"tables": tables, "lengths": lengths, "level": level_of(summary)},
        missing=missing if test else ["This evaluation has no scores on test."],
    )


def _blocks(summary: Mapping[str, object], block: str) -> str:
    n = number(summary, "bootstrap", "n_blocks", block)
    return f"{count(n)} blocks" if n is not None else "number of blocks not recorded"


def _group_table(summary: Mapping[str, object], block: str) -> Table:
    test = table(summary, "test")
    named = [(group_name(group), table(test, "groups", group)) for group in table(test, "groups")]
    body = [_group_row(name, figures, block) for name, figures in [("all tasks", test), *named]]
    resampled = f", {level_of(summary)} intervals from blocks of {size(int(block))}" if block else ""
    return Table(f"Test, means over tasks{resampled}", GROUP_HEADER, body)


def _group_row(name: str, figures: Mapping[str, object], block: str) -> list[Cell]:
    def known(measure: str, predictor: str) -> Pair | None:
        return interval_of(figures, measure, predictor, block)

    n, wins = counted(figures), whole(figures, "wins")
    sure = whole(figures, "significant_wins")
    won = [counts_spanned(interval_of(figures, "wins", block=block))]
    won += [f"{count(sure)} significant"] if sure is not None else []
    cells = [
        Cell(name, heading=True),
        Cell(count(whole(figures, "n_tasks"))),
        Cell(f"{count(wins)} ({percent((wins or 0) / n)})" if n else NONE, "; ".join(filter(None, won))),
    ]
    for predictor in ("model", "baseline"):
        cells.append(Cell(score(number(figures, "f1", predictor)), spanned(known("f1", predictor))))
    cells.append(
        Cell(signed(number(figures, "f1", "difference")), spanned(known("f1", "difference"), sign=True))
    )
    for measure in ("auroc", "ap"):
        cells.append(Cell(score(number(figures, measure, "model")), spanned(known(measure, "model"))))
    for predictor in ("model", "baseline"):
        span = known("skill", predictor)
        note = f"{percent(span[0], 1)} to {percent(span[1], 1)}" if span else ""
        cells.append(Cell(percent(number(figures, "skill", predictor), 1), note))
    cells += [Cell(score(number(figures, "bits", predictor), 4)) for predictor in ("model", "prior")]
    return cells


def context_section(summary: Mapping[str, object]) -> Section | None:
    """Members of an ensemble, both protocols, and the figures of 2016; None if there is nothing of it."""
    tables = [
        found
        for found in (_members(rows(summary, "members")), _protocols(summary), _report(summary))
        if found is not None
    ]
    return Section("context", "Beside other figures", "tables", {"tables": tables}) if tables else None


def _members(members: Sequence[Mapping[str, object]]) -> Table | None:
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
    note = (
        "Each checkpoint is scored by itself, with thresholds of its own. The spread between them is what "
        "another seed "
        "changes; the intervals above do not contain it."
    )
    return Table("Checkpoints one by one", header, body, note)


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
