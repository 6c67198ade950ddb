"""The tables of docs/results.md, from run folders."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from results_plan import Contest

from genome_lm.leaderboard.configuration import read_configuration
from genome_lm.leaderboard.evaluated import (
    EVALUATION,
    SUMMARY_FILE,
    Evaluation,
    Figures,
    read_ensemble,
    read_evaluation,
)
from genome_lm.leaderboard.fields import Damaged, read_fields
from genome_lm.leaderboard.training import Training, read_training
from genome_lm.tables import to_markdown

PLAN_FILE = "plan.json"
ENSEMBLES = "ensembles"
BASELINES = {
    "baseline_best_context": "k-mer regression, its best context",
    "baseline": "k-mer regression",
    "prior": "prior",
}

VALID_HEADER = (
    "model", "seeds", "parameters", "windows/s", "passes", "best at", "perplexity", "AUROC", "AP", "F1",
)  # fmt: skip
TEST_HEADER = (
    "model", "valid perplexity", "perplexity", "AUROC", "AP", "F1", "wins", "wins, best context",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A recipe with all its seeds, or an ensemble (which has no training of its own).

    Attributes:
        speed: windows per second that the budget was reckoned with.
        passes: over the training windows.
    """

    name: str
    trainings: tuple[Training, ...]
    evaluations: tuple[Evaluation, ...]
    speed: float | None = None
    passes: float | None = None

    @property
    def valid_perplexity(self) -> float | None:
        """Mean over the seeds; what the tables are sorted by."""
        if self.trainings:
            return _mean([each.valid_perplexity for each in self.trainings])
        return _mean([each.valid.perplexity for each in self.evaluations])


def run_name(recipe: str, seed: int) -> str:
    """Name of the run folder of a recipe's seed."""
    return f"{recipe}_seed{seed}"


def read_entries(folder: Path, contest: Contest) -> tuple[list[Entry], list[str]]:
    """All recipes and ensembles with a result, best validation perplexity first; and what is missing.

    A recipe is there once all of its seeds are trained.
    """
    entries, missing = [], []
    for recipe in contest.recipes:
        try:
            runs = [folder / run_name(recipe.name, seed) for seed in recipe.seeds]
            plan = json.loads((runs[0] / PLAN_FILE).read_text(encoding="utf-8"))
            trainings = tuple(read_training(run) for run in runs)
            evaluations = [
                read_evaluation(run, training, read_configuration(run))
                for run, training in zip(runs, trainings, strict=True)
            ]
        except (Damaged, OSError) as error:
            missing.append(f"{recipe.name}: {error}")
            continue
        evaluated = tuple(each for each in evaluations if each is not None)
        if len(evaluated) < len(runs):
            missing.append(f"{recipe.name}: not evaluated for all seeds")
            evaluated = ()
        entries.append(
            Entry(recipe.name, trainings, evaluated, float(plan["windows_per_second"]), float(plan["passes"]))
        )
    for ensemble in contest.ensembles:
        try:
            evaluation = read_ensemble(folder / ENSEMBLES / ensemble.name / EVALUATION)
        except Damaged as error:
            missing.append(f"{ensemble.name}: {error}")
            continue
        entries.append(Entry(ensemble.name, (), (evaluation,)))
    return sorted(entries, key=lambda each: (_order(each.valid_perplexity), each.name)), missing


def valid_table(entries: Sequence[Entry]) -> str:
    """Sizes, speeds and validation figures, in Markdown."""
    rows = [list(VALID_HEADER)]
    for entry in entries:
        first = entry.trainings[0] if entry.trainings else None
        rows.append(
            [
                entry.name,
                str(len(entry.trainings)) if first else "",
                f"{first.parameters:,}" if first else "",
                f"{entry.speed:,.0f}" if entry.speed else "",
                f"{entry.passes:.1f}" if entry.passes else "",
                ", ".join(f"{each.best_epoch}/{each.epochs}" for each in entry.trainings),
                _perplexity(entry),
                *_scores([each.valid for each in entry.evaluations]),
            ]
        )
    return to_markdown(rows)


def test_table(entries: Sequence[Entry]) -> str:
    """Test figures of what is evaluated, in the order of the validation perplexity, and of the rivals."""
    rows = [list(TEST_HEADER)]
    for entry in entries:
        test = [each.test for each in entry.evaluations]
        if test:
            rows.append(
                [
                    entry.name,
                    _perplexity(entry),
                    _spread([each.perplexity for each in test], 5),
                    *_scores(test),
                    _wins(test),
                    _wins_at_best_context(entry.evaluations),
                ]
            )
    evaluated = [each for entry in entries for each in entry.evaluations]
    if evaluated:
        rows += _rival_rows(evaluated[0].folder / SUMMARY_FILE)
    return to_markdown(rows)


def best_four(entries: Sequence[Entry]) -> list[str]:
    """The four recipes of the lowest validation perplexity."""
    return [each.name for each in entries if each.trainings][:4]


def task_set(entries: Sequence[Entry]) -> str:
    """What the perplexities run over, and the prior's."""
    trainings = [each for entry in entries for each in entry.trainings]
    sets = sorted({each.task_set for each in trainings})
    priors = sorted({f"{each.valid_prior_perplexity or float('nan'):.4f}" for each in trainings})
    return f"{'; '.join(sets)}; validation perplexity of the prior {', '.join(priors)}"


def _rival_rows(summary: Path) -> list[list[str]]:
    """Regression and prior, as the best evaluated network's evaluation has them."""
    fields = read_fields(summary)
    names = [name for name in BASELINES if fields.has(f"test.perplexity.{name}")]
    if len(names) == len(BASELINES):
        names.remove("baseline")  # at another network's context
    rows = []
    for name in names:
        figures = [fields.number_if_there(f"{split}.perplexity.{name}") for split in ("valid", "test")]
        scores = [fields.number_if_there(f"test.{score}.{name}") for score in ("auroc", "ap", "f1")]
        shown = [*(_number(each, 5) for each in figures), *(_number(each, 4) for each in scores)]
        rows.append([f"*{BASELINES[name]}*", *shown, "", ""])
    return rows


def _perplexity(entry: Entry) -> str:
    if entry.trainings:
        return _spread([each.valid_perplexity for each in entry.trainings], 5)
    return _spread([each.valid.perplexity for each in entry.evaluations], 5)


def _scores(figures: Sequence[Figures]) -> list[str]:
    ways: tuple[Callable[[Figures], float | None], ...] = (
        lambda each: each.auroc,
        lambda each: each.ap,
        lambda each: each.f1,
    )
    return [_spread([way(each) for each in figures], 4) if figures else "" for way in ways]


def _wins(test: Sequence[Figures]) -> str:
    if len(test) > 1:
        return f"{_spread([float(each.wins) for each in test], 1)} of {test[0].counted}"
    interval = test[0].wins_interval
    shown = f" [{interval[0]:.0f} to {interval[1]:.0f}]" if interval else ""
    return f"{test[0].wins} of {test[0].counted}{shown}"


def _wins_at_best_context(evaluations: Sequence[Evaluation]) -> str:
    """Wins against the regression at its best context: the mean of several seeds, and each of them.

    Of a network that reads as many bases as that regression does, the two are the same.
    """
    wins = []
    for each in evaluations:
        fields, key = read_fields(each.folder / SUMMARY_FILE), "test.against.baseline_best_context.wins"
        wins.append(fields.whole(key) if fields.has(key) else each.test.wins)
    if len(wins) == 1:
        return str(wins[0])
    return f"{fmean(wins):.1f} ({', '.join(map(str, wins))})"


def _spread(values: Sequence[float | None], digits: int) -> str:
    """Mean and, of several values, standard deviation (n - 1)."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return "-"
    mean = f"{fmean(known):.{digits}f}"
    return mean if len(known) == 1 else f"{mean} ({stdev(known):.{digits}f})"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _order(value: float | None) -> float:
    return float("inf") if value is None else value


def budget_words(plans: Sequence[Mapping[str, Any]]) -> str:
    """What every training was given, from plan.json of the runs."""
    threads, seconds = int(plans[0]["threads"]), float(plans[0]["seconds"])
    each = "one thread" if threads == 1 else f"{threads} threads"
    limits = [float(plan["max_passes"]) for plan in plans if plan["max_passes"] is not None]
    limited = f", and at most {max(limits):g} passes where that was set" if limits else ""
    return (
        f"Every training had the same budget of {seconds * threads:,.0f} core-seconds: the steps that its "
        f"training loop takes in {seconds:,.0f} s on {each} of an otherwise idle machine at the speed "
        "measured there before (windows/s; a slower first pass, in which window features are computed, is "
        f"reckoned so){limited}. The steps are in equal parts of at most one pass over "
        "the training windows, with a validation after each that is not counted; the schedule of the "
        "learning rate ends with the last step."
    )
