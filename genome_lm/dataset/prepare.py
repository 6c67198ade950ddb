"""Make a dataset file from a FASTA and a manifest of peak files.

The recipe is DeepSEA's (Zhou & Troyanskaya 2015); `PrepareSettings` has its numbers. Two passes over the
FASTA: the first checks it and learns the chromosomes, the second takes the bases, one chromosome at a time.
Of a peak file only the runs of positive bins are kept, so that memory stays bounded by the longest
chromosome and the runs.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from genome_lm.atomic import check_output
from genome_lm.dataset.contents import SPLITS
from genome_lm.dataset.coverage import Runs, overlapped_bins
from genome_lm.dataset.fasta import read_fasta, scan_fasta
from genome_lm.dataset.manifest import read_manifest
from genome_lm.dataset.names import check_shared_names
from genome_lm.dataset.peaks import read_peaks
from genome_lm.dataset.pieces import PieceMaker
from genome_lm.dataset.regions import parse_regions
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.dataset.source import identify
from genome_lm.dataset.summary import PrepareSummary
from genome_lm.dataset.tracks import read_tracks, report_tracks, task_table
from genome_lm.dataset.writing import Header, write_dataset

logger = logging.getLogger(__name__)


def prepare(
    fasta: Path, manifest: Path, output: Path, settings: PrepareSettings, progress: bool = False
) -> PrepareSummary:
    """Make the dataset file `output`, whole or not at all, and return what it holds.

    Args:
        fasta: plain, gzip or bgzip. Its record names are the dataset's chromosome names.
        manifest: see `genome_lm.dataset.manifest.read_manifest`.
        progress: show a bar on standard error.

    Raises:
        UserError: any of the inputs is wrong (the message names file and line), names of chromosomes do not
            agree, split regions overlap, no bin is kept, a track has no peak and `settings.strict` is on,
            or `output` cannot be written.
    """
    check_output(output, (fasta, manifest), "dataset.h5")
    table = read_manifest(manifest)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress, transient=True) as bar:
        checking = bar.add_task("checking the FASTA", total=None)
        lengths = scan_fasta(fasta, lambda n_bytes: bar.advance(checking, n_bytes))
        total = sum(lengths.values())
        bar.update(checking, total=total, completed=total)
        regions = parse_regions(settings.valid, settings.test, lengths)
        excluded = _read_blacklist(settings, lengths)

        reading = bar.add_task("reading peak files", total=len(table.tracks))
        tracks = read_tracks(table, lengths, settings, lambda: bar.advance(reading))
        report_tracks(table, tracks, lengths, settings)
        # Every source is identified before the output is begun, so that a missing one stops the run early.
        paths = [fasta, *(track.file for track in table.tracks)]
        sources = [identify(path) for path in (*paths, *filter(None, [settings.blacklist]))]

        making = bar.add_task("making windows", total=total)
        maker = PieceMaker(settings, table, tracks, regions, excluded)
        used = {name: length for name, length in lengths.items() if name in tracks.runs}
        records = read_fasta(fasta, used, lambda n_bytes: bar.advance(making, n_bytes))
        tasks = task_table(table, tracks)
        checksum = write_dataset(
            output,
            Header(settings.genome_build, settings.window_bp, settings.bin_bp, settings.as_recipe()),
            tasks,
            maker.pieces(records),
            sources,
            settings.compression_level,
            settings.storage,
        )
    for split, count in zip(SPLITS, maker.windows, strict=True):
        if not count:
            logger.warning(
                "no window falls into the %s split, which training and evaluation need; check the regions",
                split,
            )
    return PrepareSummary(
        path=output,
        checksum=checksum,
        file_bytes=output.stat().st_size,
        genome_build=settings.genome_build,
        chromosomes=tuple(maker.chromosomes),
        task_ids=tasks.id,
        windows=tuple(maker.windows),
        positives=maker.positives,
        bins=maker.bins,
        tracks_without_peaks=tuple(
            task for task, count in zip(tasks.id, tasks.n_peaks, strict=True) if not count
        ),
        peaks_elsewhere=sum(tracks.elsewhere.values()),
        n_bases=maker.n_bases,
    )


def _read_blacklist(settings: PrepareSettings, lengths: Mapping[str, int]) -> dict[str, Runs]:
    if settings.blacklist is None:
        return {}
    found = read_peaks(settings.blacklist, lengths)
    check_shared_names(
        {str(settings.blacklist): [*found.intervals, *found.elsewhere]}, lengths, tuple(lengths)
    )
    return {
        name: overlapped_bins(starts, ends, settings.bin_bp)
        for name, (starts, ends) in found.intervals.items()
    }
