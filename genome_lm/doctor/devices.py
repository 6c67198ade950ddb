"""Processor and GPUs: what torch sees of them, and whether they compute what they should."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from genome_lm.doctor.finding import Finding, advice, ok, problem, size
from genome_lm.doctor.machine import FAST_FORMATS

TOLERANCE = 1e-3
"""Of the computation below, relative: single precision in another order gives 1e-6; tensor cores are off."""

DRIVER = Path("/proc/driver/nvidia/version")


def check_processor(flags: frozenset[str], precision: str, accelerator: str) -> Finding:
    """Whether the processor computes in the number format that was chosen.

    Args:
        flags: see `cpu_flags`.
        precision: `trainer.precision`, by name.
        accelerator: "cpu" or "cuda", where the training will be.
    """
    fast = [words for flag, words in FAST_FORMATS.items() if flag in flags]
    text = f"{torch.backends.cpu.get_cpu_capability()}, {', '.join(fast) or 'no instructions for bf16'}"
    if accelerator == "cpu" and precision == "bf16" and not fast:
        return advice(
            "processor",
            f"{text}; trainer.precision=bf16 is emulated",
            "trainer.precision=float32, which is faster on this processor",
        )
    if accelerator == "cpu" and precision == "float32" and fast:
        return ok("processor", f"{text}: trainer.precision=bf16 speeds up LSTMs, not GRUs")
    return ok("processor", text)


def check_threads(
    threads: int, chosen: int | None, n_cores: int, load: float, environment: Mapping[str, str]
) -> list[Finding]:
    """Threads of torch against the cores.

    Args:
        threads: that torch would use by itself.
        chosen: `trainer.threads`.
        n_cores: that this process may use.
        load: average of the machine over a minute, in busy cores.
        environment: variables of the process.
    """
    used = threads if chosen is None else chosen
    set_to = {
        name: environment[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in environment
    }
    said = "".join(f", {name}={value}" for name, value in set_to.items())
    findings = []
    text = f"{used} on {n_cores} cores{said}"
    if used > n_cores:
        findings.append(
            advice("threads", f"{text}: they wait for each other", f"trainer.threads={n_cores}, or null")
        )
    elif used < n_cores and chosen is None:
        findings.append(advice("threads", f"{text}: cores are left idle", "unset it, or set trainer.threads"))
    else:
        findings.append(ok("threads", text))
    if load > 0.5 * n_cores + 1:
        findings.append(
            advice(
                "load",
                f"other programs keep {load:.1f} cores busy: speeds below are of a busy machine",
                "wait for them, or share the cores out with trainer.threads",
            )
        )
    if environment.get("OMP_WAIT_POLICY", "passive").lower() == "active":
        findings.append(
            advice(
                "OMP_WAIT_POLICY",
                "active: threads that wait keep their cores, and stall when another program wants these",
                "unset OMP_WAIT_POLICY",
            )
        )
    return findings


def check_allocator(keeps: bool, chosen: bool, accelerator: str) -> Finding:
    """Whether freed memory stays in the process.

    Args:
        keeps: whether it could be arranged, see `keep_freed_memory`.
        chosen: `trainer.keep_freed_memory`.
        accelerator: "cpu" or "cuda".
    """
    if accelerator != "cpu" or (chosen and keeps):
        return ok("allocator", "freed memory is kept for the next step" if chosen and keeps else "no matter")
    if chosen:
        return ok("allocator", "not glibc's: freed memory is kept as that one decides")
    return advice(
        "allocator",
        "freed memory goes back to the system at every step, which then takes up to twice as long",
        "trainer.keep_freed_memory=true",
    )


def check_gpus(wanted: int, driver: Path = DRIVER) -> list[Finding]:
    """What torch sees of GPUs, and whether each computes what the processor does.

    Args:
        wanted: GPUs that the configuration asks for; 0 for a training on the processor.
        driver: file that NVIDIA's driver has while it is loaded.
    """
    build = torch.version.cuda or torch.version.hip
    if not torch.cuda.is_available():
        if driver.exists() and build is None:
            return [
                advice(
                    "GPU",
                    f"there is a driver, but torch {torch.__version__} is a build without GPUs",
                    "install torch from an index of GPU builds, see https://pytorch.org/get-started/locally",
                )
            ]
        if driver.exists() or wanted:
            words = f"torch {torch.__version__} (built for {build or 'the processor alone'}) sees no GPU"
            remedy = (
                "update the driver, or install torch for an older CUDA; look at CUDA_VISIBLE_DEVICES "
                f"({os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}); or trainer.accelerator=cpu"
            )
            return [problem("GPU", words, remedy) if wanted else advice("GPU", words, remedy)]
        return [ok("GPU", "none")]
    return [check_gpu(torch.device("cuda", number)) for number in range(torch.cuda.device_count())]


def check_gpu(device: torch.device) -> Finding:
    """One GPU: its name and memory, and a small computation on it against the processor's."""
    about = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    text = f"{about.name}, {size(free)} of {size(total)} free, capability {about.major}.{about.minor}"
    try:
        off = disagreement(device)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        return problem(str(device), f"{text}; it does not compute: {reason}", "install torch for this GPU")
    return judged(str(device), text, off)


def judged(name: str, text: str, off: float) -> Finding:
    """The finding on a device whose computation is `off` by that much, relative."""
    if not off <= TOLERANCE:  # NaN too
        return problem(
            name,
            f"{text}; a GRU there differs from single precision's by {off:.1g}, more than {TOLERANCE:g}",
            "do not train on it: look for faulty memory, or another build of torch",
        )
    return ok(name, f"{text}; a GRU and its gradient agree with double precision to {off:.1g}")


def disagreement(device: torch.device) -> float:
    """Largest relative difference of a GRU's states and gradients on `device` from double precision."""
    tensor_cores = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        exact = _computed(torch.device("cpu"), torch.float64)
        found = _computed(device, torch.float32)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tensor_cores
    return max(
        float((each.double().cpu() - right).abs().max() / right.abs().max())
        for each, right in zip(found, exact, strict=True)
    )


def _computed(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """States of a small GRU and the gradient of their squares by its recurrent weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.GRU(16, 32, batch_first=True)
        tokens = torch.randn(8, 20, 16)
    network = network.to(device=device, dtype=dtype)
    states = network(tokens.to(device=device, dtype=dtype))[0]
    states.square().sum().backward()
    gradient = network.weight_hh_l0.grad
    assert isinstance(gradient, Tensor)
    return states.detach(), gradient


def load_average() -> float:
    """Busy cores over the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if sys.platform != "win32" else 0.0
