"""Training steps of one network, timed: windows per second, peak memory, and what the steps compute."""

import gc
import resource
import statistics
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from model_files import network_of
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from genome_lm.allocator import keep_freed_memory
from genome_lm.errors import UserError


@dataclass(frozen=True)
class Setting:
    """How steps are run.

    Attributes:
        device: cpu or cuda.
        bf16: whether under bf16 autocast.
        batch: windows a step.
        n_tasks: outputs.
        threads: of torch on CPU.
        seconds: at least two steps are timed, and more until this time is over.
        cpu_clock: seconds of the processor instead of the clock, for a machine with other work on it.
        count: whether operations and bytes are counted.
    """

    device: str
    bf16: bool
    batch: int
    n_tasks: int
    threads: int
    seconds: float
    cpu_clock: bool
    count: bool


@dataclass(frozen=True)
class Measured:
    """One measurement of a network, or the reason why there is none.

    Attributes:
        windows_per_second: of the median step.
        peak_mb: largest memory of the process so far, with Python and torch; on a GPU of torch's allocator.
        parameters: of the network.
        flops: of a step, matrix products and convolutions only, a multiplication and an addition each one.
        bytes: of a step, read and written by all operations as they are launched, caches not considered.
        reason: why the network cannot be run at this length; "" if it can.
    """

    windows_per_second: float = 0.0
    peak_mb: float = 0.0
    parameters: int = 0
    flops: float = 0.0
    bytes: float = 0.0
    reason: str = ""


class ByteCounter(TorchDispatchMode):
    """Sums the bytes of the tensors that each operation reads and writes; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            leaves = tree_leaves((args, kwargs, result))
            self.total += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, Tensor))
        return result


def measure(config: dict[str, Any], length_bp: int, setting: Setting) -> Measured:
    """Build a network and time its training steps on random bases and labels, optimizer included."""
    keep_freed_memory()
    torch.set_num_threads(setting.threads)
    torch.manual_seed(0)
    try:
        network = network_of(config, length_bp, setting.n_tasks).train()
    except UserError as error:
        return Measured(reason=str(error))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    device = torch.device(setting.device)
    flops = _flops(network, length_bp, setting) if setting.count else 0.0
    network = network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=device.type == "cuda")
    codes = torch.randint(4, (setting.batch, length_bp), dtype=torch.uint8, device=device)
    labels = (torch.rand(setting.batch, setting.n_tasks, device=device) < 0.05).float()

    def step() -> float:
        began = _clock(setting)
        _step(network, optimizer, codes, labels, setting)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return _clock(setting) - began

    step()  # buffers, and kernels chosen
    moved = 0.0
    if setting.count:
        with ByteCounter() as counter:
            step()
        moved = float(counter.total)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    gc.collect()
    seconds: list[float] = []
    until = time.perf_counter() + setting.seconds
    while len(seconds) < 2 or time.perf_counter() < until:
        seconds.append(step())
    return Measured(setting.batch / statistics.median(seconds), _peak_mb(device), parameters, flops, moved)


def _step(
    network: nn.Module, optimizer: torch.optim.Optimizer, codes: Tensor, labels: Tensor, setting: Setting
) -> None:
    optimizer.zero_grad()
    with torch.autocast(setting.device, torch.bfloat16, enabled=setting.bf16):
        logits = network(codes).float()
    nn.functional.binary_cross_entropy_with_logits(logits, labels).backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()


def _flops(network: nn.Module, length_bp: int, setting: Setting) -> float:
    """Of one step, counted on CPU on two windows: there torch's recurrences are products to be counted."""
    codes = torch.randint(4, (2, length_bp), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's switch warns of Intel GPUs
        without_onednn = torch.backends.mkldnn.flags(enabled=False)  # whose LSTM is one opaque operation
        with without_onednn, FlopCounterMode(display=False) as counter:
            network(codes).sum().backward()
    network.zero_grad()
    return counter.get_total_flops() * setting.batch / 2


def _clock(setting: Setting) -> float:
    return time.process_time() if setting.cpu_clock else time.perf_counter()


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
