"""Make a dataset file from DeepSEA's train.mat, valid.mat and test.mat.

The files give no coordinates. Their windows are laid end to end, and each is placed on an invented chromosome
as if its bin were the next one after that of the sample before: sample i of the file covers the bin from
`i * bin_bp` on. The files are in genome order and hold only some of the bins, so windows are at least as far
apart in the genome as their invented positions say, or on different chromosomes. That is what blocks of a
bootstrap need to know (docs/deepsea.md).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from genome_lm.atomic import check_output
from genome_lm.choices import PairPolicy
from genome_lm.dataset.contents import SPLITS, TaskTable
from genome_lm.dataset.deepsea.files import open_samples
from genome_lm.dataset.deepsea.pairs import PIECE_WINDOWS, PairedWindows, Windows, draw
from genome_lm.dataset.deepsea.samples import Samples
from genome_lm.dataset.deepsea.settings import DeepseaSettings
from genome_lm.dataset.deepsea.summary import DeepseaSummary
from genome_lm.dataset.deepsea.tasks import published_tasks_path, read_tasks
from genome_lm.dataset.source import identify
from genome_lm.dataset.writing import Header, Piece, write_dataset
from genome_lm.errors import UserError

logger = logging.getLogger(__name__)


def prepare_deepsea(output: Path, settings: DeepseaSettings, progress: bool = False) -> DeepseaSummary:
    """Make the dataset file `output`, whole or not at all, and return what it holds.

    Args:
        progress: show a bar on standard error.

    Raises:
        UserError: a file is missing, damaged, or not of DeepSEA's form; pairs are no mirror images (unless
            `settings.pairs` allows it); the files disagree in windows or tasks; the names of the tasks do
            not fit; a subset is larger than its file; or `output` cannot be written.
    """
    named = [settings.task_names] if settings.task_names else []
    check_output(output, (*settings.paths, *named), "deepsea.h5")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with (
        ExitStack() as stack,
        Progress(*columns, console=Console(stderr=True), disable=not progress, transient=True) as bar,
    ):
        identifying = bar.add_task("identifying files", total=len(SPLITS))
        sources = []
        for path in (*settings.paths, *(named or [published_tasks_path()])):
            sources.append(identify(path))
            bar.advance(identifying)
        opening = bar.add_task("opening files", total=len(SPLITS))
        opened = []
        for path, split in zip(settings.paths, SPLITS, strict=True):
            opened.append(stack.enter_context(open_samples(path, split)))
            bar.advance(opening)
        window_bp, tasks = _agreed(opened, settings)
        maker = _PieceMaker(opened, settings, len(tasks))
        making = bar.add_task("making windows", total=sum(maker.sizes))
        checksum = write_dataset(
            output,
            Header(settings.genome_build, window_bp, settings.bin_bp, settings.as_recipe(window_bp)),
            tasks,
            maker.pieces(lambda n_windows: bar.advance(making, n_windows)),
            sources,
        )
    mismatched = tuple(each.mismatched for each in maker.paired)
    if any(mismatched):
        logger.warning(
            "%s pairs in %s are no mirror images; their forward samples were kept",
            " + ".join(map(str, mismatched)),
            ", ".join(path.name for path in settings.paths),
        )
    return DeepseaSummary(
        path=output,
        checksum=checksum,
        file_bytes=output.stat().st_size,
        window_bp=window_bp,
        samples=tuple(each.n_samples for each in opened),
        pairs=settings.pairs,
        mismatched=mismatched,
        windows=tuple(maker.sizes),
        positives=maker.positives,
        task_ids=tasks.id,
    )


def _agreed(opened: list[Samples], settings: DeepseaSettings) -> tuple[int, TaskTable]:
    """Bases of a window, and the tasks, once all files have the same."""
    first = opened[0]
    for other in opened[1:]:
        if (other.window_bp, other.n_tasks) != (first.window_bp, first.n_tasks):
            raise UserError(
                f"{other.where} has windows of {other.window_bp:,} bp and {other.n_tasks:,} tasks, "
                f"{first.where} {first.window_bp:,} bp and {first.n_tasks:,}; give files of one data set"
            )
    settings.check_windows(first.window_bp, first.where)
    return first.window_bp, read_tasks(settings.task_names, first.n_tasks, first.where)


class _PieceMaker:
    """Turns windows into pieces of the dataset and keeps count. `sizes` has the windows of each split."""

    def __init__(self, opened: list[Samples], settings: DeepseaSettings, n_tasks: int) -> None:
        self._settings, self._n_tasks = settings, n_tasks
        self.paired = [PairedWindows(samples, settings.pairs) for samples in opened]
        self.sizes = []
        for split, wanted, paired, samples in zip(SPLITS, settings.subset, self.paired, opened, strict=True):
            if wanted is not None and wanted > paired.n_windows:
                what = "windows" if settings.pairs is PairPolicy.all else "pairs"
                raise UserError(
                    f"source.subset.{split}={wanted}: {samples.where} has {paired.n_windows:,} {what}; "
                    "choose at most as many"
                )
            self.sizes.append(paired.n_windows if wanted is None else wanted)
        self.positives = np.zeros((len(SPLITS), n_tasks), dtype=np.int64)

    def pieces(self, advance: Callable[[int], object]) -> Iterator[Piece]:
        for code, paired in enumerate(self.paired):
            wanted = self._settings.subset[code]
            chosen = None if wanted is None else draw(paired.n_windows, wanted, self._settings.seed, code)
            for windows in paired.pieces(chosen):
                yield self._piece(code, windows)
                advance(len(windows.sample))

    def _piece(self, code: int, windows: Windows) -> Piece:
        n_windows, window_bp = windows.codes.shape
        bits = np.unpackbits(windows.labels, axis=1, count=self._n_tasks, bitorder="little")
        self.positives[code] += bits.sum(axis=0, dtype=np.int64)
        return Piece(
            chromosome=f"{SPLITS[code]}_{windows.sample[0] // PIECE_WINDOWS:04d}",
            sequence=windows.codes.reshape(-1),
            offset=np.arange(n_windows) * window_bp,
            start=windows.sample * self._settings.bin_bp - (window_bp - self._settings.bin_bp) // 2,
            split=np.full(n_windows, code, dtype=np.uint8),
            packed_labels=windows.labels,
        )
