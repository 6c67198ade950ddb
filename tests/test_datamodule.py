"""Batches: the right bases and labels, in an order that the seed alone decides, cut a batch at a time."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genome_lm.dataset.batch import Plan
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.datamodule import EpochSampler, GenomeDataModule, WindowBatches
from genome_lm.dna import reverse_complement
from genome_lm.errors import UserError

TASKS = np.array([0, 3, 20])


def batches_of(dataset: Dataset, **settings) -> GenomeDataModule:
    return GenomeDataModule(
        dataset, TASKS, **({"context_bp": 100, "batch_size": 64, "eval_batch_size": 50} | settings)
    )


def joined(sampler: EpochSampler) -> Plan:
    plans = list(sampler)
    return Plan(
        *(np.concatenate([getattr(plan, name) for plan in plans]) for name in ("window", "shift", "flip"))
    )


def drawn(sampler: EpochSampler, epoch: int) -> Plan:
    sampler.set_epoch(epoch)
    return joined(sampler)


def sampler(batch_size: int = 16, **settings) -> EpochSampler:
    return EpochSampler(
        np.arange(100, 203),
        batch_size,
        **({"shuffle": True, "max_shift_bp": 7, "reverse_complement": True, "seed": 5} | settings),
    )


def same(first: Plan, second: Plan) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("window", "shift", "flip")
    )


@pytest.mark.parametrize("split", ["valid", "test"])
def test_evaluation_batches_are_the_dataset_in_order(small, split):
    loader = getattr(batches_of(small), {"valid": "val", "test": "test"}[split] + "_dataloader")()
    batches = list(loader)
    windows = small.windows_of(split)
    assert [len(batch.codes) for batch in batches[:-1]] == [50] * (len(loader) - 1)
    assert {(batch.codes.dtype, batch.labels.dtype) for batch in batches} == {(torch.uint8, torch.uint8)}
    np.testing.assert_array_equal(np.concatenate([batch.window for batch in batches]), windows)
    np.testing.assert_array_equal(
        np.concatenate([batch.codes for batch in batches]), small.bases(windows, 100)
    )
    np.testing.assert_array_equal(
        np.concatenate([batch.labels for batch in batches]), small.labels(windows, TASKS)
    )


@settings(deadline=None, max_examples=30)
@given(data=st.data(), context=st.sampled_from([1000, 998, 200, 2]))
def test_context_shift_and_strand_by_hand(small, data, context):
    room = (1000 - context) // 2
    n = data.draw(st.integers(1, 6))

    def column(values):
        return np.array(data.draw(st.lists(values, min_size=n, max_size=n)))

    plan = Plan(
        window=column(st.integers(0, small.n_windows - 1)),
        shift=column(st.integers(-room, room)),
        flip=column(st.booleans()),
    )
    batch = WindowBatches(small, TASKS, context)[plan]
    for row in range(n):
        first = small.offset[plan.window[row]] + room + plan.shift[row]
        expected = small.sequence[first : first + context]
        if plan.flip[row]:
            expected = reverse_complement(expected)
        np.testing.assert_array_equal(batch.codes[row], expected)
    np.testing.assert_array_equal(batch.labels, small.labels(plan.window, TASKS))


def test_augmentation_leaves_the_dataset_alone(small):
    before = small.sequence.copy()
    for batch in batches_of(small, reverse_complement=True, max_shift_bp=450).train_dataloader():
        batch.codes.zero_()
    np.testing.assert_array_equal(small.sequence, before)


def test_training_shifts_and_flips_what_it_draws(small):
    """Every batch is that of its plan, and both augmentations happen; without them neither does."""
    module = batches_of(small, max_shift_bp=3, reverse_complement=True, seed=1)
    loader = module.train_dataloader()
    plans = list(loader.sampler)
    for plan, batch in zip(plans, loader, strict=True):
        cut = small.bases(plan.window, 100, plan.shift)
        cut[plan.flip] = reverse_complement(cut[plan.flip])
        np.testing.assert_array_equal(batch.codes, cut)
    every = joined(loader.sampler)
    assert set(every.shift) == set(range(-3, 4))
    assert 0.4 < every.flip.mean() < 0.6
    plain = joined(batches_of(small).train_dataloader().sampler)
    assert not plain.shift.any()
    assert not plain.flip.any()


def test_each_window_once_in_random_order():
    plan = joined(sampler())
    assert not np.array_equal(plan.window, np.arange(100, 203))
    np.testing.assert_array_equal(np.sort(plan.window), np.arange(100, 203))


def test_seed_and_epoch_decide_the_order():
    assert same(drawn(sampler(), 3), drawn(sampler(), 3))
    for other in (drawn(sampler(), 4), drawn(sampler(seed=6), 3)):
        for name in ("window", "shift", "flip"):
            assert not np.array_equal(getattr(drawn(sampler(), 3), name), getattr(other, name))


@pytest.mark.parametrize("batch_size", [1, 10, 103, 1000])
def test_the_draw_does_not_depend_on_the_batch_size(batch_size):
    assert same(joined(sampler(batch_size)), joined(sampler(16)))
    assert len(sampler(batch_size)) == len(list(sampler(batch_size))) == -(-103 // batch_size)


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_ranks_share_each_global_batch(world_size):
    whole = list(sampler())
    shares = [list(sampler(rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert {len(share) for share in shares} == {len(whole)}  # no rank waits for a batch that another lacks
    for step, plan in enumerate(whole):
        mine = [share[step] for share in shares]
        assert same(plan, joined(mine))
        assert np.ptp([len(part.window) for part in mine]) <= 1


def test_a_rest_smaller_than_the_ranks_joins_the_last_batch():
    """103 = 6 * 17 + 1: the one left over would leave a rank without any window."""
    shares = [list(sampler(17, rank=rank, world_size=2)) for rank in range(2)]
    assert [len(plan.window) for plan in shares[0]] == [8] * 5 + [9]
    assert all(len(plan.window) for plan in shares[1])
    together = np.concatenate([joined(share).window for share in shares])
    np.testing.assert_array_equal(np.sort(together), np.arange(100, 203))
    assert len(sampler(17, world_size=2)) == 6
    assert len(sampler(17)) == 7


def test_the_trainer_gives_rank_and_epoch(small):
    module = batches_of(small)
    module.trainer = SimpleNamespace(global_rank=1, world_size=2)
    ours = joined(module.val_dataloader().sampler).window
    assert (module.train_dataloader().sampler.rank, module.train_dataloader().sampler.world_size) == (1, 2)
    module.trainer = SimpleNamespace(global_rank=0, world_size=2)
    theirs = joined(module.val_dataloader().sampler).window
    np.testing.assert_array_equal(np.sort(np.concatenate([ours, theirs])), small.windows_of("valid"))


def test_a_batch_is_fetched_at_once(small, monkeypatch):
    calls = []
    plain = Dataset.bases
    monkeypatch.setattr(
        Dataset,
        "bases",
        lambda self, windows, *rest: calls.append(len(windows)) or plain(self, windows, *rest),
    )
    loader = batches_of(small).train_dataloader()
    sizes = [len(batch.codes) for batch in loader]
    assert calls[2:] == calls[-len(sizes) :] == sizes  # the first two are the check of the shift
    assert len(sizes) == -(-669 // 64)


def test_workers_give_the_same_batches(small):
    one = list(batches_of(small, reverse_complement=True).train_dataloader())
    two = list(batches_of(small, reverse_complement=True, num_workers=1).train_dataloader())
    for first, second in zip(one, two, strict=True):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context_bp": 1002}, "context of 1002 bp does not fit the stored windows of 1000 bp"),
        ({"max_shift_bp": 451}, "shift of 451 bp leaves the stored windows .* choose at most 450"),
        ({"context_bp": 1000, "max_shift_bp": 1}, "choose at most 0"),
        ({"max_shift_bp": -1}, r"data\.max_shift_bp is -1; expected at least 0"),
        ({"batch_size": 0}, r"data\.batch_size is 0; expected at least 1"),
        ({"eval_batch_size": 0}, r"data\.eval_batch_size is 0"),
        ({"num_workers": -1}, r"data\.num_workers is -1"),
    ],
)
def test_settings_that_do_not_fit(small, settings, message):
    with pytest.raises(UserError, match=message):
        batches_of(small, **settings)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_dataset_without_a_split_to_train_on(small, split):
    from dataclasses import replace

    lacking = replace(small, split=np.full_like(small.split, 2 if split == "train" else 0))
    with pytest.raises(UserError, match=f"has no {split} windows; prepare it"):
        batches_of(lacking)
