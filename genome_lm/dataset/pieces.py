"""Chromosomes to pieces of the dataset: which bins are kept, their windows, splits and labels."""

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np

from genome_lm.choices import EndPolicy, NPolicy
from genome_lm.dataset.contents import SPLITS
from genome_lm.dataset.coverage import Runs, count_over_bins, members
from genome_lm.dataset.manifest import Manifest
from genome_lm.dataset.regions import DROPPED, Region, assign_splits
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.dataset.summary import BinCounts
from genome_lm.dataset.tracks import Tracks
from genome_lm.dataset.windows import has_unknown, merge_windows, pack_labels
from genome_lm.dataset.writing import Piece
from genome_lm.errors import UserError


class PieceMaker:
    """Turns chromosomes into pieces of the dataset and keeps count."""

    def __init__(
        self,
        settings: PrepareSettings,
        table: Manifest,
        tracks: Tracks,
        regions: Collection[Region],
        excluded: Mapping[str, Runs],
    ) -> None:
        self._settings = settings
        self._selecting = {index for index, track in enumerate(table.tracks) if track.selects_bins}
        self._n_tasks = len(table.tracks)
        self._runs = tracks.runs
        self._regions = regions
        self._excluded = excluded
        self.chromosomes: list[str] = []
        self.windows = [0] * len(SPLITS)
        self.positives = np.zeros((len(SPLITS), self._n_tasks), dtype=np.int64)
        self.bins = BinCounts()
        self.n_bases = 0

    def pieces(self, records: Iterable[tuple[str, np.ndarray]]) -> Iterator[Piece]:
        """Pieces of the chromosomes that have windows, from their names and base codes.

        Raises:
            UserError: at the end, when no chromosome had any.
        """
        for chromosome, codes in records:
            piece = self._piece(chromosome, codes)
            if piece is not None:
                yield piece
        if not self.chromosomes:
            raise UserError(
                f"no window could be made: {self.bins.selected:,} bins with peaks, all dropped; check "
                "that the tracks with selects_bins = 1 have peaks on this genome, and the N policy and "
                "split regions"
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
        positive = {task: members(first, end, bins) for task, (first, end) in runs.items()}
        sequence, offset = merge_windows(codes, starts, settings.window_bp)
        self.chromosomes.append(chromosome)
        self.n_bases += len(sequence)
        for code in range(len(SPLITS)):
            self.windows[code] += int(np.count_nonzero(split == code))
        for task, rows in positive.items():
            self.positives[:, task] += np.bincount(split[rows], minlength=len(SPLITS))
        return Piece(
            chromosome, sequence, offset, starts, split, pack_labels(positive, len(bins), self._n_tasks)
        )

    def _kept_bins(self, chromosome: str, codes: np.ndarray, runs: Mapping[int, Runs]) -> np.ndarray:
        """Numbers of the bins that become windows, before the split; int64, ascending."""
        settings = self._settings
        n_bins = len(codes) // settings.bin_bp
        selecting = [pair for task, pair in runs.items() if task in self._selecting]
        enough = _count(selecting, n_bins) >= settings.min_positives
        bins = self._usable(chromosome, codes, np.flatnonzero(enough))
        self.bins += BinCounts(selected=int(np.count_nonzero(enough)))
        wanted = round(settings.background_per_positive * len(bins))
        if wanted:
            # One generator a chromosome: the draw does not depend on the order of the FASTA's records.
            draw = np.random.default_rng([settings.seed, zlib.crc32(chromosome.encode())])
            candidates = np.flatnonzero(_count(runs.values(), n_bins) == 0)
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
        if settings.end_policy is EndPolicy.drop:
            bins = bins[(starts >= 0) & (starts + settings.window_bp <= len(codes))]
        inside = len(bins)
        starts = bins * settings.bin_bp
        if settings.n_policy is NPolicy.core:
            bins = bins[~has_unknown(codes, starts, settings.bin_bp)]
        elif settings.n_policy is NPolicy.window:
            bins = bins[~has_unknown(codes, starts - settings.flank_bp, settings.window_bp)]
        if counted:
            self.bins += BinCounts(
                blacklisted=before - clean, past_end=clean - inside, unknown_bases=inside - len(bins)
            )
        return bins


def _count(runs: Collection[Runs], n_bins: int) -> np.ndarray:
    """How many tasks are positive in each bin, int32 [n_bins]."""
    nothing = np.empty(0, dtype=np.int32)
    starts = np.concatenate([nothing, *(first for first, _ in runs)])
    ends = np.concatenate([nothing, *(end for _, end in runs)])
    return count_over_bins(starts, ends, n_bins)
