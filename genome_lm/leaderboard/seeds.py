"""How much runs of one configuration differ by their seed alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from genome_lm.leaderboard.evaluated import Figures, skill
from genome_lm.leaderboard.reading import Run


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1 in the denominator) over seeds."""

    mean: float
    sd: float | None  # None for a single seed
    n: int


@dataclass(frozen=True)
class SeedTest:
    """Spreads of test figures; None where no seed has the figure."""

    perplexity: Spread | None
    skill: Spread | None
    auroc: Spread | None
    ap: Spread | None
    f1: Spread | None
    wins: Spread | None


@dataclass(frozen=True)
class SeedGroup:
    """Runs whose configurations differ in the seed only, and in names, places and devices.

    Each seed counts once: runs that repeat a seed enter with their mean. `runs` are in the table's order.
    """

    model: str
    runs: list[str]
    seeds: list[int]
    chosen: bool  # whether the chosen run is among them
    valid_perplexity: Spread
    valid_skill: Spread | None
    test: SeedTest | None  # of the evaluated runs; None where there is none, or test is not asked for


def seed_groups(order: Sequence[Run], chosen: Run | None, all_test: bool) -> list[SeedGroup]:
    """Groups with at least two seeds, best mean validation perplexity first.

    Args:
        order: runs as ranked.
        all_test: show test figures; they are those of runs that were not chosen too.
    """
    by_likeness: dict[str, list[Run]] = {}
    for run in order:
        by_likeness.setdefault(run.configuration.likeness, []).append(run)
    groups = []
    for runs in by_likeness.values():
        perplexity = _spread(runs, lambda run: run.training.valid_perplexity)
        if perplexity is None or perplexity.n < 2:
            continue
        evaluated = [run for run in runs if run.evaluation is not None]
        groups.append(
            SeedGroup(
                model=runs[0].training.model,
                runs=[run.name for run in runs],
                seeds=sorted({run.training.seed for run in runs}),
                chosen=chosen in runs,
                valid_perplexity=perplexity,
                valid_skill=_spread(
                    runs,
                    lambda run: skill(run.training.valid_perplexity, run.training.valid_prior_perplexity),
                ),
                test=_test(evaluated) if evaluated and all_test else None,
            )
        )
    return sorted(groups, key=lambda group: group.valid_perplexity.mean)


def _test(runs: Sequence[Run]) -> SeedTest:
    def spread(figure: Callable[[Figures], float | None]) -> Spread | None:
        return _spread(runs, lambda run: figure(run.evaluation.test) if run.evaluation else None)

    return SeedTest(
        perplexity=spread(lambda test: test.perplexity),
        skill=spread(lambda test: test.skill),
        auroc=spread(lambda test: test.auroc),
        ap=spread(lambda test: test.ap),
        f1=spread(lambda test: test.f1),
        wins=spread(lambda test: float(test.wins)),
    )


def _spread(runs: Sequence[Run], figure: Callable[[Run], float | None]) -> Spread | None:
    by_seed: dict[int, list[float]] = {}
    for run in runs:
        if (value := figure(run)) is not None:
            by_seed.setdefault(run.training.seed, []).append(value)
    means = [fmean(values) for values in by_seed.values()]
    if not means:
        return None
    return Spread(fmean(means), stdev(means) if len(means) > 1 else None, len(means))
