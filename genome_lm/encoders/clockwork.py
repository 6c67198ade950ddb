"""Clockwork recurrences: modules of units, each of which ticks with a period of its own."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from genome_lm.encoders.base import CausalStates, Encoder
from genome_lm.encoders.checks import check_sizes
from genome_lm.errors import UserError

Connectivity = Literal["slower", "faster", "full", "diagonal"]


class ClockworkEncoder(Encoder):
    """Clockwork RNN of Koutnik, Greff, Gomez and Schmidhuber (2014, arXiv 1402.3511).

    The units form modules, sorted by period. Module i computes a new state at the steps t with
    t mod T_i = 0 and keeps its state at all others (their equations 1 to 4, with tanh):

        h_i[t] = tanh(W_i x[t] + sum over j of R_ij h_j[t - 1] + b_i)

    The paper does not say which number the first step has; as in the authors' later code (IDSIA, brainstorm)
    it is 0 here, so that all modules tick at the first token, from states of zero. A backward direction
    counts its own steps: its clock starts at the last token.

    From which modules j a module receives is the `connectivity`:
        slower: itself and those of longer periods, as in the paper (R is block-upper-triangular);
        faster: itself and those of shorter periods;
        full: all modules;
        diagonal: itself only.
    Weights of other blocks do not exist. A module that does not tick costs nothing: it has no row in the
    products of that step, and inputs are projected for the modules that tick only.

    Args:
        input_width: features per token.
        module_size: units of a module.
        num_modules: modules.
        periods: one period a module, ascending, the first of them 1 so that every token is read; None for
            1, 2, 4, ..., 2^(num_modules - 1).
        connectivity: which modules a module receives from.
        bidirectional: whether a second recurrence reads from the end; the states are concatenated.

    Raises:
        UserError: an argument is out of range. A sequence no longer than the longest period is refused by
            `forward`: its slowest module would tick once and never again (`min_length`).
    """

    def __init__(
        self,
        input_width: int,
        module_size: int = 16,
        num_modules: int = 5,
        periods: list[int] | None = None,
        connectivity: Connectivity = "slower",
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        check_sizes({"module_size": module_size, "num_modules": num_modules})
        chosen = _checked_periods(periods, num_modules)
        if connectivity not in ("slower", "faster", "full", "diagonal"):
            raise UserError(
                f"model.encoder.connectivity is {connectivity!r}; expected slower, faster, full or diagonal"
            )
        self.min_length = chosen[-1] + 1
        self.width = module_size * num_modules * (1 + bidirectional)
        self.forward_clockwork = Clockwork(input_width, module_size, chosen, connectivity)
        self.backward_clockwork = (
            Clockwork(input_width, module_size, chosen, connectivity) if bidirectional else None
        )

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        found = self.causal_states(tokens)
        if found.backward is None:
            return found.forward, found.forward[:, -1]
        states = torch.cat([found.forward, found.backward], dim=-1)
        return states, torch.cat([found.forward[:, -1], found.backward[:, 0]], dim=-1)

    def causal_states(self, tokens: Tensor) -> CausalStates:
        if tokens.shape[1] < self.min_length:
            raise UserError(
                f"a sequence of {tokens.shape[1]} tokens is too short for model.encoder's longest period, "
                f"{self.min_length - 1}; expected at least {self.min_length} tokens: give longer sequences, "
                "tokens of fewer bp or shorter periods"
            )
        forward = self.forward_clockwork(tokens)
        if self.backward_clockwork is None:
            return CausalStates(forward)
        return CausalStates(forward, self.backward_clockwork(tokens.flip(1)).flip(1))


class Clockwork(nn.Module):
    """One direction: states, float [batch, length, units], of tokens, float [batch, length, input_width].

    Steps at which the same modules tick share their weights: those of the modules that tick, cut to the
    columns that any of them receives from. As the first module always ticks, and each receives from a
    stretch of neighbouring modules, these columns are the first ones, up to a module.

    Args:
        input_width: features per token.
        module_size: units of a module.
        periods: ascending, the first of them 1.
        connectivity: as in `ClockworkEncoder`.
    """

    def __init__(
        self, input_width: int, module_size: int, periods: tuple[int, ...], connectivity: Connectivity
    ) -> None:
        super().__init__()
        self.module_size = module_size
        self.periods = periods
        modules = range(len(periods))
        # Sources of each module: the first, and one past the last.
        self.sources = [_sources(module, len(periods), connectivity) for module in modules]
        self.input_weights = nn.ParameterList(torch.empty(module_size, input_width) for _ in modules)
        self.biases = nn.ParameterList(torch.empty(module_size) for _ in modules)
        self.recurrent_weights = nn.ParameterList(
            torch.empty(module_size, (stop - start) * module_size) for start, stop in self.sources
        )
        bound = (len(periods) * module_size) ** -0.5  # as torch.nn.RNN
        for weights in self.parameters():
            nn.init.uniform_(weights, -bound, bound)

    def forward(self, tokens: Tensor) -> Tensor:
        kinds, kind_of_step = schedule(self.periods, tokens.shape[1])
        projected = [self._projected(tokens, kind) for kind in kinds]
        inputs = [iter(each.unbind(0)) for each in projected]
        # Under autocast, cast once and not at every step.
        weights = [self._recurrent_weights(kind.modules).to(projected[0].dtype) for kind in kinds]
        state = torch.tanh(next(inputs[0]))  # all modules tick, from states of zero
        states = [state]
        for kind in kind_of_step[1:]:
            n_sources = weights[kind].shape[0]
            sources = state if n_sources == state.shape[1] else state[:, :n_sources]
            new = torch.tanh(torch.addmm(next(inputs[kind]), sources, weights[kind]))
            state = self._with_held(new, state, kinds[kind])
            states.append(state)
        return torch.stack(states, dim=1)

    def _projected(self, tokens: Tensor, kind: "StepKind") -> Tensor:
        """Inputs of the modules that tick, float [steps, batch, units], at the steps of this kind."""
        return nn.functional.linear(
            tokens.transpose(0, 1).index_select(0, torch.tensor(kind.steps, device=tokens.device)),
            torch.cat([self.input_weights[module] for module in kind.modules]),
            torch.cat([self.biases[module] for module in kind.modules]),
        )

    def _recurrent_weights(self, modules: tuple[int, ...]) -> Tensor:
        """Weights from all sources of these modules to them, float [sources, units]."""
        last = max(self.sources[module][1] for module in modules)
        rows = []
        for module in modules:
            start, stop = self.sources[module]
            around = (start * self.module_size, (last - stop) * self.module_size)
            rows.append(nn.functional.pad(self.recurrent_weights[module], around))
        return torch.cat(rows).t()

    def _with_held(self, new: Tensor, old: Tensor, kind: "StepKind") -> Tensor:
        """The whole state: `new` of the modules that tick, `old` of the others."""
        if len(kind.runs) == 1:
            return new
        parts, taken = [], 0
        for start, stop, ticks in kind.runs:
            first, last = start * self.module_size, stop * self.module_size
            if ticks:
                parts.append(new if last - first == new.shape[1] else new[:, taken : taken + last - first])
                taken += last - first
            else:
                parts.append(old[:, first:last])
        return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class StepKind:
    """The steps at which one set of modules ticks.

    Attributes:
        modules: those that tick, ascending.
        steps: ascending, from 0.
        runs: all modules as stretches that tick or hold: first, one past the last, whether they tick.
    """

    modules: tuple[int, ...]
    steps: tuple[int, ...]
    runs: tuple[tuple[int, int, bool], ...]


@lru_cache(maxsize=16)
def schedule(periods: tuple[int, ...], length: int) -> tuple[tuple[StepKind, ...], tuple[int, ...]]:
    """The kinds of steps of a sequence, in the order of their first step, and each step's kind by number."""
    ticking = [
        tuple(module for module, period in enumerate(periods) if step % period == 0) for step in range(length)
    ]
    steps: dict[tuple[int, ...], list[int]] = {}
    for step, modules in enumerate(ticking):
        steps.setdefault(modules, []).append(step)
    kinds = tuple(StepKind(modules, tuple(at), _runs(modules, len(periods))) for modules, at in steps.items())
    numbers = {modules: number for number, modules in enumerate(steps)}
    return kinds, tuple(numbers[modules] for modules in ticking)


def _runs(ticking: tuple[int, ...], n_modules: int) -> tuple[tuple[int, int, bool], ...]:
    runs: list[tuple[int, int, bool]] = []
    for module in range(n_modules):
        ticks = module in ticking
        first = runs.pop()[0] if runs and runs[-1][2] == ticks else module
        runs.append((first, module + 1, ticks))
    return tuple(runs)


def _sources(module: int, n_modules: int, connectivity: Connectivity) -> tuple[int, int]:
    """Modules that a module receives from: the first, and one past the last."""
    first = module if connectivity in ("slower", "diagonal") else 0
    last = module + 1 if connectivity in ("faster", "diagonal") else n_modules
    return first, last


def _checked_periods(periods: list[int] | None, n_modules: int) -> tuple[int, ...]:
    if periods is None:
        return tuple(2**module for module in range(n_modules))
    given = list(periods)
    if len(given) != n_modules:
        raise UserError(
            f"model.encoder.periods has {len(given)} periods and num_modules is {n_modules}; "
            f"expected one a module: set num_modules={len(given)}, or periods=null for 1, 2, 4, ..."
        )
    whole = all(type(period) is int for period in given)
    if not whole or given[0] != 1 or any(after <= before for before, after in pairwise(given)):
        raise UserError(
            f"model.encoder.periods is {given}; expected whole numbers in ascending order, the first of them "
            "1 so that every token is read"
        )
    return tuple(given)
