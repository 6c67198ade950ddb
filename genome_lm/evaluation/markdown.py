"""The summary as a page to read, in Markdown."""

import math
from collections.abc import Mapping

from genome_lm.choices import Protocol
from genome_lm.evaluation.aligned import BASELINE, MODEL, PRIOR
from genome_lm.evaluation.figures import SIGNIFICANT_Q, Figures
from genome_lm.evaluation.markdown_tables import (
    bounds,
    group_table,
    members_table,
    positives_table,
    score_table,
    show,
    tuned_table,
)
from genome_lm.evaluation.published import REPORT
from genome_lm.evaluation.summary import SplitSummary, Summary
from genome_lm.evaluation.uncertainty import CONDITIONAL_ON, LEAST_BLOCKS
from genome_lm.metrics.thresholds import FEW_POSITIVES
from genome_lm.tables import in_markdown


def to_markdown(summary: Summary) -> str:
    """Headline, scores beside the report's, groups, numbers of positives, members, validation, and how."""
    test, valid, comparison = summary.test, summary.valid, summary.comparison
    caution = f"These figures are {valid.note}"
    if comparison.protocol is Protocol.tuned:
        caution += "; early stopping and the penalties also used this split"
    level = _level(summary)
    sections = [
        "# Model against baseline and prior",
        summary.caution,
        _headline(test.overall, level),
        f"## Test\n\n{_scope(summary, test)}",
        score_table(test.overall, comparison.predictors, level, report=True),
        _against_report(test.overall, comparison.protocol),
        _uncertainty(summary),
        _undefined(test.overall),
        _further_rivals(test.overall),
        _beside_tuned(summary),
        "## Test, by group",
        group_table(test.groups),
        "## Test, by number of positives in train",
        positives_table(test),
        _positives(test),
        _members(summary),
        f"## Validation\n\n{_scope(summary, valid)} {caution}.",
        score_table(valid.overall, comparison.predictors, level),
        _undefined(valid.overall),
        "## How",
        _how(summary),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _level(summary: Summary) -> str:
    """Such as "95%"."""
    known = summary.details.uncertainty
    return f"{100 * known.settings.level:g}%" if known else ""


def _headline(figures: Figures, level: str) -> str:
    share = f" ({figures.wins / figures.counted:.1%})" if figures.counted else ""
    significant = (
        f" Significantly so (q <= {SIGNIFICANT_Q:g}): higher on {figures.significant_wins}, lower on "
        f"{figures.significant_losses}."
        if figures.significant_wins is not None
        else ""
    )
    difference = show(figures.f1["difference"], 3, sign=True)
    if interval := bounds(figures.interval("f1", "difference"), 3, sign=True):
        difference += f"; {level} interval {interval}"
    ppl, skill = figures.perplexity, figures.skill
    verdict = "lower than" if ppl[MODEL] < ppl[PRIOR] else "no lower than"
    return (
        f"The model has a higher F1 than the k-mer baseline on **{figures.wins} of {figures.counted} tasks**"
        f"{share}, the same on {figures.ties} and a lower one on {figures.losses}.{significant} "
        f"Mean F1 is {show(figures.f1[MODEL], 3)} for the model and {show(figures.f1[BASELINE], 3)} for "
        f"the baseline ({difference}). "
        f"The model's perplexity is {show(ppl[MODEL])}, {verdict} that of the constant prior, "
        f"{show(ppl[PRIOR])}; the baseline's is {show(ppl[BASELINE])}. Of the prior's "
        f"cross-entropy over all tasks the model removes {_percent(skill[MODEL])}, the baseline "
        f"{_percent(skill[BASELINE])}; averaged over tasks {_percent(figures.task_skill[MODEL])} and "
        f"{_percent(figures.task_skill[BASELINE])}."
    )


def _scope(summary: Summary, split: SplitSummary) -> str:
    windows = f"{split.windows:,} windows"
    if split.windows != split.windows_in_dataset:
        windows = f"only {windows} of the split's {split.windows_in_dataset:,}"
    return f"{in_markdown(summary.comparison.task_set)}; {windows}."


def _against_report(figures: Figures, protocol: Protocol) -> str:
    share = f"{figures.wins / figures.counted:.1%} here" if figures.counted else "none counted here"
    if protocol is Protocol.poster:
        rules = f"another network; the rules are the report's ({REPORT.rules})"
    else:
        rules = f"other rules ({REPORT.rules})"
    return (
        f"The last columns are {REPORT.source}: wins on {REPORT.wins_share:.1%} of the tasks ({share}), "
        f"mean F1 difference {show(REPORT.f1_difference, 3, sign=True)}. They come from other data "
        f"({REPORT.data}) and {rules}, so they are context and no target; {REPORT.note}."
    )


def _uncertainty(summary: Summary) -> str:
    known = summary.details.uncertainty
    if known is None:
        return "Nothing was resampled (bootstrap.resamples is 0), so there are no intervals and no tests."
    settings, figures = known.settings, summary.test.overall
    first, *further = settings.block_bp
    blocks = known.splits["test"].n_blocks
    again = "".join(
        f" With {blocks[length]} blocks of {length:,} bp the mean F1 difference has "
        f"{bounds(figures.interval('f1', 'difference', length), 3, sign=True) or 'no interval'}."
        for length in further
    )
    few = (
        f" There are no intervals from fewer than {LEAST_BLOCKS} blocks."
        if min(blocks.values()) < LEAST_BLOCKS
        else ""
    )
    left_out = sum(figures.undefined_resamples.values())
    undefined = (
        f"{left_out:,} pairs of a task and a resample had no F1 and are left out."
        if left_out
        else "No resample left a task without an F1."
    )
    return (
        f"Intervals ({_level(summary)}) and tests: bootstrap over {blocks[first]} blocks of {first:,} bp of "
        f"the genome, {settings.resamples:,} resamples for means and {settings.test_resamples:,} "
        "(studentised) for single tasks, whose q are after Benjamini and Hochberg (for tests that are "
        f"independent or depend on each other positively).{again}{few} In simulations intervals called 95% "
        f"held the truth in 83 to 95% of cases. All is conditional on {CONDITIONAL_ON}. {undefined} "
        f"{figures.untested} tasks are not tested: too few blocks hold a positive that is found. "
        f"{figures.few_valid_positives} tasks have fewer than {FEW_POSITIVES} positives in validation, so "
        "that their thresholds are hardly chosen; tasks.tsv marks them."
    )


def _undefined(figures: Figures) -> str:
    names = {"f1": "F1", "auroc": "AUROC", "ap": "AP"}
    counts = [f"{name} {figures.undefined[key]}" for key, name in names.items() if figures.undefined[key]]
    sentences = []
    if counts:
        sentences.append(
            "Left out of the means and outcomes, because a task has no positives or no negatives here (for "
            f"F1, or in validation): {', '.join(counts)} of {figures.n_tasks} tasks."
        )
    if figures.undefined["precision"]:
        sentences.append(
            f"Precision is over the other {figures.n_tasks - figures.undefined['precision']} tasks than the "
            f"{figures.undefined['precision']} on which model or baseline calls nothing."
        )
    if figures.undefined["task_skill"]:
        sentences.append(
            f"{figures.undefined['task_skill']} tasks have no skill of their own, for want of positives or "
            "of negatives in train."
        )
    return " ".join(sentences)


def _further_rivals(figures: Figures) -> str:
    return "\n".join(
        f"- Against {rival}: {entry['wins']} wins, {entry['ties']} ties, {entry['losses']} losses; mean F1 "
        f"difference {show(entry['f1_difference'], 3, sign=True)}."
        for rival, entry in figures.against.items()
    )


def _beside_tuned(summary: Summary) -> str:
    tuned = summary.details.tuned
    if tuned is None:
        return ""
    return (
        "## The report's rules beside tuned ones\n\n"
        "The same network on the same test windows. Left: thresholds at probability 0.5 and the report's "
        "regression (C = 1e6) on 100 bp. Right: thresholds chosen on validation, and the regression "
        f"tuned.\n\n{tuned_table(summary.test.overall, tuned)}"
    )


def _positives(split: SplitSummary) -> str:
    rule = (
        "the interval of the mean difference, each row by itself, lies above 0"
        if any(each.interval for each in split.by_positives)
        else "it has more wins than losses"
    )
    ranges = " and ".join(f"{low:,} to {high:,}" for low, high in split.ahead)
    return (
        f"The model is ahead ({rule}) on tasks with {ranges or 'no number of'} positives in train. "
        "Groups differ in their numbers of positives, so this is not the effect of the number alone."
    )


def _members(summary: Summary) -> str:
    members = summary.details.members
    if not members:
        return ""
    return (
        f"## The {len(members)} checkpoints by themselves\n\n"
        "Each by the same rule, with thresholds of its own. Validation figures are optimistic: training was "
        f"stopped, and thresholds are chosen, on that split.\n\n{members_table(members)}"
    )


def _how(summary: Summary) -> str:
    comparison = summary.comparison
    lines = [f"- {name}: {in_markdown(description)}" for name, description in comparison.descriptions.items()]
    lines += [
        f"- checkpoint: {in_markdown(f'{each.path} ({each.model_name}, seed {each.seed})')}, "
        f"sha256 {each.sha256[:12]}"
        for each in summary.details.checkpoints
    ]
    lines += [
        f"- baseline, {_words(key)}: {_plain(value)}" for key, value in summary.details.baseline.items()
    ]
    lines += [
        f"- thresholds (protocol `{comparison.protocol.value}`): {comparison.protocol.rule}; a window is "
        "called positive at or above its threshold",
        "- F1, precision, recall, AUROC and AP: means over tasks; AP is average precision, not interpolated",
        "- perplexity: exp of the mean binary cross-entropy (natural logarithm) over tasks and windows; "
        "bits: that mean with logarithm 2",
        "- skill: the share of the prior's cross-entropy that is removed, of all tasks and windows together "
        "(common labels weigh more), or of each task and then averaged",
        "- calibration error: expected calibration error of the probabilities, 15 bins of equal width",
        *([f"- command: `{summary.details.command}`"] if summary.details.command else []),
        f"- dataset: {comparison.genome_build}, {comparison.dataset_checksum}; positions of windows: "
        f"{comparison.positions}",
    ]
    return "\n".join(lines)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(str(key))} {_plain(entry)}" for key, entry in value.items())
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _words(key: str) -> str:
    return key.replace("_", " ")
