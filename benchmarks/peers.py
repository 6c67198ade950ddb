"""Training gReLU's ConvGRUModel in gReLU and here: the same network, windows, labels, batches and threads.

    python benchmarks/peers.py                              # installs gReLU into a temporary environment
    python benchmarks/peers.py --environment ENV            # or into ENV, where it is kept for the next time
    python benchmarks/peers.py --windows 8192 --epochs 3 --threads 2

gReLU (PyPI `gReLU`) goes into a virtual environment of its own, with torch's CPU build. Both programs start
from files: here a dataset file, there a table of sequences and an array of labels, which it reads into its
`LabeledSeqDataset`; both end with a checkpoint, a validation an epoch behind them, each as it does by
default: gReLU with one loader process and a validation before the training. That the networks are the same
is checked: number of weights, and the logits of four windows after gReLU's weights are copied. Processor
seconds of all processes, and the clock; the ratio is theirs over ours, end to end (imports included) and of
the training loop alone. Rounds alternate.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_data import simulated
from peers_marks import cpu_seconds

from genome_lm.build import network_from
from genome_lm.checkpoint import VERSION, Description
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.writing import Header, Piece, write_dataset
from genome_lm.dna import decode

HERE = Path(__file__).parent
RELEASE = "gReLU==1.1.0"
TORCH = "torch==2.13.0"
WINDOW_BP = 1000
HEAD = {"pooling": ["mean"], "norm": "none", "kind": "one_logit", "dropout": 0.0, "input_dropout": 0.0}


@dataclass(frozen=True)
class Settings:
    """What both programs are told."""

    tasks: int
    channels: int
    kernel_size: int
    second_kernel_size: int
    pool: int
    batch: int
    epochs: int
    threads: int
    workers: int


@dataclass(frozen=True)
class Measured:
    """Seconds of one training: of everything, and of the training loop alone."""

    wall: float
    cpu: float
    loop_wall: float
    loop_cpu: float
    windows: int


def installed(folder: Path) -> Path:
    """The Python of an environment that has gReLU, made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    have = subprocess.run([python, "-c", "import grelu.lightning"], capture_output=True, check=False)
    if have.returncode:
        # The +cpu build by its name, so that no package of CUDA is fetched with it; pip must be told (by
        # PIP_EXTRA_INDEX_URL, for one) where PyTorch's CPU builds are.
        subprocess.run([python, "-m", "pip", "install", "-q", f"{TORCH}+cpu", RELEASE], check=True)
    return python


def write_files(data: Dataset, folder: Path) -> None:
    """The same windows for both: `own.h5`; `windows.tsv` and `labels.npy`."""
    piece = Piece("simulated", data.sequence, data.offset, data.start, data.split, data.packed_labels)
    write_dataset(
        folder / "own.h5", Header("simulated", data.window_bp, data.bin_bp, {}), data.tasks, [piece]
    )
    with (folder / "windows.tsv").open("w", encoding="utf-8") as table:
        table.write("split\tsequence\n")
        for window in range(data.n_windows):
            bases = data.sequence[data.offset[window] : data.offset[window] + data.window_bp]
            table.write(f"{'train' if data.split[window] == 0 else 'valid'}\t{decode(bases)}\n")
    np.save(folder / "labels.npy", data.packed_labels)


def encoder_of(settings: Settings) -> dict[str, Any]:
    """The network's encoder, as a configuration has it."""
    return {
        "_target_": "peers_network.ConvGRU",
        "channels": settings.channels,
        "kernel_size": settings.kernel_size,
        "second_kernel_size": settings.second_kernel_size,
        "pool": settings.pool,
    }


def check_same(data: Dataset, settings: Settings, folder: Path) -> int:
    """The number of weights, if both networks have it and give the same logits with the same weights."""
    ids = list(data.tasks.id)
    network = network_from(
        Description(
            version=VERSION, genome_lm_version="", model_name="", context_bp=WINDOW_BP, average_strands=False,
            tokenizer={"_target_": "genome_lm.tokenizers.OneHotTokenizer"}, encoder=encoder_of(settings),
            head=HEAD,
            tasks=dict.fromkeys(("id", "cell", "target", "treatment", "group"), ids),
            positive_rate=[0.05] * len(ids), task_set="", dataset={}, config={},
        ),
        ["genome_lm", "peers_network"],
    )  # fmt: skip
    start = np.load(folder / "start.npz")
    ours = list(network.parameters())
    assert len(start.files) - 1 == len(ours), "the networks have another number of weights"
    with torch.no_grad():
        for number, weight in enumerate(ours):
            theirs = torch.from_numpy(start[f"weight_{number}"])
            weight.copy_(theirs.view(weight.shape))
        logits = network.eval()(torch.from_numpy(data.bases(data.windows_of("valid")[:4], WINDOW_BP)))
    torch.testing.assert_close(logits, torch.from_numpy(start["logits"]), atol=1e-4, rtol=1e-4)
    return sum(weight.numel() for weight in ours)


def timed(command: list[str], environment: dict[str, str], folder: Path, marks: Path, log: Path) -> Measured:
    """Run a command to its end; what it prints goes to a file."""
    marks.unlink(missing_ok=True)
    began, spent = time.perf_counter(), cpu_seconds()
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(command, env=environment, cwd=folder, stdout=output, stderr=output, check=False)
    wall, cpu = time.perf_counter() - began, cpu_seconds() - spent
    if done.returncode:
        raise SystemExit(f"{command[1]} failed:\n{log.read_text(encoding='utf-8')[-2000:]}")
    loop = json.loads(marks.read_text(encoding="utf-8"))
    return Measured(wall, cpu, loop["wall"], loop["cpu"], loop["windows"])


def overrides_of(settings: Settings, folder: Path, threads: int) -> list[str]:
    """`genome-lm train` with nothing that the other program lacks."""
    encoder = ",".join(f"{key}:{value}" for key, value in encoder_of(settings).items())
    taken_off = ("cell", "hidden_size", "num_layers", "bidirectional", "dropout")
    return [
        f"data.path={folder / 'own.h5'}", f"runs_dir={folder / 'runs'}", "tokenizer=onehot", "stem=none",
        "window_features=none", "optimizer=adam", *(f"~model.encoder.{key}" for key in taken_off),
        "allowed_packages=[genome_lm,peers_network]", "run_name=peers", f"+model.encoder={{{encoder}}}",
        "head.pooling=[mean]", "head.norm=none", "head.dropout=0", "head.input_dropout=0",
        "data.context_bp=1000", "data.max_shift_bp=0", "data.reverse_complement=false",
        "data.min_positive_rate=0", f"data.batch_size={settings.batch}",
        f"data.eval_batch_size={settings.batch}",
        "average_strands=false", "callbacks.ema_decay=0", "callbacks.early_stopping=false",
        f"trainer.max_epochs={settings.epochs}", f"trainer.threads={threads}", "trainer.accelerator=cpu",
        "trainer.gradient_clip_norm=0",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environment", type=Path, help="a virtual environment for gReLU")
    parser.add_argument("--windows", type=int, default=4_096, help="to train on")
    parser.add_argument("--valid", type=int, default=512, help="windows to validate on")
    parser.add_argument("--tasks", type=int, default=374)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1, help="loader processes of gReLU, its default")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("peers.json"))
    arguments = parser.parse_args()
    settings = Settings(
        arguments.tasks, arguments.channels, 15, 5, 5, arguments.batch, arguments.epochs,
        arguments.threads, arguments.workers,
    )  # fmt: skip
    data = simulated(arguments.windows, arguments.valid, WINDOW_BP, settings.tasks, signal=True)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        python = installed(arguments.environment or folder / "environment")
        write_files(data, folder)
        environment = {**os.environ, "OMP_NUM_THREADS": str(settings.threads), "OMP_WAIT_POLICY": "passive"}
        paths = [str(HERE), str(HERE.parent)]
        own = {**environment, "PYTHONPATH": os.pathsep.join(paths)}
        environment["PYTHONPATH"] = str(HERE)
        told = asdict(settings) | {"task_ids": list(data.tasks.id)}

        def theirs(check: bool) -> list[str]:
            return [
                str(python),
                str(HERE / "peers_grelu.py"),
                str(folder),
                json.dumps(told | {"check": check}),
            ]

        subprocess.run(theirs(check=True), env=environment, cwd=folder, check=True, capture_output=True)
        weights = check_same(data, settings, folder)
        print(f"the same network, {weights:,} weights: logits agree with the same weights", flush=True)
        found: dict[str, list[Measured]] = {"genome_lm": [], "gReLU": []}
        for number in range(arguments.repeats):
            marks = folder / "own.json"
            command = [sys.executable, str(HERE / "peers_own.py"), str(marks)]
            command += overrides_of(settings, folder, settings.threads)
            found["genome_lm"].append(timed(command, own, folder, marks, folder / "own.log"))
            found["gReLU"].append(
                timed(theirs(check=False), environment, folder, folder / "grelu.json", folder / "grelu.log")
            )
            for name, rows in found.items():
                print(f"round {number + 1}, {name}: {rows[-1]}", flush=True)
    print(table(found))
    content = {"settings": asdict(settings), "weights": weights, "windows": arguments.windows}
    content |= {name: [asdict(each) for each in rows] for name, rows in found.items()}
    arguments.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def table(found: dict[str, list[Measured]]) -> str:
    """Markdown: medians, and medians of the rounds' ratios."""
    lines = ["| seconds | genome_lm | gReLU | ratio |", "|---|---:|---:|---:|"]
    for name, key in (
        ("end to end, processor", "cpu"),
        ("end to end, clock", "wall"),
        ("training loop, processor", "loop_cpu"),
        ("training loop, clock", "loop_wall"),
    ):
        ours, theirs = ([getattr(each, key) for each in found[who]] for who in ("genome_lm", "gReLU"))
        ratio = statistics.median(there / here for here, there in zip(ours, theirs, strict=True))
        lines.append(
            f"| {name} | {statistics.median(ours):,.1f} | {statistics.median(theirs):,.1f} | {ratio:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
