"""Peak files to runs of positive bins: all that is kept of a track."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from genome_lm.dataset.contents import TaskTable
from genome_lm.dataset.coverage import Runs, covered_bins, unite
from genome_lm.dataset.manifest import Manifest
from genome_lm.dataset.names import check_shared_names
from genome_lm.dataset.peaks import read_peaks
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.errors import UserError

logger = logging.getLogger(__name__)


@dataclass
class Tracks:
    """What is known of all tracks once their files are read.

    `runs` holds the positive bins by chromosome of the genome and index of the task; `n_peaks` has one
    entry a track. `names_of` lists the chromosome names of each file, `renamed` those that differ from the
    genome's by "chr", and `elsewhere` counts the peaks on names that the genome does not have.
    """

    runs: dict[str, dict[int, Runs]] = field(default_factory=dict)
    n_peaks: list[int] = field(default_factory=list)
    names_of: dict[str, list[str]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, int] = field(default_factory=dict)


def read_tracks(
    table: Manifest, lengths: Mapping[str, int], settings: PrepareSettings, advance: Callable[[], object]
) -> Tracks:
    """Read all peak files against a genome whose chromosomes have `lengths` in bp.

    Args:
        advance: called after each file.

    Raises:
        UserError: see `genome_lm.dataset.peaks.read_peaks`.
    """
    tracks = Tracks()
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
                runs = first.astype(np.int32), last.astype(np.int32)
                tracks.runs.setdefault(name, {})[task] = runs
        advance()
    return tracks


def report_tracks(
    table: Manifest, tracks: Tracks, lengths: Mapping[str, int], settings: PrepareSettings
) -> None:
    """Say what was reconciled, passed over or found empty.

    Raises:
        UserError: chromosome names foreign to the genome, or tracks without a peak and `settings.strict` on.
    """
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


def task_table(table: Manifest, tracks: Tracks) -> TaskTable:
    """The dataset's task table, in the manifest's order."""
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
