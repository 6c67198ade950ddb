"""The answer in plain words, and the few figures that stand above everything else."""

from collections.abc import Mapping
from dataclasses import dataclass

from genome_lm.report.lookup import Pair, number, pair, table, text, whole
from genome_lm.report.words import (
    count,
    counts_spanned,
    group_name,
    listed,
    percent,
    score,
    several,
    signed,
    signed_percent,
    spanned,
)


@dataclass(frozen=True)
class Tile:
    """One figure with its name and what stands beside it."""

    label: str
    value: str
    notes: tuple[str, ...]


def first_block(figures: Mapping[str, object]) -> str:
    """The block length, in bp, whose intervals are shown first; empty if there are none."""
    return min(
        table(figures, "intervals"),
        key=lambda length: (not length.isdigit(), len(length), length),
        default="",
    )


def interval_of(figures: Mapping[str, object], measure: str, name: str = "", block: str = "") -> Pair | None:
    """The interval of a measure, at the first block length unless one is given.

    Args:
        name: a predictor or "difference"; empty for counts, such as "wins".
    """
    keys = ("intervals", block or first_block(figures), measure)
    return pair(figures, *keys, name) if name else pair(figures, *keys)


def counted(figures: Mapping[str, object]) -> int:
    """Tasks with an outcome."""
    return sum(whole(figures, name) or 0 for name in ("wins", "ties", "losses"))


def level_of(summary: Mapping[str, object]) -> str:
    """The level of the intervals, such as 95%."""
    return percent(number(summary, "bootstrap", "level") or 0.95)


def answer(summary: Mapping[str, object]) -> list[str]:
    """The result in sentences, a paragraph each; first of all what the evaluation itself warns of."""
    test = table(summary, "test")
    if not test:
        return ["This evaluation has no scores on test."]
    level = level_of(summary)
    parts = (text(summary, "caution"), _explained(test, level), _verdict(test, level), _groups(test))
    return [part for part in parts if part]


def _explained(test: Mapping[str, object], level: str) -> str:
    skill = number(test, "skill", "model")
    model, prior = (number(test, "perplexity", name) for name in ("model", "prior"))
    if skill is None:
        if model is None or prior is None:
            return ""
        return (
            f"On test, sequence that it was not trained on, the model has a perplexity of {score(model, 4)}; "
            f"a constant prediction, which knows nothing of the sequence, has {score(prior, 4)}."
        )
    interval = interval_of(test, "skill", "model")
    span = f" ({level} interval {_percents(interval)})" if interval else ""
    baseline = number(test, "skill", "baseline")
    beside = f"; the k-mer regression has a skill of {percent(baseline, 1)}" if baseline is not None else ""
    change = "less" if skill >= 0 else "more"
    return (
        "On test, sequence that it was not trained on, the model's cross-entropy, summed over all tasks and "
        f"windows, is {percent(abs(skill), 1)} {change} than that of a constant prediction: a skill of "
        f"{percent(skill, 1)}{span}{beside}.{_per_task(test, level)}"
    )


def _per_task(test: Mapping[str, object], level: str) -> str:
    """The mean of the tasks' own skills, in which rare and common labels count alike."""
    model = number(test, "task_skill", "model")
    if model is None:
        return ""
    interval, baseline = interval_of(test, "task_skill", "model"), number(test, "task_skill", "baseline")
    inside = [
        f"{level} interval {_percents(interval)}" if interval else "",
        f"regression {percent(baseline, 1)}" if baseline is not None else "",
    ]
    span = f" ({'; '.join(filter(None, inside))})" if any(inside) else ""
    return (
        f" Tasks with common labels weigh most in that sum; the mean of the tasks' own skills is "
        f"{percent(model, 1)}{span}."
    )


def _verdict(test: Mapping[str, object], level: str) -> str:
    difference, interval = number(test, "f1", "difference"), interval_of(test, "f1", "difference")
    if difference is None or not counted(test):
        return "No task has an F1 of both the model and the k-mer regression, so they cannot be compared."
    if interval is None:
        side = "higher" if difference > 0 else "lower" if difference < 0 else "the same"
        lead = f"The model's mean F1 is {side}{' than' if difference else ' as'} that of the k-mer regression"
        doubt = " How sure that is was not estimated."
    elif interval[0] > 0:
        lead, doubt = "The model beats the k-mer regression", ""
    elif interval[1] < 0:
        lead, doubt = "The k-mer regression beats the model", ""
    else:
        lead, doubt = "The model and the k-mer regression cannot be told apart by their mean F1", ""
    span = f", {level} interval {spanned(interval, sign=True)}" if interval else ""
    return (
        f"{lead}: mean F1 is {score(number(test, 'f1', 'model'))} against "
        f"{score(number(test, 'f1', 'baseline'))} (difference {signed(difference)}{span}). "
        f"{_outcomes(test)}{doubt}"
    )


def _outcomes(test: Mapping[str, object]) -> str:
    wins, losses = (whole(test, name) or 0 for name in ("wins", "losses"))
    words = (
        f"It has the higher F1 on {count(wins)} of {several(counted(test), 'task')} "
        f"({percent(wins / counted(test))}) and the lower on {count(losses)}."
    )
    return f"{words} {sure}." if (sure := _significant(test)) else words


def _significant(test: Mapping[str, object]) -> str:
    """How many of the tasks that were tested differ significantly; empty if nothing was tested."""
    sure_wins, sure_losses = (whole(test, f"significant_{name}") for name in ("wins", "losses"))
    if sure_wins is None or sure_losses is None:
        return ""
    untested = whole(test, "untested")
    if untested == counted(test):
        return "No task could be tested by itself"
    differ = f"{count(sure_wins)} wins and {count(sure_losses)} losses are significant"
    if untested is None:
        return differ
    rest = f"; {several(untested, 'task')} could not be tested" if untested else ""
    return f"Of {several(counted(test) - untested, 'task')} tested one by one, {differ}{rest}"


def _groups(test: Mapping[str, object]) -> str:
    ahead: list[str] = []
    behind: list[str] = []
    open_: list[str] = []
    for group, figures in table(test, "groups").items():
        interval = interval_of(table(figures), "f1", "difference")
        if interval is not None:
            side = ahead if interval[0] > 0 else behind if interval[1] < 0 else open_
            side.append(group_name(group))
    if len(ahead) + len(behind) + len(open_) < 2:
        return ""
    words = [
        f"{lead} {listed(names) if len(names) <= 6 else several(len(names), 'group')}"
        for lead, names in (
            ("the model is ahead in", ahead),
            ("behind in", behind),
            ("not to be told apart from the regression in", open_),
        )
        if names
    ]
    return f"By group, {'; '.join(words)}."


def tiles(summary: Mapping[str, object]) -> list[Tile]:
    """Wins, F1 difference, skill, perplexity, AUROC and AP on test.

    Scores have the interval of their difference to the baseline beside them: both predictors are scored on
    the same windows, so their own intervals overlap even where the difference is clear.
    """
    test, level = table(summary, "test"), level_of(summary)
    return [
        _wins_tile(test, level),
        Tile(
            "Mean F1 difference",
            signed(number(test, "f1", "difference")),
            _notes(
                _interval(interval_of(test, "f1", "difference"), level),
                f"model {score(number(test, 'f1', 'model'))}, baseline "
                f"{score(number(test, 'f1', 'baseline'))}",
            ),
        ),
        *_skill_tile(test, level),
        _score_tile(test, level, "perplexity", "Perplexity", 4),
        _score_tile(test, level, "auroc", "Mean AUROC", 3),
        _score_tile(test, level, "ap", "Mean average precision", 3),
    ]


def _wins_tile(test: Mapping[str, object], level: str) -> Tile:
    wins, n, span = whole(test, "wins"), counted(test), interval_of(test, "wins")
    sure = [whole(test, f"significant_{name}") for name in ("wins", "losses")]
    untested = whole(test, "untested")
    among = "" if untested is None else f" of {count(n - untested)} tested"
    return Tile(
        "Tasks won in F1",
        f"{count(wins)} of {count(n)}" if n else "-",
        _notes(
            f"{percent((wins or 0) / n)} won, {count(whole(test, 'losses'))} lost" if n else "",
            f"{level} interval {counts_spanned(span)}" if span else "",
            f"significant{among}: {count(sure[0])} won, {count(sure[1])} lost" if None not in sure else "",
        ),
    )


def _skill_tile(test: Mapping[str, object], level: str) -> list[Tile]:
    """The tile of skill; none where the evaluation has no skill."""
    if number(test, "skill", "model") is None:
        return []
    difference, interval = number(test, "skill", "difference"), interval_of(test, "skill", "difference")
    span = f" ({level} interval {_points(interval)})" if interval else ""
    own = number(test, "task_skill", "model")
    return [
        Tile(
            "Skill",
            percent(number(test, "skill", "model"), 1),
            _notes(
                f"baseline {percent(number(test, 'skill', 'baseline'), 1)}",
                f"difference {signed_percent(difference, 1)} points{span}" if difference is not None else "",
                f"mean of the tasks' own: {percent(own, 1)}" if own is not None else "",
            ),
        )
    ]


def _score_tile(test: Mapping[str, object], level: str, measure: str, label: str, digits: int) -> Tile:
    model, baseline, prior = (number(test, measure, name) for name in ("model", "baseline", "prior"))
    difference, interval = number(test, measure, "difference"), interval_of(test, measure, "difference")
    if difference is None and model is not None and baseline is not None:
        difference = model - baseline
    span = f" ({_interval(interval, level, digits)})" if interval else ""
    return Tile(
        label,
        score(model, digits),
        _notes(
            f"baseline {score(baseline, digits)}, prior {score(prior, digits)}",
            "" if difference is None else f"difference {signed(difference, digits)}{span}",
        ),
    )


def _notes(*notes: str) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


def _interval(difference: Pair | None, level: str, digits: int = 3) -> str:
    return f"{level} interval {spanned(difference, digits, sign=True)}" if difference else ""


def _percents(interval: Pair) -> str:
    return f"{percent(interval[0], 1)} to {percent(interval[1], 1)}"


def _points(interval: Pair) -> str:
    return f"{signed_percent(interval[0], 1)} to {signed_percent(interval[1], 1)}"
