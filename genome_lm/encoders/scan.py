"""The gated linear recurrence of minimal RNNs over whole sequences, with its gradient.

h_t = (1 - w_t) * h_(t-1) + w_t * c_t with w_t = sigmoid(k_t) is the linear recurrence
h_t = a_t * h_(t-1) + b_t whose weights sum to one. No gate depends on a state, so all gates are known before
the scan, and the gradient is the same recurrence read from the other end:
g_t = dL/dh_t + (1 - w_(t+1)) * g_(t+1). Nothing is divided by a product of weights and no logarithm is taken,
so gates at 0 and 1 and candidates of either sign are safe at any length.
"""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements in a block of steps, 256 kB in float32: the gradient's four buffers fill a core's cache of 1 MB.
_BLOCK_ELEMENTS = 65_536


def gated_scan(
    gates: Tensor, candidates: Tensor, *, reverse: bool = False, in_blocks: bool | None = None
) -> Tensor:
    """States h_t = (1 - w_t) * h_(t-1) + w_t * c_t with w = sigmoid(gates), from a state of zeros.

    Computed in float32, or in float64 if an argument is, whatever autocast says. The gradient needs the two
    arguments and the states, and nothing else is kept. It can be taken once (no second derivatives).

    Args:
        gates: logits of the weights w, float [length, ...], time first.
        candidates: the content c, float, same shape.
        reverse: whether the recurrence runs from the last step to the first.
        in_blocks: one pass over time in blocks of steps that fit a CPU's cache; otherwise two levels of about
            sqrt(length) operations on large pieces, as a GPU wants it. None decides by the device.

    Returns:
        float32 or float64, same shape.

    Raises:
        ValueError: the shapes differ, or there is no step.
    """
    if gates.shape != candidates.shape or gates.ndim == 0 or len(gates) == 0:
        raise ValueError(
            f"gates {list(gates.shape)} and candidates {list(candidates.shape)}; "
            "expected one shape and at least one step"
        )
    if in_blocks is None:
        in_blocks = gates.device.type == "cpu"
    states: Tensor = (_scan_in_blocks if in_blocks else _scan_at_once)(gates, candidates, reverse)
    return states


@torch.compiler.disable  # it unrolls the steps, and cannot rewrite blocks that are written in place
def _scan_in_blocks(gates: Tensor, candidates: Tensor, reverse: bool) -> Tensor:
    states: Tensor = _GatedScan.apply(gates, candidates, reverse, True)
    return states


def _scan_at_once(gates: Tensor, candidates: Tensor, reverse: bool) -> Tensor:
    states: Tensor = _GatedScan.apply(gates, candidates, reverse, False)
    return states


class _GatedScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, candidates: Tensor, reverse: bool, in_blocks: bool) -> Tensor:
        states = (_forward_in_blocks if in_blocks else _forward_at_once)(gates, candidates, reverse)
        ctx.save_for_backward(gates, candidates, states)
        ctx.reverse, ctx.in_blocks = reverse, in_blocks
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        gates, candidates, states = ctx.saved_tensors
        backward = _backward_in_blocks if ctx.in_blocks else _backward_at_once
        gate_grad, candidate_grad = backward(gates, candidates, states, grad, ctx.reverse)
        return gate_grad, candidate_grad, None, None


def _dtype(gates: Tensor, candidates: Tensor) -> torch.dtype:
    return torch.promote_types(torch.promote_types(gates.dtype, candidates.dtype), torch.float32)


def _blocks(states: Tensor, from_the_end: bool) -> list[slice]:
    """Blocks of steps of about `_BLOCK_ELEMENTS`, in the order in which they are computed."""
    size = max(1, _BLOCK_ELEMENTS // max(1, states[0].numel()))
    blocks = [slice(start, min(start + size, len(states))) for start in range(0, len(states), size)]
    return blocks[::-1] if from_the_end else blocks


def _forward_in_blocks(gates: Tensor, candidates: Tensor, reverse: bool) -> Tensor:
    states = gates.new_empty(gates.shape, dtype=_dtype(gates, candidates))
    blocks = _blocks(states, reverse)
    weights, content = _buffers(2, states, blocks)
    weight_rows = weights.unbind()
    previous = torch.zeros_like(states[0])
    for block in blocks:
        _weights(gates[block], out=weights[: _steps(block)])
        new = candidates[block]
        if new.dtype != states.dtype:
            new = content[: _steps(block)].copy_(new)
        rows = list(zip(new.unbind(), weight_rows, states[block].unbind(), strict=False))
        for row, weight, state in reversed(rows) if reverse else rows:
            torch.lerp(previous, row, weight, out=state)
            previous = state
    return states


def _backward_in_blocks(
    gates: Tensor, candidates: Tensor, states: Tensor, grad: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    gate_grad, candidate_grad = torch.empty_like(gates), torch.empty_like(candidates)
    blocks = _blocks(states, not reverse)
    buffers = _buffers(4, states, blocks)
    kept_rows, total_rows = buffers[1].unbind(), buffers[2].unbind()
    carried = torch.zeros_like(states[0])  # what reaches a block through the step after it
    for block in blocks:
        weights, kept, total, change = (buffer[: _steps(block)] for buffer in buffers)
        _weights(gates[block], out=weights)
        torch.sub(1.0, weights, out=kept)
        rows = list(zip(grad[block].unbind(), total_rows, kept_rows, strict=False))
        order = rows if reverse else rows[::-1]
        torch.add(order[0][0], carried, out=order[0][1])
        for (_, after, factor), (gained, here, _) in pairwise(order):
            torch.addcmul(gained, factor, after, out=here)
        torch.mul(*order[-1][1:], out=carried)
        _minus_previous(candidates, states, block, reverse, out=change)
        change.mul_(total)
        torch.ops.aten.sigmoid_backward.grad_input(change, weights, grad_input=change)  # times w (1 - w)
        gate_grad[block] = change
        torch.mul(weights, total, out=candidate_grad[block])
    return gate_grad, candidate_grad


def _buffers(number: int, states: Tensor, blocks: list[slice]) -> Tensor:
    return states.new_empty(number, max(_steps(block) for block in blocks), *states.shape[1:])


def _steps(block: slice) -> int:
    steps: int = block.stop - block.start
    return steps


def _weights(gates: Tensor, out: Tensor) -> None:
    if gates.dtype == out.dtype:
        torch.sigmoid(gates, out=out)
    else:  # the sigmoid itself in the wider type
        out.copy_(gates).sigmoid_()


def _minus_previous(candidates: Tensor, states: Tensor, block: slice, reverse: bool, out: Tensor) -> None:
    """c_t - h_(t-1) over a block, with the state of zeros before the first step."""
    out.copy_(candidates[block])
    if reverse:
        before = states[block.start + 1 : block.stop + 1]
        out[: len(before)].sub_(before)
    else:
        before = states[max(0, block.start - 1) : block.stop - 1]
        out[len(out) - len(before) :].sub_(before)


def _forward_at_once(gates: Tensor, candidates: Tensor, reverse: bool) -> Tensor:
    gates = gates.to(_dtype(gates, candidates))
    return _two_levels(torch.sigmoid(-gates), torch.sigmoid(gates).mul_(candidates), reverse)


def _backward_at_once(
    gates: Tensor, candidates: Tensor, states: Tensor, grad: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    weights = torch.sigmoid(gates.to(states.dtype))
    kept = torch.sigmoid(-gates.to(states.dtype))
    total = _two_levels(_later(kept, reverse), grad.to(states.dtype), not reverse)
    change = (candidates - _later(states, not reverse)).mul_(total)
    gate_grad = change.mul_(weights).mul_(kept)
    return gate_grad.to(gates.dtype), weights.mul_(total).to(candidates.dtype)


def _later(values: Tensor, reverse: bool) -> Tensor:
    """Values of the step that is read next, and zeros at the end."""
    edge = torch.zeros_like(values[:1])
    return torch.cat([edge, values[:-1]]) if reverse else torch.cat([values[1:], edge])


def _two_levels(factors: Tensor, terms: Tensor, reverse: bool) -> Tensor:
    """h_t = factors_t * h_(t-1) + terms_t: all pieces of the sequence side by side, then their joints.

    A piece is solved from a state of zeros, with the product of its factors beside it; what the state before
    the piece adds is that product times the state.
    """
    length = len(terms)
    size = max(1, math.isqrt(length))
    pieces = -(-length // size)
    rest = [0, 0] * (terms.ndim - 1) + [0, pieces * size - length]
    shape = (pieces, size, *terms.shape[1:])
    factors = torch.nn.functional.pad(factors, rest).view(shape)
    terms = torch.nn.functional.pad(terms, rest).view(shape)
    states, products = torch.empty_like(terms), torch.empty_like(terms)
    order = range(size)[::-1] if reverse else range(size)
    states[:, order[0]], products[:, order[0]] = terms[:, order[0]], factors[:, order[0]]
    for before, here in pairwise(order):
        torch.addcmul(terms[:, here], factors[:, here], states[:, before], out=states[:, here])
        torch.mul(factors[:, here], products[:, before], out=products[:, here])
    joints = range(pieces)[::-1] if reverse else range(pieces)
    ends = torch.zeros_like(terms[:, 0])  # the state before each piece
    for before, here in pairwise(joints):
        last = order[-1]
        torch.addcmul(states[before, last], products[before, last], ends[before], out=ends[here])
    states.addcmul_(products, ends[:, None])
    return states.view(-1, *terms.shape[2:])[:length]
