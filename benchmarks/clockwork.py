"""Clockwork recurrence: prefixes of ticking modules (ours), module by module, everything masked, and nn.RNN.

    python benchmarks/clockwork.py

All compute the same states (checked), but for torch's plain RNN of as many units, which has the dense weights
of all of them. CPU time of a forward and a backward pass on one thread, the least of several.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from genome_lm.allocator import keep_freed_memory
from genome_lm.encoders.clockwork import Clockwork

# Words, modules, units of each, features of a token, tokens, sequences.
SETTINGS = (
    ("the default: bags of 15 6-mers, 500 bp", 5, 16, 128, 33, 256),
    ("the paper's 8 modules of 8, bases, 500 bp", 8, 8, 4, 500, 256),
    ("8 modules of 32, bases, 500 bp", 8, 32, 4, 500, 256),
)
REPEATS = 3


def dense_recurrence(clockwork: Clockwork) -> Tensor:
    """Block-upper-triangular weights as one matrix."""
    size, modules = clockwork.module_size, range(len(clockwork.periods))
    padded = [nn.functional.pad(clockwork.recurrent_weights[i], (i * size, 0)) for i in modules]
    return torch.cat(padded)


def masked(clockwork: Clockwork, tokens: Tensor) -> Tensor:
    """All units at every step; those of idle modules are thrown away."""
    recurrence = dense_recurrence(clockwork).t()
    inputs, biases = torch.cat(list(clockwork.input_weights)), torch.cat(list(clockwork.biases))
    periods = torch.tensor(clockwork.periods).repeat_interleave(clockwork.module_size)
    projected = nn.functional.linear(tokens, inputs, biases).transpose(0, 1).unbind(0)
    state, states = tokens.new_zeros(len(tokens), len(biases)), []
    for step, each in enumerate(projected):
        state = torch.where(step % periods == 0, torch.tanh(torch.addmm(each, state, recurrence)), state)
        states.append(state)
    return torch.stack(states, dim=1)


def by_module(clockwork: Clockwork, tokens: Tensor) -> Tensor:
    """From the slowest module to the fastest: each recurrence runs over its own ticks only.

    What a module sends to the faster ones is known for all times by then, and computed once a tick of its
    own. About 2 * tokens sequential steps, each of one module.
    """
    length, size, sent, held = tokens.shape[1], clockwork.module_size, {}, []
    for i in reversed(range(len(clockwork.periods))):
        period = clockwork.periods[i]
        ticks = torch.arange(0, length, period)
        received = nn.functional.linear(tokens[:, ::period], clockwork.input_weights[i], clockwork.biases[i])
        for j, message in sent.items():
            # Of the last tick before: none before the first.
            last = (ticks - 1) // clockwork.periods[j] + 1
            received = received + nn.functional.pad(message[i], (0, 0, 1, 0)).index_select(1, last)
        first, *others = received.unbind(1)
        own = clockwork.recurrent_weights[i][:, :size].t()
        states = [torch.tanh(first)]
        for each in others:
            states.append(torch.tanh(torch.addmm(each, states[-1], own)))
        module_states = torch.stack(states, dim=1)
        held.insert(0, module_states.repeat_interleave(period, dim=1)[:, :length])
        if i:
            weights = [
                clockwork.recurrent_weights[k][:, (i - k) * size : (i - k + 1) * size] for k in range(i)
            ]
            sent[i] = nn.functional.linear(module_states, torch.cat(weights)).split(size, dim=2)
    return torch.cat(held, dim=2)


def cost(run: Callable[[Tensor], Tensor], tokens: Tensor) -> tuple[float, float]:
    """CPU seconds of a forward and a backward pass, and 10^9 operations in matrix products of the former."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run(tokens)
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        run(tokens).sum().backward()
        best = min(best, time.process_time() - start)
    return best, counter.get_total_flops() / 1e9


def main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.manual_seed(0)
    print("| setting | how | CPU ms | of ours | 10^9 operations |")
    print("|---|---|---:|---:|---:|")
    for words, n_modules, size, width, length, batch in SETTINGS:
        clockwork = Clockwork(width, size, tuple(2**i for i in range(n_modules)), "slower")
        plain = nn.RNN(width, n_modules * size, batch_first=True)
        tokens = torch.randn(batch, length, width, requires_grad=True)
        ways: dict[str, Callable[[Tensor], Tensor]] = {
            "ours": clockwork,
            "module by module": lambda tokens, each=clockwork: by_module(each, tokens),
            "all masked": lambda tokens, each=clockwork: masked(each, tokens),
            "nn.RNN, dense": lambda tokens, each=plain: each(tokens)[0],
        }
        ours = 0.0
        for name, run in ways.items():
            if name != "nn.RNN, dense":
                torch.testing.assert_close(run(tokens), clockwork(tokens))
            seconds, operations = cost(run, tokens)
            ours = ours or seconds  # the first
            print(f"| {words} | {name} | {seconds * 1e3:.0f} | {seconds / ours:.1f} | {operations:.2f} |")


if __name__ == "__main__":
    main()
