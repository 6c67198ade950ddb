"""Runs in the order of their validation perplexity, and the one row that is chosen by it."""

from collections.abc import Sequence
from dataclasses import dataclass

from genome_lm.leaderboard.evaluated import Figures, Interval, skill
from genome_lm.leaderboard.reading import Run, shown
from genome_lm.leaderboard.training import perplexity_order

EXACT = "exact"
"""From the run's evaluation."""
STREAMING = "streaming"
"""From histograms of the logits during training; their F1 is at each task's best bin edge."""


@dataclass(frozen=True)
class Row:
    """One run of the table; None where a figure is undefined, unknown, or (`test`) not shown.

    `rank` counts from 1; runs of equal perplexity share one, and the next has its place in the list.
    """

    rank: int
    run: str
    path: str
    model: str
    seed: int
    parameters: int
    tokens_per_second: float | None
    windows_per_second: float | None
    seconds: float | None
    epochs: int
    best_epoch: int
    valid_perplexity: float | None
    valid_prior_perplexity: float | None
    valid_skill: float | None
    valid_scores: str | None  # where AUROC, AP and F1 come from: EXACT, STREAMING or None
    valid_auroc: float | None
    valid_ap: float | None
    valid_f1: float | None
    valid_wins: int | None
    valid_counted: int | None
    valid_wins_interval: Interval | None
    evaluated: bool
    test: Figures | None


def ranked(runs: Sequence[Run]) -> list[Run]:
    """Lowest validation perplexity first, undefined ones last.

    Among equals the smaller model comes first, then one that is evaluated, then by name: no test figure plays
    a part.
    """
    return sorted(
        runs,
        key=lambda run: (
            perplexity_order(run.training.valid_perplexity),
            run.training.parameters,
            run.evaluation is None,
            run.name,
        ),
    )


def chosen_of(order: Sequence[Run]) -> Run | None:
    """The best on validation; None if no run has a validation perplexity.

    Args:
        order: as from `ranked`.
    """
    return order[0] if order and order[0].training.valid_perplexity is not None else None


def rows_of(order: Sequence[Run], with_test: Sequence[Run]) -> list[Row]:
    """The rows of the table.

    Args:
        order: as from `ranked`.
        with_test: runs whose test figures are shown, if they are evaluated.
    """
    perplexities = [perplexity_order(run.training.valid_perplexity) for run in order]
    shown_test = {run.path for run in with_test}
    return [
        _row(run, perplexities.index(perplexity) + 1, run.path in shown_test)
        for run, perplexity in zip(order, perplexities, strict=True)
    ]


def _row(run: Run, rank: int, with_test: bool) -> Row:
    training, evaluation = run.training, run.evaluation
    if evaluation is not None:
        source: str | None = EXACT
        auroc, ap, f1 = evaluation.valid.auroc, evaluation.valid.ap, evaluation.valid.f1
    else:
        auroc, ap, f1 = training.valid_auroc, training.valid_ap, training.valid_f1
        source = None if (auroc, ap, f1) == (None, None, None) else STREAMING
    valid = evaluation.valid if evaluation else None
    return Row(
        rank=rank,
        run=run.name,
        path=shown(run.path),
        model=training.model,
        seed=training.seed,
        parameters=training.parameters,
        tokens_per_second=training.tokens_per_second,
        windows_per_second=training.windows_per_second,
        seconds=training.seconds,
        epochs=training.epochs,
        best_epoch=training.best_epoch,
        valid_perplexity=training.valid_perplexity,
        valid_prior_perplexity=training.valid_prior_perplexity,
        valid_skill=skill(training.valid_perplexity, training.valid_prior_perplexity),
        valid_scores=source,
        valid_auroc=auroc,
        valid_ap=ap,
        valid_f1=f1,
        valid_wins=valid.wins if valid else None,
        valid_counted=valid.counted if valid else None,
        valid_wins_interval=valid.wins_interval if valid else None,
        evaluated=evaluation is not None,
        test=evaluation.test if evaluation and with_test else None,
    )
