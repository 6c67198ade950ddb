"""Windows per second in training, at growing batch sizes, against a plain Lightning loop of the same network.

    python benchmarks/gpu.py                                 # all networks, about ten minutes
    python benchmarks/gpu.py --models report mingru --batches 256 4096 --precision bf16 --seconds 120
    python benchmarks/gpu.py --aim report                    # 61 epochs of 80,000 windows of 100 bp
    python benchmarks/gpu.py --aim epoch                     # 2.2 M windows of 1,000 bp through mingru

Runs on a GPU where there is one, else on the CPU. Needs torch, Lightning and h5py, and no Hydra, OmegaConf or
wandb. The data are simulated in memory, with DeepSEA's 919 tasks. Both loops train the same network with the
same precision and clipping on the same windows in the same process; window features, where a network has
them, are computed before and kept. Utilisation is the driver's (with pynvml), else the operations a second
over the peak that is named; on a CPU the processor's share. Ends within `--seconds` (after the imports), and
leaves out what no longer fits; prints as it goes, and writes the figures to `--output` after each.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that sleep leave others the machine

import torch
from gpu_aims import epoch_aim, report_aim
from gpu_data import simulated
from gpu_loops import Setting, flops_of_window, own, plain, rows_of
from gpu_models import MODELS, network_for

from genome_lm.allocator import keep_freed_memory
from genome_lm.atomic import write_text

N_TASKS = 919
PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed"}
# Dense peaks of an H200 (NVIDIA's data sheet), TFLOP/s: TF32, which float32 products take here, and bfloat16.
PEAK_TFLOPS = {"float32": 494.7, "bf16": 989.4}


@dataclass
class Report:
    """What was found so far, on the screen and in a file."""

    path: Path
    contents: dict[str, Any]

    def add(self, key: str, entry: dict[str, Any], line: str) -> None:
        self.contents.setdefault(key, []).append(entry)
        print(line, flush=True)
        write_text(self.path, json.dumps(self.contents, indent=2) + "\n")


def arguments_of() -> argparse.Namespace:
    """The command line."""
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME")
    parser.add_argument(
        "--batches", nargs="+", type=int, default=[64, 256, 1024, 4096, 16384] if gpu else [64, 256, 1024]
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument(
        "--compile", action="store_true", help="compile the network in the program's own loop"
    )
    parser.add_argument(
        "--windows", type=int, default=65_536 if gpu else 2_048, help="simulated for training"
    )
    parser.add_argument("--workers", type=int, default=8 if gpu else 0, help="of the plain loop's DataLoader")
    parser.add_argument("--threads", type=int, help="of torch on a CPU")
    parser.add_argument("--cpu-clock", action="store_true", help="processor seconds, on a busy machine")
    parser.add_argument("--seconds", type=float, default=600.0, help="for everything")
    parser.add_argument("--peak-tflops", type=float, help="default: an H200's, 495 (TF32) or 989 (bf16)")
    parser.add_argument("--aim", choices=("report", "epoch"))
    parser.add_argument("--large-batch", type=int, default=1024, help="of --aim report")
    parser.add_argument("--output", type=Path, default=Path("gpu.json"))
    return parser.parse_args()


def main() -> None:
    began = time.perf_counter()
    arguments = arguments_of()
    keep_freed_memory()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    gpu = torch.cuda.is_available()
    if gpu:
        torch.set_float32_matmul_precision("high")  # as trainer.matmul_precision's default
    where = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    where += ", processor time" if arguments.cpu_clock and not gpu else ""
    print(f"{where}, torch {torch.__version__}, {arguments.precision}, {N_TASKS} tasks\n", flush=True)
    report = Report(
        arguments.output,
        {
            "device": where,
            "torch": torch.__version__,
            "precision": arguments.precision,
            "compile": arguments.compile,
            "tasks": N_TASKS,
        },
    )
    setting = Setting(
        device="cuda" if gpu else "cpu",
        precision=PRECISIONS[arguments.precision],
        batch=arguments.batches[0],
        workers=arguments.workers,
        compile=arguments.compile,
        cpu_clock=arguments.cpu_clock and not gpu,
    )
    until = began + arguments.seconds
    if arguments.aim == "report":
        report_aim(replace(setting, batch=arguments.large_batch), until, report.add, N_TASKS)
    elif arguments.aim == "epoch":
        epoch_aim(replace(setting, batch=arguments.batches[-1]), until, report.add, N_TASKS)
    else:
        sizes(arguments, setting, until, report)


def sizes(arguments: argparse.Namespace, setting: Setting, until: float, report: Report) -> None:
    """The table: every network at every batch size, in both loops."""
    print("| network | bp | batch | own, windows/s | busy | plain, windows/s | busy | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    left = [(name, batch) for name in arguments.models for batch in arguments.batches]
    known: dict[str, tuple[Any, Any, float]] = {}
    failed: set[str] = set()
    while left:
        name, batch = left.pop(0)
        model = MODELS[name]
        remaining = until - time.perf_counter()
        if name in failed:
            continue
        if remaining < 3 * (len(left) + 1) and known:
            report.add(
                "left_out", {"network": name, "batch": batch}, f"{name}, batch {batch}: no time is left"
            )
            continue
        if name not in known:
            dataset = simulated(
                max(arguments.windows, 2 * max(arguments.batches)), 64, model.context_bp, N_TASKS
            )
            device = torch.device(setting.device)
            rows = rows_of(model, dataset, network_for(model, N_TASKS), device)
            known[name] = dataset, rows, flops_of_window(model, N_TASKS)
            remaining = until - time.perf_counter()
        dataset, rows, flops = known[name]
        # Half for warming up, making the networks and steps that are longer than their share.
        share = max(1.0, 0.5 * remaining / (len(left) + 1) / 2)
        this = replace(setting, batch=batch, seconds=share)
        found = {}
        try:
            for loop, run in (("own", own), ("plain", plain)):
                timer = run(model, dataset, this, rows)
                speed = timer.windows_per_second
                found[loop] = {"windows_per_second": speed, "seconds": timer.wall, "cpu_seconds": timer.cpu}
                found[loop] |= busy(timer, speed * flops, arguments)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            failed.add(name)
            report.add("left_out", {"network": name, "batch": batch}, f"{name}, batch {batch}: {error}")
            continue
        first, second = (found[loop]["windows_per_second"] for loop in ("own", "plain"))
        report.add(
            "speed",
            {
                "network": name,
                "context_bp": model.context_bp,
                "batch": batch,
                "flops_a_window": flops,
                **found,
            },
            f"| {name} | {model.context_bp:,} | {batch:,} | {first:,.0f} | {found['own']['busy']:.0%} "
            f"| {second:,.0f} | {found['plain']['busy']:.0%} | {first / second:.2f} |",
        )


def busy(timer: Any, flops_per_second: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Utilisation, and what it is of."""
    if timer.setting.device == "cpu":
        return {"busy": timer.cpu / timer.wall / torch.get_num_threads(), "busy_is": "processor time"}
    if timer.utilisation:
        return {
            "busy": sum(timer.utilisation) / len(timer.utilisation) / 100,
            "busy_is": "time with a kernel",
        }
    peak = arguments.peak_tflops or PEAK_TFLOPS[arguments.precision]
    return {"busy": flops_per_second / (peak * 1e12), "busy_is": f"share of {peak} TFLOP/s"}


if __name__ == "__main__":
    main()
