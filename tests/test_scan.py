"""The gated scan against its recurrence, step by step: any length, both directions, gates at the extremes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genome_lm.encoders import scan
from genome_lm.encoders.scan import gated_scan

BOTH_WAYS = pytest.mark.parametrize("in_blocks", [True, False], ids=["in blocks", "at once"])
DIRECTIONS = pytest.mark.parametrize("reverse", [False, True], ids=["ahead", "back"])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of a few steps, so that short sequences have several."""
    monkeypatch.setattr(scan, "_BLOCK_ELEMENTS", 40)


def by_steps(gates: Tensor, candidates: Tensor, reverse: bool = False) -> Tensor:
    """The recurrence as it is written, differentiated by autograd."""
    weights, state = torch.sigmoid(gates), torch.zeros_like(candidates[0])
    kept = torch.sigmoid(-gates)
    states = {}
    for step in range(len(gates))[::-1] if reverse else range(len(gates)):
        state = kept[step] * state + weights[step] * candidates[step]
        states[step] = state
    return torch.stack([states[step] for step in range(len(gates))])


def drawn(length: int, *shape: int, dtype: torch.dtype = torch.float64, scale: float = 3.0):
    torch.manual_seed(length)
    gates = torch.randn(length, *shape, dtype=torch.float64) * scale
    candidates = torch.randn(length, *shape, dtype=torch.float64)
    return gates.to(dtype).requires_grad_(), candidates.to(dtype).requires_grad_()


def with_gradients(states: Tensor, *arguments: Tensor) -> tuple[Tensor, ...]:
    """The states and the gradients of a random sum of them."""
    weight = torch.randn(states.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return states, *torch.autograd.grad((states * weight.to(states)).sum(), arguments)


def test_three_steps_by_hand():
    """Weights 1/2: half of what was there is kept at each step."""
    candidates = torch.tensor([[8.0], [4.0], [2.0]])
    for in_blocks in (True, False):
        ahead = gated_scan(torch.zeros(3, 1), candidates, in_blocks=in_blocks)
        assert ahead.flatten().tolist() == [4.0, 4.0, 3.0]
        back = gated_scan(torch.zeros(3, 1), candidates, reverse=True, in_blocks=in_blocks)
        assert back.flatten().tolist() == [5.25, 2.5, 1.0]


@BOTH_WAYS
@DIRECTIONS
@pytest.mark.parametrize("length", [1, 2, 3, 7, 16, 17, 100])
def test_states_and_gradients_are_those_of_the_recurrence(length, reverse, in_blocks):
    gates, candidates = drawn(length, 3, 4)
    expected = with_gradients(by_steps(gates, candidates, reverse), gates, candidates)
    found = gated_scan(gates, candidates, reverse=reverse, in_blocks=in_blocks)
    torch.testing.assert_close(with_gradients(found, gates, candidates), expected, rtol=1e-10, atol=1e-12)


@BOTH_WAYS
@DIRECTIONS
def test_gradcheck(reverse, in_blocks):
    gates, candidates = drawn(11, 2, 3)

    def of(gates, candidates):
        return gated_scan(gates, candidates, reverse=reverse, in_blocks=in_blocks)

    assert torch.autograd.gradcheck(of, (gates, candidates))


@BOTH_WAYS
@DIRECTIONS
def test_float32_over_4096_steps(reverse, in_blocks):
    """Within 1e-5 of float64, gradients relative to their largest: errors do not grow with the length."""
    gates, candidates = drawn(4096, 2, 5, scale=4.0)
    expected = with_gradients(by_steps(gates, candidates, reverse), gates, candidates)
    narrow = [each.detach().float().requires_grad_() for each in (gates, candidates)]
    found = gated_scan(*narrow, reverse=reverse, in_blocks=in_blocks)
    assert found.dtype == torch.float32
    for here, there in zip(with_gradients(found, *narrow), expected, strict=True):
        assert (here.double() - there).abs().max() <= 1e-5 * there.abs().max()


@BOTH_WAYS
@pytest.mark.parametrize("level", [-1e4, -60.0, 60.0, 1e4])
def test_gates_at_the_extremes(level, in_blocks):
    """Weights that are 0 or 1 in float32 for 4,096 steps: nothing is lost, and nothing is not a number."""
    gates = torch.full((4096, 3), level, requires_grad=True)
    candidates = (torch.randn(4096, 3) - 5).requires_grad_()
    states = gated_scan(gates, candidates, in_blocks=in_blocks)
    states.sum().backward()
    assert gates.grad.isfinite().all()
    if level > 0:  # the newest content alone
        torch.testing.assert_close(states, candidates)
        torch.testing.assert_close(candidates.grad, torch.ones_like(candidates))
    else:  # nothing is ever taken in
        assert states.abs().max() < 1e-20
        assert candidates.grad.abs().max() < 1e-20


@BOTH_WAYS
def test_gates_that_go_from_one_extreme_to_the_other(in_blocks):
    """One step takes its content in for good; all others keep it."""
    gates = torch.full((4096, 1), -200.0)
    gates[7] = 200.0
    candidates = torch.randn(4096, 1)
    states = gated_scan(gates, candidates, in_blocks=in_blocks)
    assert not states[:7].any()
    torch.testing.assert_close(states[7:], candidates[7].expand(4089, 1), rtol=0, atol=0)


@BOTH_WAYS
def test_a_long_memory_keeps_its_content(in_blocks):
    """Weights of 1/10,000 on a constant: 1 - (1 - 1/10,000)^t, to 1e-4 after 4,096 steps."""
    gates = torch.full((4096, 1), -torch.tensor(9999.0).log().item())
    states = gated_scan(gates, torch.ones(4096, 1), in_blocks=in_blocks)
    expected = 1 - (1 - 1e-4) ** torch.arange(1, 4097, dtype=torch.float64)
    torch.testing.assert_close(states[:, 0].double(), expected, rtol=1e-4, atol=0)


@BOTH_WAYS
@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
def test_narrow_arguments_are_scanned_in_float32(narrow, in_blocks):
    """Gates and candidates as autocast delivers them: the scan itself adds no rounding of its own."""
    gates, candidates = drawn(300, 2, 3, dtype=narrow)
    wide = [each.detach().float().requires_grad_() for each in (gates, candidates)]
    expected = with_gradients(gated_scan(*wide, in_blocks=in_blocks), *wide)
    with torch.autocast("cpu", torch.bfloat16):
        found = with_gradients(gated_scan(gates, candidates, in_blocks=in_blocks), gates, candidates)
    assert [each.dtype for each in found] == [torch.float32, narrow, narrow]
    torch.testing.assert_close(found[0], expected[0])
    for here, there in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(here, there.to(narrow))


@BOTH_WAYS
def test_views_that_are_not_contiguous(in_blocks):
    gates, candidates = drawn(20, 6)
    both = torch.cat([gates, candidates], dim=1).detach()
    found = gated_scan(both[:, :6], both[:, 6:], in_blocks=in_blocks)
    torch.testing.assert_close(found, by_steps(gates, candidates).detach())


@settings(deadline=None, max_examples=50)  # the first example pays for torch's start
@given(length=st.integers(1, 70), width=st.integers(1, 50), reverse=st.booleans(), scale=st.floats(0.0, 50.0))
def test_both_ways_agree(length, width, reverse, scale):
    gates, candidates = drawn(length, width, scale=scale)
    blocks, once = (
        with_gradients(gated_scan(gates, candidates, reverse=reverse, in_blocks=way), gates, candidates)
        for way in (True, False)
    )
    torch.testing.assert_close(blocks, once)


def test_a_state_lies_between_the_candidates_so_far():
    gates, candidates = drawn(200, 4)
    states = gated_scan(gates, candidates)
    highest = candidates.clamp(min=0).cummax(dim=0).values  # the state before the first step is 0
    assert (states <= highest + 1e-12).all()


@pytest.mark.parametrize("shapes", [((3, 2), (3, 1)), ((0, 2), (0, 2)), ((), ())])
def test_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="expected one shape and at least one step"):
        gated_scan(*(torch.zeros(shape) for shape in shapes))
