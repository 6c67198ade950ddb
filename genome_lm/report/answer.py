"""The answer in plain words, and the few figures that stand above everything else."""

from collections.abc import Mapping
from dataclasses import dataclass

from genome_lm.report.lookup import Pair, number, pair, table, whole
from genome_lm.report.words import (
    count,
    counts_spanned,
    group_name,
    listed,
    percent,
    score,
    several,
    signed,
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
    """The result in sentences, a paragraph each."""
    test = table(summary, "test")
    if not test:
        return ["This evaluation has no scores on test."]
    level = level_of(summary)
    return [part for part in (_explained(test, level), _verdict(test, level), _groups(test)) if part]


def _explained(test: Mapping[str, object], level: str) -> str:
    skill = number(test, "skill", "model")
    model, prior = (number(test, "perplexity", name) for name in ("model", "prior"))
    if skill is not None:
        interval = interval_of(test, "skill", "model")
        span = f" ({level} interval {_percents(interval)})" if interval else ""
        baseline = number(test, "skill", "baseline")
        beside = f"; the k-mer regression removes {percent(baseline, 1)}" if baseline is not None else ""
        verb = "removes" if skill >= 0 else "adds to"
        if skill < 0:
            return (
                "On unseen sequence the model explains nothing on average: its cross-entropy is "
                f"{percent(-skill, 1)} higher than that of a constant prediction{span}{beside}."
            )
        return (
            f"On sequence that it has not seen, the model {verb} {percent(skill, 1)} of the cross-entropy "
            f"that a constant prediction leaves{span}{beside}. That is how much of these experiments it "
            "explains from DNA sequence alone, averaged over tasks."
        )
    if model is None or prior is None:
        return ""
    return (
        f"On sequence that it has not seen, the model has a perplexity of {score(model, 4)}; a constant "
        f"prediction, which knows nothing of the sequence, has {score(prior, 4)}."
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
    sure_wins, sure_losses = (whole(test, f"significant_{name}") for name in ("wins", "losses"))
    words = (
        f"It has the higher F1 on {count(wins)} of {several(counted(test), 'task')} "
        f"({percent(wins / counted(test))}) and the lower on {count(losses)}"
    )
    if sure_wins is None or sure_losses is None:
        return words + "."
    return (
        f"{words}; {count(sure_wins)} of these wins and {count(sure_losses)} of these losses are significant."
    )


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
    """Wins, F1 difference, perplexity, skill, AUROC and AP on test."""
    test = table(summary, "test")
    level = level_of(summary)
    wins, n = whole(test, "wins"), counted(test)
    sure = [whole(test, f"significant_{name}") for name in ("wins", "losses")]
    span = interval_of(test, "wins")
    found = [
        Tile(
            "Tasks won in F1",
            f"{count(wins)} of {count(n)}" if n else "-",
            _notes(
                f"{percent((wins or 0) / n)} won, {count(whole(test, 'losses'))} lost" if n else "",
                f"{level} interval {counts_spanned(span)}" if span else "",
                f"significant: {count(sure[0])} won, {count(sure[1])} lost" if None not in sure else "",
            ),
        ),
        Tile(
            "Mean F1 difference",
            signed(number(test, "f1", "difference")),
            _notes(
                _interval(interval_of(test, "f1", "difference"), level, sign=True),
                f"model {score(number(test, 'f1', 'model'))}, baseline "
                f"{score(number(test, 'f1', 'baseline'))}",
            ),
        ),
        Tile(
            "Perplexity",
            score(number(test, "perplexity", "model"), 4),
            _notes(
                _interval(interval_of(test, "perplexity", "model"), level, digits=4),
                f"baseline {score(number(test, 'perplexity', 'baseline'), 4)}, "
                f"prior {score(number(test, 'perplexity', 'prior'), 4)}",
            ),
        ),
    ]
    if (skill := number(test, "skill", "model")) is not None:
        interval = interval_of(test, "skill", "model")
        found.append(
            Tile(
                "Skill over the prior",
                percent(skill, 1),
                _notes(
                    f"{level} interval {_percents(interval)}" if interval else "",
                    f"baseline {percent(number(test, 'skill', 'baseline'), 1)}",
                ),
            )
        )
    for measure, label in (("auroc", "Mean AUROC"), ("ap", "Mean average precision")):
        prior = number(test, measure, "prior")
        found.append(
            Tile(
                label,
                score(number(test, measure, "model")),
                _notes(
                    _interval(interval_of(test, measure, "model"), level),
                    f"baseline {score(number(test, measure, 'baseline'))}, prior {score(prior)}",
                ),
            )
        )
    return found


def _notes(*notes: str) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


def _interval(interval: Pair | None, level: str, digits: int = 3, sign: bool = False) -> str:
    return f"{level} interval {spanned(interval, digits, sign)}" if interval else ""


def _percents(interval: Pair) -> str:
    return f"{percent(interval[0], 1)} to {percent(interval[1], 1)}"
