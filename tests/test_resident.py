"""A dataset on the device gives bit for bit the batches of the host, and asks the host for nothing."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_run import TINY, run_command, run_folders

from genome_lm.checkpoint import read_checkpoint
from genome_lm.choices import Resident
from genome_lm.dataset import resident as resident_module
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.resident import ResidentBatches, ResidentWindows, resident_bytes, stays_resident
from genome_lm.errors import UserError

CPU = torch.device("cpu")


def batches_of(dataset, resident: Resident, tasks=None, rank=0, world_size=1, **settings):
    module = GenomeDataModule(
        dataset,
        np.arange(len(dataset.tasks)) if tasks is None else np.array(tasks),
        resident=resident,
        **({"context_bp": 100, "batch_size": 64, "eval_batch_size": 50} | settings),
    )
    module.trainer = SimpleNamespace(
        global_rank=rank, world_size=world_size, strategy=SimpleNamespace(root_device=CPU)
    )
    return module


def loaders(module: GenomeDataModule):
    return {
        "train": module.train_dataloader(),
        "valid": module.val_dataloader(),
        "test": module.test_dataloader(),
    }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"context_bp": 101, "max_shift_bp": 40, "reverse_complement": True, "tasks": [20, 3, 8, 7]},
        {"context_bp": 920, "max_shift_bp": 40, "batch_size": 67, "rank": 1, "world_size": 3},
        {"context_bp": 1000, "reverse_complement": True, "tasks": [0], "seed": 9, "train_windows": True},
    ],
)
def test_batches_are_those_of_the_host_bit_for_bit(small, settings):
    if settings.pop("train_windows", False):
        settings["train_windows"] = small.windows_of("train")[5:400:3]
    host = loaders(batches_of(small, Resident.never, **settings))
    device = loaders(batches_of(small, Resident.always, **settings))
    n_flipped = 0
    for split in host:
        assert isinstance(device[split], ResidentBatches)
        assert len(device[split]) == len(host[split])
        for epoch in (0, 3):
            for loader in (host[split], device[split]):
                loader.sampler.set_epoch(epoch)
            for expected, found in zip(host[split], device[split], strict=True):
                for one, other in zip(expected, found, strict=True):
                    assert one.dtype == other.dtype
                    assert torch.equal(one, other)
            n_flipped += sum(int(plan.flip.sum()) for plan in host[split].sampler)
    assert bool(n_flipped) == bool(settings.get("reverse_complement"))


def test_copies_in_blocks_and_of_arrays_that_cannot_be_written(small, monkeypatch, tmp_path):
    """As of a dataset that is mapped from its file."""
    monkeypatch.setattr(resident_module, "_BLOCK_BYTES", 1000)
    path = tmp_path / "sequence.raw"
    small.sequence.tofile(path)
    mapped = replace(small, sequence=np.memmap(path, dtype=np.uint8, mode="r"))
    windows = ResidentWindows(mapped, CPU)
    np.testing.assert_array_equal(windows.sequence, small.sequence)
    np.testing.assert_array_equal(windows.packed_labels, small.packed_labels)
    np.testing.assert_array_equal(windows.offset, small.offset)
    held = (windows.sequence, windows.packed_labels, windows.offset)
    assert sum(each.nbytes for each in held) == resident_bytes(small)


def test_batches_do_not_share_memory_with_the_data(small):
    module = batches_of(small, Resident.always)
    before = module.resident_windows().sequence.clone()
    for batch in module.val_dataloader():
        batch.codes.zero_()
    assert torch.equal(module.resident_windows().sequence, before)


def test_where_a_dataset_is_to_lie(small, monkeypatch):
    """A GPU is told by its type alone; its free memory is what the driver says."""
    gpu, needed = torch.device("cuda", 0), resident_bytes(small)
    free = {"bytes": 2 * needed}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free["bytes"], 10 * needed))
    assert stays_resident(Resident.auto, small, gpu)
    assert not stays_resident(Resident.auto, small, CPU)
    assert stays_resident(Resident.always, small, CPU)
    assert not stays_resident(Resident.never, small, gpu)
    free["bytes"] = 2 * needed - 1
    assert not stays_resident(Resident.auto, small, gpu)
    free["bytes"] = needed - 1
    with pytest.raises(
        UserError, match=r"data\.resident is always, but .* MiB free; use data\.resident=auto"
    ):
        ResidentWindows(small, gpu)


def test_decided_once(small, monkeypatch):
    """The memory that training takes must not turn validation back to the host."""
    module = batches_of(small, Resident.always)
    first = module.resident_windows()
    module.resident = Resident.never
    assert module.resident_windows() is first


def test_nothing_is_read_back_from_the_device(small):
    """Tensors of the meta device have no values: whatever asks for one fails."""
    windows = ResidentWindows(small, torch.device("meta"))
    sampler = (
        batches_of(small, Resident.never, max_shift_bp=5, reverse_complement=True).train_dataloader().sampler
    )
    loader = ResidentBatches(windows, sampler, np.array([0, 7, 20]), 100, augmented=True)
    sizes = [tuple(tuple(each.shape) for each in batch) for batch in loader]
    assert sizes[0] == ((64, 100), (64, 3), (64,))
    assert len(sizes) == len(sampler)


def test_a_training_is_the_same_however_its_batches_are_loaded(small_file, tmp_path):
    """Dropout included: a loader must not draw from the generator of the masks."""
    weights = []
    for number, how in enumerate(("data.num_workers=0", "data.num_workers=1", "data.resident=always")):
        runs = tmp_path / str(number)
        dropped = ("head.dropout=0.5", f"data.path={small_file}", f"runs_dir={runs}")
        assert run_command("train", *TINY, *dropped, how) == 0
        (folder,) = run_folders(runs)
        weights.append(read_checkpoint(folder / "checkpoints" / "last.ckpt").weights)
    for others in weights[1:]:
        assert all(torch.equal(value, weights[0][name]) for name, value in others.items())
