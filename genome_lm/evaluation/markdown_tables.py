"""Tables of the Markdown summary: scores, groups, numbers of positives, members, and two protocols."""

import math
from collections.abc import Mapping, Sequence

from genome_lm.evaluation.aligned import BASELINE, MODEL, PRIOR
from genome_lm.evaluation.figures import Figures
from genome_lm.evaluation.members import MEASURES, Member, spread
from genome_lm.evaluation.published import REPORT
from genome_lm.evaluation.summary import SplitSummary
from genome_lm.evaluation.uncertainty import Interval
from genome_lm.tables import to_markdown

ROWS = (
    ("F1", "f1", 3),
    ("precision", "precision", 3),
    ("recall", "recall", 3),
    ("AUROC", "auroc", 3),
    ("AP", "ap", 3),
    ("perplexity", "perplexity", 4),
    ("bits per task", "bits", 4),
    ("skill", "skill", 3),
    ("skill, mean of tasks", "task_skill", 3),
    ("Brier score", "brier", 4),
    ("calibration error", "ece", 4),
)
"""Rows of a table of scores: words, measure, digits."""

OUTCOMES = "wins / ties / losses"


def score_table(figures: Figures, predictors: Sequence[str], level: str, report: bool = False) -> str:
    """Measures by predictor, with model minus baseline and its interval where there is one.

    Args:
        level: of the intervals, such as "95%".
        report: whether the 2016 report's figures stand beside them.
    """
    known = bool(figures.intervals)
    rows = [["", *predictors, *([f"model - baseline ({level} interval)"] if known else [])]]
    for label, measure, digits in ROWS:
        values = getattr(figures, measure)
        last = [difference_cell(figures, measure, digits)] if known else []
        rows.append([label, *(show(values[name], digits) for name in predictors), *last])
    wins = bounds(figures.interval("wins", ""), 0)
    last = [f"wins {wins}" if wins else ""] if known else []
    rows.append([OUTCOMES, outcome_cell(figures), *[""] * (len(predictors) - 1), *last])
    return to_markdown(_beside_report(rows) if report else rows)


def _beside_report(rows: list[list[str]]) -> list[list[str]]:
    """Three more columns."""
    columns = {
        "": ["report: RNN", "report: baseline", "DeepSEA: prior"],
        "F1": [show(REPORT.f1_model, 3), show(REPORT.f1_baseline, 3), "-"],
        "perplexity": [show(REPORT.perplexity_model, 3), "-", show(REPORT.perplexity_prior, 3)],
        OUTCOMES: [f"{REPORT.wins} wins of {REPORT.n_tasks}", "", ""],
    }
    return [row + columns.get(row[0], ["-"] * 3) for row in rows]


def tuned_table(figures: Figures, tuned: Mapping[str, object]) -> str:
    """The report's rules on the left, the tuned ones on the right.

    Args:
        tuned: the test figures of summary.json, see `genome_lm.evaluation.summary.Details.tuned`.
    """
    names = (MODEL, BASELINE, PRIOR)
    rules = ("report's rules", "tuned")
    rows = [["", *(f"{name}, {rule}" for rule in rules for name in names)]]
    for label, measure, digits in ROWS:
        ours, theirs = getattr(figures, measure), tuned.get(measure)
        if isinstance(theirs, Mapping):
            cells = [show(each, digits) for values in (ours, theirs) for each in map(values.get, names)]
            rows.append([label, *cells])
    outcomes = " / ".join(str(tuned.get(name, "-")) for name in ("wins", "ties", "losses"))
    rows.append([OUTCOMES, outcome_cell(figures), "", "", outcomes, "", ""])
    return to_markdown(rows)


def group_table(groups: Mapping[str, Figures]) -> str:
    """One row a group."""
    header = ["group", "tasks", "wins", "ties", "losses", "significant", "F1 model", "F1 baseline"]
    rows = [[*header, "F1 difference", "AUROC difference", "skill model", "skill baseline", "bits model"]]
    for group, figures in groups.items():
        significant = (
            "-"
            if figures.significant_wins is None
            else f"{figures.significant_wins} wins, {figures.significant_losses} losses"
        )
        rows.append(
            [
                group,
                *map(str, (figures.n_tasks, figures.wins, figures.ties, figures.losses)),
                significant,
                show(figures.f1[MODEL], 3),
                show(figures.f1[BASELINE], 3),
                *(difference_cell(figures, measure, 3) for measure in ("f1", "auroc")),
                *(show(figures.skill[name], 3) for name in (MODEL, BASELINE)),
                show(figures.bits[MODEL]),
            ]
        )
    return to_markdown(rows)


def positives_table(split: SplitSummary) -> str:
    """One row a bin of tasks by their number of positives in train."""
    rows = [["positives in train", "tasks", "wins", "ties", "losses", "mean F1 difference"]]
    for each in split.by_positives:
        difference = with_interval(show(each.f1_difference, 3, sign=True), each.interval, 3, sign=True)
        counts = map(str, (each.tasks, each.wins, each.ties, each.losses))
        rows.append([f"{each.low:,} to {each.high:,}", *counts, difference])
    return to_markdown(rows)


def members_table(members: Sequence[Member]) -> str:
    """One row a checkpoint, then mean and standard deviation."""
    digits = dict.fromkeys(MEASURES, 3) | {"perplexity": 4}
    cells = [(split, measure) for split in ("valid", "test") for measure in MEASURES]
    rows = [["checkpoint", "seed", *(" ".join(cell) for cell in cells), "test F1 difference", "test wins"]]
    for member in members:
        values = {"valid": member.valid, "test": member.test}
        rows.append(
            [
                member.name,
                "-" if member.seed is None else str(member.seed),
                *(show(values[split][measure], digits[measure]) for split, measure in cells),
                show(member.test["f1_difference"], 3, sign=True),
                f"{member.test['wins']:.0f} of {member.test['counted']:.0f}",
            ]
        )
    over = spread(members)
    for label, key in (("mean", "mean"), ("standard deviation", "sd")):
        rows.append(
            [
                label,
                "",
                *(show(over[split][measure][key], digits[measure] + 1) for split, measure in cells),
                show(over["test"]["f1_difference"][key], 4),
                show(over["test"]["wins"][key], 1),
            ]
        )
    return to_markdown(rows)


def outcome_cell(figures: Figures) -> str:
    """Such as "254 / 2 / 117"."""
    return f"{figures.wins} / {figures.ties} / {figures.losses}"


def difference_cell(figures: Figures, measure: str, digits: int) -> str:
    """Model minus baseline with its interval."""
    values = getattr(figures, measure)
    difference = show(values[MODEL] - values[BASELINE], digits, sign=True)
    return with_interval(difference, figures.interval(measure, "difference"), digits, sign=True)


def with_interval(shown: str, interval: Interval | None, digits: int, sign: bool = False) -> str:
    """Such as "+0.034 (+0.021 to +0.047)"; the figure alone where there is no interval."""
    found = bounds(interval, digits, sign)
    return f"{shown} ({found})" if found else shown


def bounds(interval: Interval | None, digits: int, sign: bool = False) -> str:
    """Such as "0.021 to 0.047"; empty where there is no interval."""
    if interval is None or math.isnan(interval[0]):
        return ""
    return " to ".join(show(bound, digits, sign) for bound in interval)


def show(value: float | None, digits: int = 4, sign: bool = False) -> str:
    """A number, or a dash for what is undefined."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:{'+' if sign else ''}.{digits}f}"
