"""The sections of a run's report, in their order, and the data that their charts read."""

from collections.abc import Mapping, Sequence

from genome_lm.report.answer import answer, tiles
from genome_lm.report.figures.base import Row
from genome_lm.report.figures.positives import (
    difference_by_positives,
    f1_by_positives,
    positives_rows,
    wins_by_positives,
)
from genome_lm.report.figures.published import SOURCES, published_auroc
from genome_lm.report.figures.reliability import reliability_curves, reliability_rows
from genome_lm.report.figures.rivalry import f1_differences, f1_scatter
from genome_lm.report.figures.training import curve_rows, training_curves
from genome_lm.report.inputs import Inputs
from genome_lm.report.lookup import number, pairs, rows, table, text, whole
from genome_lm.report.run_details import glossary_section, how_section
from genome_lm.report.scores import calibration_table, context_section, group_section
from genome_lm.report.section import Section, gathered
from genome_lm.report.task_data import task_rows
from genome_lm.report.task_table import task_table_section


def datasets(inputs: Inputs) -> dict[str, Sequence[Row]]:
    """What the charts and the task table read, by name."""
    summary = inputs.summary
    return {
        "tasks": task_rows(inputs.tasks),
        "epochs": curve_rows(inputs.epochs, number(summary, "valid", "perplexity", "baseline")),
        "calibration": reliability_rows(table(summary, "test", "calibration")),
        "positives": positives_rows(rows(summary, "test", "by_positives")),
    }


def report_sections(inputs: Inputs) -> list[Section]:
    """All sections of a run's report."""
    sections = [
        _summary(inputs),
        _training(inputs),
        _rivalry(inputs),
        group_section(inputs.summary),
        _calibration(inputs.summary),
        _positives(inputs),
        _published(inputs),
        context_section(inputs.summary),
        task_table_section(task_rows(inputs.tasks)),
        how_section(inputs),
        glossary_section(),
    ]
    return [section for section in sections if section is not None]


def _summary(inputs: Inputs) -> Section:
    summary = inputs.summary
    scope = [
        text(summary, "predictors", "model"),
        text(summary, "task_set"),
        text(summary, "dataset", "genome_build"),
    ]
    content = {"answer": answer(summary), "tiles": tiles(summary), "scope": [part for part in scope if part]}
    return Section("summary", "Summary", "summary", content)


def _training(inputs: Inputs) -> Section:
    baseline = number(inputs.summary, "valid", "perplexity", "baseline")
    best = whole(inputs.training, "best_epoch")
    figure = training_curves(inputs.epochs, baseline, best)
    missing = (
        [] if figure else ["There is no metrics.csv with perplexities beside this evaluation, so no curves."]
    )
    return Section("training", "Training", "figures", figures=gathered(figure), missing=missing)


def _rivalry(inputs: Inputs) -> Section:
    found = gathered(f1_scatter(inputs.tasks), f1_differences(inputs.tasks))
    missing = [] if found else ["No task has an F1 of both the model and the baseline on test."]
    return Section("f1", "Model against baseline", "figures", figures=found, missing=missing)


def _calibration(summary: Mapping[str, object]) -> Section:
    figure = reliability_curves(table(summary, "test", "calibration"))
    missing = [] if figure else ["This evaluation has no calibration on test."]
    scores = calibration_table(summary)
    content = {"tables": [scores] if scores else []}
    return Section("calibration", "Calibration", "figures", content, gathered(figure), missing)


def _positives(inputs: Inputs) -> Section:
    bins, ahead = rows(inputs.summary, "test", "by_positives"), pairs(inputs.summary, "test", "ahead")
    binned = gathered(wins_by_positives(bins), difference_by_positives(bins, ahead))
    found = [*gathered(f1_by_positives(inputs.tasks)), *binned]
    missing = [] if binned else ["This evaluation has no outcomes by number of positives."]
    return Section("positives", "Outcome by number of positives", "figures", figures=found, missing=missing)


def _published(inputs: Inputs) -> Section:
    found = gathered(*(published_auroc(inputs.tasks, source) for source in SOURCES))
    note = (
        "Context, not a contest: the published models were trained on most of the genome and tested on "
        "chromosomes 8 and 9, on other windows. A lower value here says little about the architecture."
    )
    missing = [] if found else ["No task of this dataset carries a published AUROC."]
    return Section(
        "published", "Beside published models", "figures", {"note": note if found else ""}, found, missing
    )
