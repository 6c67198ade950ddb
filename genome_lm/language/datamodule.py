"""Stretches of sequence for Lightning: whole batches at once, in an order that the seed alone decides."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from genome_lm.dataset.batch import Plan
from genome_lm.dataset.datamodule import EpochSampler
from genome_lm.dataset.position import ResumableLoading
from genome_lm.dna import reverse_complement
from genome_lm.errors import UserError
from genome_lm.language.sequence import Segments, SplitSequence


class StretchBatch(NamedTuple):
    """Base codes, uint8 [batch, stretch_bp]."""

    codes: Tensor


class Stretches(TorchDataset[StretchBatch]):
    """Turns a plan of stretches into their bases.

    Args:
        segments: where the stretches lie.
        starts: of the stretches, int64, each inside of one segment.
        stretch_bp: their length.
    """

    def __init__(self, segments: Segments, starts: np.ndarray, stretch_bp: int) -> None:
        self.starts = starts
        holder = np.searchsorted(segments.start, starts, side="right") - 1
        self.first, self.last = segments.start[holder], segments.end[holder] - stretch_bp
        self.bases = np.lib.stride_tricks.sliding_window_view(segments.codes, stretch_bp)

    def __getitem__(self, plan: Plan) -> StretchBatch:
        """The stretches of a plan; one that its shift moves out of its segment stops at the segment's end."""
        moved = self.starts[plan.window] + plan.shift
        codes = self.bases[np.clip(moved, self.first[plan.window], self.last[plan.window])]
        if plan.flip.any():
            codes[plan.flip] = reverse_complement(codes[plan.flip])
        return StretchBatch(torch.from_numpy(codes))


def tiled(segments: Segments, stretch_bp: int) -> np.ndarray:
    """Starts of stretches side by side from each segment's start, int64; no base is in two.

    What is left at a segment's end and shorter than a stretch is left out.
    """
    pieces = (segments.end - segments.start) // stretch_bp
    return np.repeat(segments.start, pieces) + _counted(pieces) * stretch_bp


def spread(segments: Segments, stretch_bp: int) -> np.ndarray:
    """Starts of as few stretches as cover every base of each segment, evenly spaced, int64."""
    lengths = segments.end - segments.start
    pieces = -(-lengths // stretch_bp)
    room = np.repeat(lengths - stretch_bp, pieces)
    return np.repeat(segments.start, pieces) + _counted(pieces) * room // np.maximum(
        np.repeat(pieces, pieces) - 1, 1
    )


def _counted(pieces: np.ndarray) -> np.ndarray:
    """0 to n - 1 for each n of `pieces`, one after the other."""
    return np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)


class LanguageDataModule(ResumableLoading):
    """Stretches of training, validation and test sequence.

    An epoch reads as many stretches as cover the training sequence once, in random order, each moved by up to
    half a stretch either way, so that every epoch cuts the sequence at other places. Validation and test
    stretches lie side by side and never change.

    Args:
        sequence: bases by split.
        stretch_bp: bases of a stretch.
        batch_size: stretches of a training batch, over all ranks.
        eval_batch_size: of a validation or test batch.
        reverse_complement: whether training stretches are read from either strand.
        num_workers: loader processes.
        seed: of order, shifts and strands.

    Raises:
        UserError: a number is out of range.
    """

    def __init__(
        self,
        sequence: SplitSequence,
        stretch_bp: int,
        *,
        batch_size: int,
        eval_batch_size: int,
        reverse_complement: bool = False,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("num_workers", num_workers, 0),
        ):
            if value < least:
                raise UserError(f"data.{name} is {value}; expected at least {least}")
        self.sequence = sequence
        self.stretch_bp = stretch_bp
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.augment_strand = reverse_complement
        self.num_workers = num_workers
        self.seed = seed

    def _loader(self, split: str, starts: np.ndarray, sampler: EpochSampler) -> DataLoader[StretchBatch]:
        return DataLoader(
            Stretches(self.sequence.splits[split], starts, self.stretch_bp),
            sampler=sampler,
            batch_size=None,  # a plan is a batch already
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Its own: the number that it draws for each iterator must not move the draws of dropout.
            generator=torch.Generator(),
        )

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def evaluation_starts(self, split: str) -> np.ndarray:
        """Starts of the stretches of a validation or test epoch, int64."""
        return tiled(self.sequence.splits[split], self.stretch_bp)

    def evaluation_loader(self, split: str) -> DataLoader[StretchBatch]:
        """Batches of the stretches that lie side by side in `split`."""
        rank, world_size = self._rank()
        starts = self.evaluation_starts(split)
        sampler = EpochSampler(np.arange(len(starts)), self.eval_batch_size, rank=rank, world_size=world_size)
        return self._loader(split, starts, sampler)

    def train_dataloader(self) -> DataLoader[StretchBatch]:
        """Shuffled stretches of the training sequence, each epoch at other places."""
        rank, world_size = self._rank()
        starts = spread(self.sequence.splits["train"], self.stretch_bp)
        sampler = EpochSampler(
            np.arange(len(starts)),
            self.batch_size,
            shuffle=True,
            max_shift_bp=self.stretch_bp // 2,
            reverse_complement=self.augment_strand,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            epoch=self.first_epoch,
            first_batch=self.first_batch,
        )
        return self._loader("train", starts, sampler)

    def val_dataloader(self) -> DataLoader[StretchBatch]:
        """Validation stretches in their order."""
        return self.evaluation_loader("valid")
