"""The report page of one evaluated run, the page of a leaderboard, and their figures as files."""

from collections.abc import Mapping
from pathlib import Path

from genome_lm.report.drawing import write_figure
from genome_lm.report.figures.runs import runs_rows
from genome_lm.report.inputs import Inputs, read_inputs
from genome_lm.report.leaderboard import leaderboard_sections, read_curves
from genome_lm.report.lookup import text
from genome_lm.report.render import Page, write_page
from genome_lm.report.sections import datasets, report_sections

FILE = "report.html"


def write_report(run_dir: Path, evaluation: Path) -> Path:
    """Write report.html, one file that asks for nothing else, and figures/NAME.{svg,png} beside it.

    Args:
        run_dir: the run's folder; metrics.csv, training.json, config.yaml and .hydra/overrides.yaml in it are
            used if they are there.
        evaluation: the folder with summary.json and tasks.tsv.

    Returns:
        The path of report.html.

    Raises:
        UserError: summary.json or tasks.tsv cannot be read, or the page cannot be written.
    """
    page = report_page(read_inputs(run_dir, evaluation))
    for figure in page.figures():
        write_figure(figure, page.datasets, evaluation / "figures")
    write_page(page, evaluation / FILE)
    return evaluation / FILE


def report_page(inputs: Inputs) -> Page:
    """The page of one run, not yet drawn."""
    return Page(
        title=f"Sequence model against k-mer baseline: {inputs.run}",
        heading="How much of these experiments does the DNA sequence explain?",
        subtitle=inputs.run,
        sections=report_sections(inputs),
        datasets=datasets(inputs),
    )


def write_leaderboard_page(
    folder: Path, leaderboard: Mapping[str, object], chosen: tuple[Path, Path] | None
) -> Path:
    """Write report.html into `folder`: all runs first, then the chosen run's report; and figures of the runs.

    Args:
        leaderboard: as in leaderboard.json.
        chosen: the run's folder and that of its evaluation; None if the chosen run is not evaluated: the page
            then names the command that does it.

    Raises:
        UserError: the evaluation cannot be read, or the page cannot be written.
    """
    inputs = read_inputs(*chosen) if chosen is not None else None
    page = leaderboard_page(folder, leaderboard, inputs)
    # The chosen run's figures are files beside its evaluation already, and drawing takes long.
    for figure in leaderboard_page(folder, leaderboard, None).figures():
        write_figure(figure, page.datasets, folder / "figures")
    write_page(page, folder / FILE)
    return folder / FILE


def leaderboard_page(folder: Path, leaderboard: Mapping[str, object], inputs: Inputs | None) -> Page:
    """The page of a leaderboard, not yet drawn.

    Args:
        inputs: of the chosen run, or None if it is not evaluated.
    """
    curves = read_curves(folder, leaderboard)
    sections = leaderboard_sections(leaderboard, curves, reported=inputs is not None)
    return Page(
        title="Leaderboard of sequence models",
        heading="Which model explains these experiments best?",
        subtitle=text(leaderboard, "task_set") or folder.resolve().name,
        sections=[*sections, *(report_sections(inputs) if inputs else [])],
        datasets={"runs": runs_rows(curves), **(datasets(inputs) if inputs else {})},
    )
