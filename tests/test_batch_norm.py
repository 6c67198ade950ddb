"""Batch normalisation and means over two ranks of unequal shares are those of one process."""

import multiprocessing
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from genome_lm.batch_norm import BatchNorm
from genome_lm.collectives import from_first, mean_over_ranks
from genome_lm.errors import UserError
from genome_lm.ranks.group import check_agreement

SHARES = (slice(0, 1), slice(1, None))  # a rank with a single example has no spread of its own
SHAPES = {"vectors": (5, 3), "sequences": (5, 3, 4)}


def trained_norm(shape: tuple[int, ...], momentum: float | None, part: slice) -> dict[str, torch.Tensor]:
    """Two steps on the examples of `part`: outputs, gradients and buffers."""
    generator = torch.Generator().manual_seed(1)
    norm = BatchNorm(shape[1], momentum=momentum)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(shape[1], generator=generator) + 0.5)
        norm.bias.copy_(torch.randn(shape[1], generator=generator))
    found = {}
    for step in range(2):
        # A mean far from 0, against which a sum of squares would cancel.
        values = (torch.randn(shape, generator=generator) + 100)[part].requires_grad_()
        target = torch.randn(shape, generator=generator)[part]
        output = norm(values)
        (output * target).sum().backward()
        found[f"output {step}"], found[f"gradient {step}"] = output.detach(), values.grad
    found["weight"], found["bias"] = norm.weight.grad, norm.bias.grad
    return found | {name: each.clone() for name, each in norm.named_buffers()}


def seen_by_rank(rank: int) -> dict[str, object]:
    part = SHARES[rank]
    found: dict[str, object] = {
        f"{name} {momentum}": trained_norm(shape, momentum, part)
        for name, shape in SHAPES.items()
        for momentum in (0.1, None)
    }
    losses = torch.arange(1.0, 6.0)[part].requires_grad_()
    mean = mean_over_ranks(losses.square().mean(), len(losses))
    mean.backward()
    found["mean"], found["gradient"] = mean.detach(), losses.grad
    # The second rank has nothing to count, or a loss that is no number.
    found["without"] = mean_over_ranks(torch.tensor(2.0 * (1 - rank)), 3 * (1 - rank))
    found["nan"] = mean_over_ranks(torch.tensor((1.0, torch.nan)[rank]), 2)
    found["first"] = from_first(f"of rank {rank}")
    check_agreement({"seed": 1, "model": {"width": 2}})
    try:
        check_agreement({"seed": 1, "model": {"width": 2 + rank}})
    except UserError as error:
        found["disagreement"] = str(error)
    return found


def take_part(rank: int, folder: Path) -> None:
    dist.init_process_group(
        "gloo", f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    try:
        torch.save(seen_by_rank(rank), folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks() -> list[dict]:
    """What two ranks have seen: this process and a fresh one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        other = multiprocessing.get_context("spawn").Process(target=take_part, args=(1, folder))
        other.start()
        take_part(0, folder)
        other.join(120)
        assert other.exitcode == 0
        return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("name", SHAPES)
def test_two_ranks_normalise_as_one_process(ranks, name, momentum):
    expected = trained_norm(SHAPES[name], momentum, slice(None))
    own = [rank[f"{name} {momentum}"] for rank in ranks]
    for key, value in expected.items():
        if key.startswith(("output", "gradient")):
            found = torch.cat([each[key] for each in own])
        elif key in ("weight", "bias"):
            found = own[0][key] + own[1][key]
        else:
            found = own[0][key]
            assert torch.equal(found, own[1][key]), key
        torch.testing.assert_close(
            found, value, rtol=1e-4, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}"
        )


def test_the_mean_is_over_all_examples_and_so_is_the_average_gradient(ranks):
    whole = torch.arange(1.0, 6.0).requires_grad_()
    whole.square().mean().backward()
    for rank, part in zip(ranks, SHARES, strict=True):
        assert rank["mean"] == whole.square().mean()
        torch.testing.assert_close(rank["gradient"] / 2, whole.grad[part])  # the ranks' average is taken
        assert rank["without"] == 2
        assert rank["nan"].isnan()


def test_ranks_take_what_the_first_says(ranks):
    assert [rank["first"] for rank in ranks] == ["of rank 0", "of rank 0"]


def test_ranks_that_were_told_different_things_refuse(ranks):
    for rank in ranks:
        assert rank["disagreement"].startswith("model.width is 3 on rank 1 and 2 on rank 0")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_one_process_has_the_results_of_torch_to_the_bit(shape):
    ours, theirs = BatchNorm(3), torch.nn.BatchNorm1d(3)
    theirs.load_state_dict(ours.state_dict())
    for _ in range(2):
        values = torch.randn(shape)
        assert torch.equal(ours(values), theirs(values))
    ours.eval(), theirs.eval()
    assert torch.equal(ours(values), theirs(values))
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_a_single_vector_takes_the_running_statistics():
    norm = BatchNorm(3)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    norm.running_var.fill_(4.0)
    torch.testing.assert_close(norm(torch.tensor([[3.0, 2.0, 1.0]])), torch.tensor([[1.0, 0.0, -1.0]]))
    assert norm.num_batches_tracked == 0
