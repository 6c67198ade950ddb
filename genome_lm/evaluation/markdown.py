"""The summary as a page to read, in Markdown."""

import math
from collections.abc import Mapping, Sequence

from genome_lm.choices import Protocol
from genome_lm.evaluation.compare import BASELINE, MODEL, PRIOR
from genome_lm.evaluation.summary import REPORT, Figures, SplitSummary, Summary


def to_markdown(summary: Summary) -> str:
    """Headline, scores beside the report's, groups, validation, and how it was done."""
    test, valid, comparison = summary.test, summary.valid, summary.comparison
    if valid.note:
        caution = f"These figures are {valid.note}; early stopping and the penalties also used this split."
    else:
        caution = "Early stopping and the penalties used this split, so these figures are optimistic."
    sections = [
        "# Model against baseline and prior",
        _headline(test.overall),
        f"## Test\n\n{_scope(summary, test)}",
        _table(_beside_report(_score_table(test.overall, comparison.predictors))),
        _against_report(test.overall, comparison.protocol),
        _undefined(test.overall),
        _further_rivals(test.overall),
        "## Test, by group",
        _group_table(test.groups),
        f"## Validation\n\n{_scope(summary, valid)} {caution}",
        _table(_score_table(valid.overall, comparison.predictors)),
        _undefined(valid.overall),
        "## How",
        _how(summary),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _headline(figures: Figures) -> str:
    share = f" ({figures.wins / figures.counted:.1%})" if figures.counted else ""
    ppl = figures.perplexity
    verdict = "lower than" if ppl[MODEL] < ppl[PRIOR] else "no lower than"
    return (
        f"The model has a higher F1 than the k-mer baseline on **{figures.wins} of {figures.counted} tasks**"
        f"{share}, the same on {figures.ties} and a lower one on {figures.losses}. "
        f"Mean F1 is {_show(figures.f1[MODEL], 3)} for the model and {_show(figures.f1[BASELINE], 3)} for "
        f"the baseline ({_show(figures.f1['difference'], 3, sign=True)}). "
        f"The model's perplexity is {_show(ppl[MODEL])}, {verdict} that of the constant prior, "
        f"{_show(ppl[PRIOR])}; the baseline's is {_show(ppl[BASELINE])}."
    )


def _scope(summary: Summary, split: SplitSummary) -> str:
    windows = f"{split.windows:,} windows"
    if split.windows != split.windows_in_dataset:
        windows = f"only {windows} of the split's {split.windows_in_dataset:,}"
    return f"{summary.comparison.task_set}; {windows}."


def _score_table(figures: Figures, predictors: Sequence[str]) -> list[list[str]]:
    rows = [["", *predictors]]
    for label, values, digits in (
        ("F1", figures.f1, 3),
        ("perplexity", figures.perplexity, 4),
        ("AUROC", figures.auroc, 3),
        ("AP", figures.ap, 3),
    ):
        rows.append([label, *(_show(values[name], digits) for name in predictors)])
    outcomes = f"{figures.wins} / {figures.ties} / {figures.losses}"
    rows.append(["wins / ties / losses", outcomes, *[""] * (len(predictors) - 1)])
    return rows


def _beside_report(rows: list[list[str]]) -> list[list[str]]:
    """A score table with the report's figures in three more columns."""
    columns = {
        "": ["report: RNN", "report: baseline", "DeepSEA: prior"],
        "F1": [_show(REPORT.f1_model, 3), _show(REPORT.f1_baseline, 3), "-"],
        "perplexity": [_show(REPORT.perplexity_model, 3), "-", _show(REPORT.perplexity_prior, 3)],
        "wins / ties / losses": [f"{REPORT.wins} wins of {REPORT.n_tasks}", "", ""],
    }
    return [row + columns.get(row[0], ["-"] * 3) for row in rows]


def _against_report(figures: Figures, protocol: Protocol) -> str:
    share = f"{figures.wins / figures.counted:.1%} here" if figures.counted else "none counted here"
    rules = f"{'the same' if protocol is Protocol.poster else 'other'} rules ({REPORT.rules})"
    return (
        f"The last columns are {REPORT.source}: wins on {REPORT.wins_share:.1%} of the tasks ({share}), "
        f"mean F1 difference {_show(REPORT.f1_difference, 3, sign=True)}. They come from other data "
        f"({REPORT.data}) and {rules}, so they are context and no target; {REPORT.note}."
    )


def _undefined(figures: Figures) -> str:
    if not any(figures.undefined.values()):
        return ""
    counts = ", ".join(f"{measure.upper()} {count}" for measure, count in figures.undefined.items())
    return (
        "Left out of the means and outcomes, because a task has no positives or no negatives here (for F1, "
        f"or in validation): {counts} of {figures.n_tasks} tasks."
    )


def _further_rivals(figures: Figures) -> str:
    return "\n".join(
        f"- Against {rival}: {entry['wins']} wins, {entry['ties']} ties, {entry['losses']} losses; mean F1 "
        f"difference {_show(entry['f1_difference'], 3, sign=True)}."
        for rival, entry in figures.against.items()
    )


def _group_table(groups: Mapping[str, Figures]) -> str:
    header = ["group", "tasks", "wins", "ties", "losses", "F1 model", "F1 baseline", "F1 difference"]
    rows = [[*header, "perplexity model", "perplexity baseline", "perplexity prior"]]
    for group, figures in groups.items():
        rows.append(
            [
                group,
                *map(str, (figures.n_tasks, figures.wins, figures.ties, figures.losses)),
                _show(figures.f1[MODEL], 3),
                _show(figures.f1[BASELINE], 3),
                _show(figures.f1["difference"], 3, sign=True),
                *(_show(figures.perplexity[name]) for name in (MODEL, BASELINE, PRIOR)),
            ]
        )
    return _table(rows)


def _how(summary: Summary) -> str:
    comparison = summary.comparison
    lines = [f"- {name}: {description}" for name, description in comparison.descriptions.items()]
    lines += [f"- baseline, {_words(key)}: {_plain(value)}" for key, value in summary.baseline.items()]
    lines += [
        f"- thresholds (protocol `{comparison.protocol.value}`): {comparison.protocol.rule}; a window is "
        "called positive at or above its threshold",
        "- F1, AUROC and AP: means over tasks; AP is average precision without interpolation",
        "- perplexity: exp of the mean binary cross-entropy (natural logarithm) over tasks and windows",
        f"- dataset: {comparison.genome_build}, {comparison.dataset_checksum}",
    ]
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *body))


def _show(value: float, digits: int = 4, sign: bool = False) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(str(key))} {_plain(entry)}" for key, entry in value.items())
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _words(key: str) -> str:
    return key.replace("_", " ")
