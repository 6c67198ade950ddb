"""Predicted probabilities against observed rates, pooled over the tasks of a set."""

from dataclasses import dataclass

import numpy as np

from genome_lm.evaluation.aligned import Aligned
from genome_lm.evaluation.task_sets import TaskSets
from genome_lm.metrics.calibration import PLOT_EDGES, reliability


@dataclass(frozen=True)
class CalibrationBin:
    """Pairs of a window and a task whose predicted probability lies between `low` and `high`."""

    low: float
    high: float
    windows: int  # pairs
    predicted: float  # mean probability
    observed: float  # share of positives


def calibration(aligned: Aligned, split: str, sets: TaskSets) -> dict[str, dict[str, list[CalibrationBin]]]:
    """By predictor, then by group ("all" for all tasks): the occupied bins, ascending."""
    labels = aligned.labels(split)
    result: dict[str, dict[str, list[CalibrationBin]]] = {}
    for name in aligned.predictions:
        table = reliability(aligned.logits(split, name), labels, PLOT_EDGES)
        result[name] = {}
        for group, tasks in {"all": sets.overall, **sets.groups}.items():
            windows = table.windows[tasks].sum(axis=0)
            positives = table.positives[tasks].sum(axis=0)
            predicted = table.predicted[tasks].sum(axis=0)
            result[name][group] = [
                CalibrationBin(
                    low=float(table.edges[each]),
                    high=float(table.edges[each + 1]),
                    windows=int(windows[each]),
                    predicted=float(predicted[each] / windows[each]),
                    observed=float(positives[each] / windows[each]),
                )
                for each in np.flatnonzero(windows)
            ]
    return result
