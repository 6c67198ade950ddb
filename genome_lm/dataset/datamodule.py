"""Batches for Lightning: whole batches at once, drawn in an order that the seed alone decides."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from genome_lm.choices import Resident
from genome_lm.dataset.batch import Batch, Plan
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.position import ResumableLoading
from genome_lm.dataset.resident import ResidentBatches, ResidentWindows, stays_resident
from genome_lm.dna import reverse_complement
from genome_lm.errors import UserError


class EpochSampler(Sampler[Plan]):
    """Batch plans of one epoch.

    Order, shifts and strands of an epoch are drawn at once, per example, from a generator seeded by (seed,
    epoch): they depend neither on the batch size, nor on the number of workers or ranks, and any epoch can
    be repeated. With several ranks every rank takes its share of each global batch.

    Args:
        windows: dataset indices, int64 [n].
        batch_size: examples of a global batch, at least `world_size`; the last one may be smaller.
        shuffle: whether the order is random.
        max_shift_bp: shifts are drawn uniformly from [-max_shift_bp, max_shift_bp].
        reverse_complement: whether each example is flipped with probability 1/2.
        seed: of the generator.
        rank, world_size: this process's number and the number of processes.
        epoch: to draw first.
        first_batch: of that epoch, where a resumed training goes on; later ones are drawn whole.
    """

    def __init__(
        self,
        windows: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool = False,
        max_shift_bp: int = 0,
        reverse_complement: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        epoch: int = 0,
        first_batch: int = 0,
    ) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.max_shift_bp = max_shift_bp
        self.reverse_complement = reverse_complement
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = epoch
        self._resumed = (epoch, first_batch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch to draw next; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._starts())

    def _starts(self) -> list[int]:
        """Where the global batches start. A rest too small to give each rank a window joins the last one."""
        starts = list(range(0, len(self.windows), self.batch_size))
        if len(starts) > 1 and len(self.windows) - starts[-1] < self.world_size:
            starts.pop()
        return starts

    def __iter__(self) -> Iterator[Plan]:
        generator = np.random.default_rng([self.seed, self.epoch])
        n = len(self.windows)
        order = generator.permutation(n) if self.shuffle else np.arange(n)
        shift = (
            generator.integers(-self.max_shift_bp, self.max_shift_bp, size=n, endpoint=True)
            if self.max_shift_bp
            else np.zeros(n, dtype=np.int64)
        )
        flip = generator.random(n) < 0.5 if self.reverse_complement else np.zeros(n, dtype=bool)
        starts = self._starts()
        epoch, first_batch = self._resumed
        spans = list(zip(starts, [*starts[1:], n], strict=True))
        for first, end in spans[first_batch if self.epoch == epoch else 0 :]:
            size = end - first
            mine = slice(
                first + size * self.rank // self.world_size,
                first + size * (self.rank + 1) // self.world_size,
            )
            yield Plan(window=self.windows[order[mine]], shift=shift[mine], flip=flip[mine])


class WindowBatches(TorchDataset[Batch]):
    """Turns a plan into a batch with a handful of array operations, whatever its size.

    Args:
        dataset: the open dataset.
        tasks: indices of the tasks whose labels are given, int64.
        context_bp: the middle of each window that is given.
    """

    def __init__(self, dataset: Dataset, tasks: np.ndarray, context_bp: int) -> None:
        self.dataset = dataset
        self.tasks = tasks
        self.context_bp = context_bp

    def __getitem__(self, plan: Plan) -> Batch:
        codes = self.dataset.bases(plan.window, self.context_bp, plan.shift)
        if plan.flip.any():
            codes[plan.flip] = reverse_complement(codes[plan.flip])
        labels = self.dataset.labels(plan.window, self.tasks)
        return Batch(torch.from_numpy(codes), torch.from_numpy(labels), torch.from_numpy(plan.window))


class GenomeDataModule(ResumableLoading):
    """Train, validation and test batches of one dataset file.

    Args:
        dataset: the open dataset.
        tasks: indices of the tasks to give labels of, int64, from `choose_tasks`.
        context_bp: bases of each window to give, its middle.
        batch_size: windows of a training batch, over all ranks.
        eval_batch_size: windows of a validation, test or prediction batch.
        max_shift_bp: training windows are shifted by up to this many bases.
        reverse_complement: whether training windows are read from either strand.
        num_workers: loader processes; 0 loads in the main process, which is fast enough (see
            `benchmarks/loader.py`).
        seed: of order and augmentation.
        train_windows: dataset indices of the windows to train on, int64, from `training_windows`; None for
            all of the training split.
        resident: whether the dataset lies on the trainer's device and batches are cut there; `num_workers`
            does not count then.

    Raises:
        UserError: the context or the shift does not fit the stored windows, or a number is out of range.
    """

    def __init__(
        self,
        dataset: Dataset,
        tasks: np.ndarray,
        *,
        context_bp: int,
        batch_size: int,
        eval_batch_size: int,
        max_shift_bp: int = 0,
        reverse_complement: bool = False,
        num_workers: int = 0,
        seed: int = 0,
        train_windows: np.ndarray | None = None,
        resident: Resident = Resident.never,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("max_shift_bp", max_shift_bp, 0),
            ("num_workers", num_workers, 0),
        ):
            if value < least:
                raise UserError(f"data.{name} is {value}; expected at least {least}")
        for split in ("train", "valid"):
            if not len(dataset.windows_of(split)):
                raise UserError(
                    f"dataset {dataset.path} has no {split} windows; prepare it with such a split"
                )
        # Drawing one window each way shows at once, and not in mid-epoch, whether the slices exist.
        for shift in (-max_shift_bp, max_shift_bp):
            dataset.bases(np.zeros(1, dtype=np.int64), context_bp, shift)
        self.dataset = dataset
        self.tasks = tasks
        self.context_bp = context_bp
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.max_shift_bp = max_shift_bp
        self.augment_strand = reverse_complement
        self.num_workers = num_workers
        self.seed = seed
        self.train_windows = dataset.windows_of("train") if train_windows is None else train_windows
        self.resident = resident
        self._placed: tuple[torch.device, ResidentWindows | None] | None = None

    def resident_windows(self) -> ResidentWindows | None:
        """The dataset on the trainer's device, copied at the first call; None where it stays with the host.

        Decided once a device: training and validation batches are of one kind, however little memory is left.

        Raises:
            UserError: it must lie on the device and does not fit.
        """
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self._placed is None or self._placed[0] != device:
            resident = stays_resident(self.resident, self.dataset, device)
            self._placed = device, ResidentWindows(self.dataset, device) if resident else None
        return self._placed[1]

    def _loader(self, sampler: EpochSampler) -> DataLoader[Batch] | ResidentBatches:
        windows = None if self.resident is Resident.never else self.resident_windows()
        if windows is not None:
            augmented = sampler.max_shift_bp > 0 or sampler.reverse_complement
            return ResidentBatches(windows, sampler, self.tasks, self.context_bp, augmented=augmented)
        return DataLoader(
            WindowBatches(self.dataset, self.tasks, self.context_bp),
            sampler=sampler,
            batch_size=None,  # a plan is a batch already
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Its own: the number that it draws for each iterator must not move the draws of dropout.
            generator=torch.Generator(),
        )

    def _evaluation_loader(self, split: str) -> DataLoader[Batch] | ResidentBatches:
        rank, world_size = self._rank()
        return self._loader(
            EpochSampler(
                self.dataset.windows_of(split), self.eval_batch_size, rank=rank, world_size=world_size
            )
        )

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def train_dataloader(self) -> DataLoader[Batch] | ResidentBatches:
        """Shuffled, augmented batches of the training split."""
        rank, world_size = self._rank()
        return self._loader(
            EpochSampler(
                self.train_windows,
                self.batch_size,
                shuffle=True,
                max_shift_bp=self.max_shift_bp,
                reverse_complement=self.augment_strand,
                seed=self.seed,
                rank=rank,
                world_size=world_size,
                epoch=self.first_epoch,
                first_batch=self.first_batch,
            )
        )

    def val_dataloader(self) -> DataLoader[Batch] | ResidentBatches:
        """Validation batches in dataset order, without augmentation."""
        return self._evaluation_loader("valid")

    def test_dataloader(self) -> DataLoader[Batch] | ResidentBatches:
        """Test batches in dataset order, without augmentation."""
        return self._evaluation_loader("test")
