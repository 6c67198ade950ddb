"""Make a dataset file from a FASTA and a manifest of peak files.

The recipe is DeepSEA's (Zhou & Troyanskaya 2015); `PrepareSettings` has its numbers. Two passes over the
FASTA: the first checks it and learns the chromosomes, the second takes the bases, one chromosome at a time.
Of a peak file only the runs of positive bins are kept, so that memory stays bounded by the longest
chromosome and the runs.
"""

import logging
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from genome_lm.dataset.contents import SPLITS, TaskTable
from genome_lm.dataset.coverage import count_over_bins, covered_bins, members, overlapped_bins, unite
from genome_lm.dataset.fasta import read_fasta, scan_fasta
from genome_lm.dataset.manifest import Manifest, read_manifest
from genome_lm.dataset.names import check_shared_names
from genome_lm.dataset.peaks import read_peaks
from genome_lm.dataset.regions import DROPPED, Region, assign_splits, parse_regions
from genome_lm.dataset.settings import EndPolicy, NPolicy, PrepareSettings
from genome_lm.dataset.source import identify
from genome_lm.dataset.summary import BinCounts, PrepareSummary
from genome_lm.dataset.windows import has_unknown, merge_windows, pack_labels
from genome_lm.dataset.writing import Header, Piece, write_dataset
from genome_lm.errors import UserError

logger = logging.getLogger(__name__)

_Runs = tuple[np.ndarray, np.ndarray]
"""First and one past the last bin of runs of bins, int32 [n] each."""

_NO_RUNS = (np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))


@dataclass
class _Tracks:
    """Positive bins of all tracks, by chromosome and task."""

    n_tasks: int
    runs: dict[str, list[_Runs]] = field(default_factory=dict)
    n_peaks: list[int] = field(default_factory=list)
    names_of: dict[str, list[str]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, int] = field(default_factory=dict)

    def set(self, chromosome: str, task: int, runs: _Runs) -> None:
        self.runs.setdefault(chromosome, [_NO_RUNS] * self.n_tasks)[task] = runs


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
    _check_output(output, fasta, manifest)
    table = read_manifest(manifest)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not progress, transient=True) as bar:
        checking = bar.add_task("checking the FASTA", total=None)
        lengths = scan_fasta(fasta, lambda n_bytes: bar.advance(checking, n_bytes))
        total = sum(lengths.values())
        bar.update(checking, total=total, completed=total)
        regions = parse_regions(settings.valid, settings.test, lengths)
        excluded = _read_blacklist(settings, lengths)

        reading = bar.add_task("reading peak files", total=len(table.tracks))
        tracks = _read_tracks(table, lengths, settings, lambda: bar.advance(reading))
        _report(table, tracks, lengths, settings)
        # Every source is identified before the output is begun, so that a missing one stops the run early.
        paths = [fasta, *(track.file for track in table.tracks)]
        sources = [identify(path) for path in (*paths, *filter(None, [settings.blacklist]))]

        making = bar.add_task("making windows", total=total)
        maker = _Maker(settings, table, tracks, regions, excluded)
        used = {name: length for name, length in lengths.items() if name in tracks.runs}
        records = read_fasta(fasta, used, lambda n_bytes: bar.advance(making, n_bytes))
        tasks = _task_table(table, tracks)
        checksum = write_dataset(
            output,
            Header(settings.genome_build, settings.window_bp, settings.bin_bp, settings.as_recipe()),
            tasks,
            maker.pieces(records),
            sources,
            settings.compression_level,
        )
    for split, count in zip(SPLITS, maker.windows, strict=True):
        if not count and (split == "train" or any(SPLITS[region.split] == split for region in regions)):
            logger.warning("no window falls into the %s split; check the split regions", split)
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


def _check_output(output: Path, *inputs: Path) -> None:
    """Refuse early what would fail only after the work is done."""
    if output.is_dir():
        raise UserError(f"output {output} is a folder; give a file name, such as {output / 'dataset.h5'}")
    if output.exists() and any(path.exists() and output.samefile(path) for path in inputs):
        raise UserError(f"output {output} is one of the inputs; choose another name")
    folder = next(parent for parent in output.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(
            f"cannot write {output}: {folder} is not a folder that you may write to; choose another"
        )


def _read_blacklist(settings: PrepareSettings, lengths: Mapping[str, int]) -> dict[str, _Runs]:
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


def _read_tracks(
    table: Manifest, lengths: Mapping[str, int], settings: PrepareSettings, advance: Callable[[], object]
) -> _Tracks:
    tracks = _Tracks(len(table.tracks))
    for task, track in enumerate(table.tracks):
        found = read_peaks(track.file, lengths)
        tracks.n_peaks.append(found.n_peaks)
        tracks.names_of[str(track.file)] = [*found.intervals, *found.elsewhere]
        tracks.renamed |= found.renamed
        for name, count in found.elsewhere.items():
            tracks.elsewhere[name] = tracks.elsewhere.get(name, 0) + count
        for name, (starts, ends) in found.intervals.items():
            first, last = covered_bins(*unite(starts, ends), settings.bin_bp, settings.min_covered_bp)
            if len(first):
                tracks.set(name, task, (first.astype(np.int32), last.astype(np.int32)))
        advance()
    return tracks


def _report(table: Manifest, tracks: _Tracks, lengths: Mapping[str, int], settings: PrepareSettings) -> None:
    """Refuse foreign chromosome names; say what was reconciled, passed over or found empty."""
    check_shared_names(tracks.names_of, lengths, tuple(lengths))
    if tracks.renamed:
        pairs = ", ".join(f"{theirs} as {ours}" for theirs, ours in list(tracks.renamed.items())[:3])
        logger.info(
            "chromosome names differ by 'chr': read %s of the FASTA (%d names)", pairs, len(tracks.renamed)
        )
    if tracks.elsewhere:
        logger.info(
            "%d peaks lie on %d chromosomes that the FASTA does not have and were passed over: %s",
            sum(tracks.elsewhere.values()),
            len(tracks.elsewhere),
            ", ".join(list(tracks.elsewhere)[:8]),
        )
    empty = [track.id for track, count in zip(table.tracks, tracks.n_peaks, strict=True) if not count]
    if empty and settings.strict:
        raise UserError(
            f"{len(empty)} tracks have no peak on this genome: {', '.join(empty)}; remove them from "
            f"{table.path}, "
            "or use strict=false to keep them as all-negative tasks"
        )
    if empty:
        logger.warning(
            "%d of %d tracks have no peak on this genome and become all-negative tasks: %s",
            len(empty),
            len(table.tracks),
            ", ".join(empty),
        )


def _task_table(table: Manifest, tracks: _Tracks) -> TaskTable:
    return TaskTable(
        id=tuple(track.id for track in table.tracks),
        cell=tuple(track.cell for track in table.tracks),
        target=tuple(track.target for track in table.tracks),
        treatment=tuple(track.treatment for track in table.tracks),
        group=tuple(track.group for track in table.tracks),
        source_file=tuple(track.file.name for track in table.tracks),
        accession=tuple(track.accession for track in table.tracks),
        selects_bins=np.array([track.selects_bins for track in table.tracks], dtype=bool),
        n_peaks=np.array(tracks.n_peaks, dtype=np.int64),
        reference=table.reference,
    )


class _Maker:
    """Turns chromosomes into pieces of the dataset and keeps count."""

    def __init__(
        self,
        settings: PrepareSettings,
        table: Manifest,
        tracks: _Tracks,
        regions: tuple[Region, ...],
        excluded: dict[str, _Runs],
    ) -> None:
        self._settings = settings
        self._selecting = [index for index, track in enumerate(table.tracks) if track.selects_bins]
        self._runs = tracks.runs
        self._regions = regions
        self._excluded = excluded
        self.chromosomes: list[str] = []
        self.windows = [0] * len(SPLITS)
        self.positives = np.zeros((len(SPLITS), tracks.n_tasks), dtype=np.int64)
        self.bins = BinCounts()
        self.n_bases = 0

    def pieces(self, records: Iterator[tuple[str, np.ndarray]]) -> Iterator[Piece]:
        for chromosome, codes in records:
            piece = self._piece(chromosome, codes)
            if piece is not None:
                yield piece
        if not self.chromosomes:
            raise UserError(
                f"no window could be made: {self.bins.selected:,} bins with peaks, all dropped; check "
                "that the tracks "
                "with selects_bins = 1 have peaks on this genome, and the N policy and split regions"
            )

    def _piece(self, chromosome: str, codes: np.ndarray) -> Piece | None:
        settings = self._settings
        runs = self._runs[chromosome]
        bins = self._kept_bins(chromosome, codes, runs)
        starts = bins * settings.bin_bp
        here = [region for region in self._regions if region.chromosome == chromosome]
        split = assign_splits(starts, settings.bin_bp, settings.flank_bp, here, settings.buffer_bp)
        used = split != DROPPED
        self.bins += BinCounts(at_boundary=int(np.count_nonzero(~used)))
        bins, starts, split = bins[used], starts[used] - settings.flank_bp, split[used]
        if not len(bins):
            return None
        positive = [members(first, end, bins) for first, end in runs]
        sequence, offset = merge_windows(codes, starts, settings.window_bp)
        self.chromosomes.append(chromosome)
        self.n_bases += len(sequence)
        for code in range(len(SPLITS)):
            self.windows[code] += int(np.count_nonzero(split == code))
        for task, rows in enumerate(positive):
            self.positives[:, task] += np.bincount(split[rows], minlength=len(SPLITS))
        return Piece(chromosome, sequence, offset, starts, split, pack_labels(positive, len(bins)))

    def _kept_bins(self, chromosome: str, codes: np.ndarray, runs: list[_Runs]) -> np.ndarray:
        """Numbers of the bins that become windows, before the split; int64, ascending."""
        settings = self._settings
        n_bins = len(codes) // settings.bin_bp
        selecting = [runs[task] for task in self._selecting]
        enough = _count(selecting, n_bins) >= settings.min_positives
        bins = self._usable(chromosome, codes, np.flatnonzero(enough))
        self.bins += BinCounts(selected=int(np.count_nonzero(enough)))
        wanted = round(settings.background_per_positive * len(bins))
        if wanted:
            # One generator a chromosome: the draw does not depend on the order of the FASTA's records.
            draw = np.random.default_rng([settings.seed, zlib.crc32(chromosome.encode())])
            candidates = np.flatnonzero(_count(runs, n_bins) == 0)
            candidates = self._usable(chromosome, codes, candidates, counted=False)
            chosen = draw.choice(candidates, size=min(wanted, len(candidates)), replace=False)
            self.bins += BinCounts(background=len(chosen))
            bins = np.union1d(bins, chosen)
        return bins

    def _usable(
        self, chromosome: str, codes: np.ndarray, bins: np.ndarray, counted: bool = True
    ) -> np.ndarray:
        """`bins` without those that the blacklist, the chromosome's ends or the N policy exclude."""
        settings = self._settings
        before = len(bins)
        if chromosome in self._excluded:
            bins = np.delete(bins, members(*self._excluded[chromosome], bins))
        clean = len(bins)
        starts = bins * settings.bin_bp - settings.flank_bp
        if settings.end_policy is EndPolicy.DROP:
            bins = bins[(starts >= 0) & (starts + settings.window_bp <= len(codes))]
        inside = len(bins)
        starts = bins * settings.bin_bp
        if settings.n_policy is NPolicy.CORE:
            bins = bins[~has_unknown(codes, starts, settings.bin_bp)]
        elif settings.n_policy is NPolicy.WINDOW:
            bins = bins[~has_unknown(codes, starts - settings.flank_bp, settings.window_bp)]
        if counted:
            self.bins += BinCounts(
                blacklisted=before - clean, past_end=clean - inside, unknown_bases=inside - len(bins)
            )
        return bins


def _count(runs: list[_Runs], n_bins: int) -> np.ndarray:
    """How many tasks are positive in each bin, int32 [n_bins]."""
    starts = np.concatenate([_NO_RUNS[0], *(first for first, _ in runs)])
    ends = np.concatenate([_NO_RUNS[1], *(end for _, end in runs)])
    return count_over_bins(starts, ends, n_bins)
