"""Several processes against one on the same batches: weights, figures, and the end after a killed rank.

    python benchmarks/several_devices.py

Trains small networks without dropout on a part of the embedded chromosome for three epochs: by one process,
and by gloo processes started in every way there is. Prints the largest differences of the weights (of the
last checkpoint, averaged and not) and of the logged figures, and then how soon a command ends when one of its
ranks is killed. Takes about ten minutes on two cores.
"""

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
TRAIN = (sys.executable, str(ROOT / "train.py"))
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
PORT = 29654

COMMON = (
    "trainer.accelerator=cpu", "trainer.threads=1", "trainer.max_epochs=3", "trainer.log_every_n_steps=1",
    "head.dropout=0", "head.input_dropout=0", "data.train_fraction=0.02", "data.batch_size=125",
    "data.eval_batch_size=511", "trainer.limit_val_batches=4", "callbacks.norm_windows=301",
    "callbacks.early_stopping=false",
)  # fmt: skip

NETWORKS = {
    "bigru, batch norm, motifs": ("model=bigru", "model.encoder.hidden_size=16", "data.context_bp=300"),
    "conv_bigru": ("model=conv_bigru", "model.encoder.hidden_size=16", "data.context_bp=300"),
    "basset": (
        "model=basset", "model.encoder.dropout=0", "model.encoder.channels=[16,16,16]",
        "model.encoder.hidden_sizes=[32,32]", "data.context_bp=600",
    ),
    "language model, gru": (
        "task=language_model", "model=gru", "model.encoder.hidden_size=16", "data.context_bp=1000",
        "tokenizer=character", "head.norm=none", "window_features=none", "data.train_fraction=1",
        "trainer.limit_train_batches=20", "task.markov_order=2", "data.max_shift_bp=0",
    ),
}  # fmt: skip


def start(command: Sequence[str], settings: Sequence[str], runs: Path, **variables: str) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen(
        [*command, *settings, f"runs_dir={runs}"], env=environment, stdout=subprocess.PIPE, text=True
    )


def finish(processes: Sequence[subprocess.Popen]) -> None:
    for process in processes:
        process.communicate()
    if any(process.returncode for process in processes):
        sys.exit(f"exit codes {[process.returncode for process in processes]}")


def by_ddp(settings: Sequence[str], runs: Path, ranks: int = 2) -> None:
    finish([start(TRAIN, (*settings, "trainer=ddp", f"trainer.devices={ranks}"), runs)])


def by_three(settings: Sequence[str], runs: Path) -> None:
    by_ddp(settings, runs, 3)


def by_torchrun(settings: Sequence[str], runs: Path) -> None:
    launcher = (*TORCHRUN, "--standalone", "--nproc-per-node", "2")
    finish([start((*launcher, TRAIN[1]), (*settings, "trainer=torchrun"), runs)])


def by_two_nodes(settings: Sequence[str], runs: Path) -> None:
    address = ("--master-addr", "127.0.0.1", "--master-port", str(PORT))
    launchers = [
        (*TORCHRUN, "--nnodes", "2", "--node-rank", node, "--nproc-per-node", "1", *address) for node in "01"
    ]
    finish([start((*each, TRAIN[1]), (*settings, "trainer=torchrun"), runs) for each in launchers])


def by_slurm(settings: Sequence[str], runs: Path) -> None:
    """As srun would start two tasks on two nodes."""
    job = {
        "SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "123",
        "SLURM_NODELIST": "127.0.0.1", "MASTER_PORT": str(PORT + 1), "SLURM_LOCALID": "0",
    }  # fmt: skip
    finish(
        [
            start(TRAIN, (*settings, "trainer=slurm"), runs, **job, SLURM_PROCID=task, SLURM_NODEID=task)
            for task in "01"
        ]
    )


WAYS = {
    "ddp, 2 ranks": by_ddp,
    "ddp, 3 ranks": by_three,
    "torchrun, 2 ranks": by_torchrun,
    "torchrun, 2 nodes": by_two_nodes,
    "slurm, 2 tasks": by_slurm,
}


def folder_of(runs: Path) -> Path:
    (folder,) = runs.iterdir()
    return folder


def weights_apart(first: Path, second: Path) -> float:
    """Largest difference of a weight, averaged or not, or of a statistic of a normalisation."""
    ours, theirs = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in (first, second)
    )
    return max(
        float((value.double() - theirs[part][name].double()).abs().max())
        for part in ("state_dict", "current_model_state")
        for name, value in ours[part].items()
    )


def figures_apart(first: Path, second: Path) -> float:
    """Largest difference of a figure of `metrics.csv`, speed left out."""

    def figures(folder: Path) -> dict[tuple[str, str], float]:
        with (folder / "metrics.csv").open(newline="") as file:
            return {
                (row["step"], name): float(value)
                for row in csv.DictReader(file)
                for name, value in row.items()
                if value and not name.startswith(("train/windows", "train/data"))
            }

    ours, theirs = figures(first), figures(second)
    assert ours.keys() == theirs.keys()
    return max(abs(value - theirs[key]) for key, value in ours.items())


def seconds_after_kill(folder: Path) -> tuple[float, int]:
    """From the SIGKILL of rank 1 to the end of the command, and its exit code."""
    settings = (
        *COMMON,
        *NETWORKS["conv_bigru"],
        "trainer.max_epochs=10000",
        "trainer=ddp",
        "trainer.devices=2",
    )
    command = start(TRAIN, settings, folder / "killed")
    assert command.stdout is not None
    for line in command.stdout:
        if line.startswith("epoch"):
            break
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and _is_rank_1(process, command.pid):
            os.kill(int(process.name), signal.SIGKILL)
    killed = time.perf_counter()
    command.communicate()
    return time.perf_counter() - killed, command.returncode


def _is_rank_1(process: Path, parent: int) -> bool:
    try:
        own = int((process / "stat").read_text().rpartition(")")[2].split()[1]) == parent
        return own and "RANK=1" in (process / "environ").read_text().split("\0")
    except OSError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    arguments = parser.parse_args()
    print(f"{'network':28}{'started by':20}{'weights':>10}{'figures':>10}")
    with tempfile.TemporaryDirectory() as name:
        for place, network in enumerate(arguments.networks):
            settings = (*COMMON, *NETWORKS[network])
            alone = Path(name) / f"{place}" / "one"
            finish([start(TRAIN, settings, alone)])
            # How they are started makes no difference to what they compute, so one network has all ways.
            ways = WAYS if not place else {"ddp, 2 ranks": by_ddp}
            for number, (way, train) in enumerate(ways.items()):
                runs = Path(name) / f"{place}" / f"{number}"
                train(settings, runs)
                apart = (each(folder_of(alone), folder_of(runs)) for each in (weights_apart, figures_apart))
                print(f"{network:28}{way:20}" + "".join(f"{each:10.1e}" for each in apart), flush=True)
        seconds, code = seconds_after_kill(Path(name))
        print(f"one of two ranks killed: the command ends {seconds:.1f} s later with exit code {code}")


if __name__ == "__main__":
    main()
