"""What reading and writing add to the forward pass: `predict` against the network alone, on the same windows.

    python benchmarks/predict.py FASTA [--checkpoint best.ckpt] [--windows 20000] [--threads N]

Windows are tiled over the first sequence of the FASTA that is long enough, from its middle on. Each format is
written three times, in turn with the bare forward pass, and the fastest run of each counts. Shares are of the
processors' time, so that other processes matter little; of the clock's they are the same with --threads 1.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from genome_lm.allocator import keep_freed_memory
from genome_lm.build import network_with_weights
from genome_lm.checkpoint import Checkpoint, read_checkpoint
from genome_lm.choices import LongPolicy, TableLayout
from genome_lm.dataset.fasta import read_fasta, scan_fasta
from genome_lm.evaluation.predict import predict_codes
from genome_lm.prediction.batches import Tally, window_batches
from genome_lm.prediction.hdf5 import write_hdf5
from genome_lm.prediction.intervals import Intervals
from genome_lm.prediction.output import Content
from genome_lm.prediction.tasks import choose_predicted
from genome_lm.prediction.thresholds import Thresholds
from genome_lm.prediction.tsv import write_table
from genome_lm.prediction.windows import Windows, lay_windows
from genome_lm.runs import newest_checkpoint

BATCH = 512
FORWARD = "forward pass alone"
REPEATS = 3

Blocks = list[tuple[int, np.ndarray]]


def middle_of(lengths: dict[str, int], n_windows: int, context_bp: int) -> tuple[Intervals, Windows]:
    """One interval of `n_windows` windows in the middle of a sequence."""
    name = next(name for name, length in lengths.items() if length >= n_windows * context_bp)
    start = (lengths[name] - n_windows * context_bp) // 2
    intervals = Intervals(
        sequences=(name,),
        records=(name,),
        sequence=np.zeros(1, dtype=np.int32),
        start=np.array([start]),
        end=np.array([start + n_windows * context_bp]),
        strand=np.array([b"."], dtype="S1"),
        names=(".",),
    )
    windows = lay_windows(
        intervals.start, intervals.end, context_bp=context_bp, stride_bp=context_bp, long=LongPolicy.tile
    )
    return intervals, windows


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processors."""
    started, cpu_started = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - started, time.process_time() - cpu_started


def writers(folder: Path, content: Content) -> dict[str, Callable[[Blocks], object]]:
    """Each way to write, by the name of the file in `folder` that it writes."""

    def table(name: str, layout: TableLayout, only_calls: bool) -> Callable[[Blocks], object]:
        return lambda blocks: write_table(
            folder / name, content, blocks, layout, only_calls, name.endswith(".gz")
        )

    return {
        "long.tsv": table("long.tsv", TableLayout.long, False),
        "long.tsv.gz": table("long.tsv.gz", TableLayout.long, False),
        "calls.tsv": table("calls.tsv", TableLayout.long, True),
        "wide.tsv": table("wide.tsv", TableLayout.wide, False),
        "all.h5": lambda blocks: write_hdf5(folder / "all.h5", content, blocks),
    }


def content_of(saved: Checkpoint, intervals: Intervals, windows: Windows, logits: np.ndarray) -> Content:
    """All tasks, with thresholds that call one window in twenty of each."""
    description = saved.description
    tasks = choose_predicted(description.tasks, description.positive_rate, [], [], str(saved.path))
    thresholds = Thresholds(np.quantile(logits.astype(np.float64), 0.95, axis=0), "95th percentile")
    return Content(intervals, windows, tasks, thresholds, 200, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fasta", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="default: the newest below runs/")
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    keep_freed_memory()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    saved = read_checkpoint(arguments.checkpoint or newest_checkpoint(Path("runs")))
    network = network_with_weights(saved, ["genome_lm"]).eval()
    strands = saved.description.average_strands
    lengths: dict[str, int] = {}
    scan = timed(lambda: lengths.update(scan_fasta(arguments.fasta)))
    intervals, windows = middle_of(lengths, arguments.windows, saved.description.context_bp)
    (record,) = intervals.records
    records: list[tuple[str, np.ndarray]] = []
    times = {
        "checking the FASTA": [scan],
        "reading a record": [
            timed(lambda: records.extend(read_fasta(arguments.fasta, {record: lengths[record]})))
        ],
    }

    def cut() -> list[tuple[np.ndarray, np.ndarray]]:
        return list(window_batches(records, intervals, windows, BATCH, Tally()))

    batches = cut()

    def forward(into: Blocks) -> None:
        for numbers, codes in batches:
            logits = predict_codes(network, codes, average_strands=strands, device=torch.device("cpu"))
            into.append((int(numbers[0]), logits))

    with tempfile.TemporaryDirectory() as name:
        for _ in range(REPEATS):
            blocks: Blocks = []
            times.setdefault(FORWARD, []).append(timed(lambda into=blocks: forward(into)))
            times.setdefault("cutting windows", []).append(timed(cut))
            content = content_of(saved, intervals, windows, np.concatenate([each for _, each in blocks]))
            for label, write in writers(Path(name), content).items():
                times.setdefault(label, []).append(timed(lambda w=write, b=blocks: w(b)))
        sizes = {path.name: f"{path.stat().st_size / 1e6:.0f}" for path in Path(name).iterdir()}
    n, tasks = len(windows), len(saved.description.positive_rate)
    print(f"{n:,} windows, {tasks} tasks, {torch.get_num_threads()} threads, both strands: {strands}")
    print(f"FASTA of {sum(lengths.values()) / 1e6:.1f} Mb, record of {lengths[record] / 1e6:.1f} Mb")
    print("| stage | seconds | CPU seconds | windows per CPU second | CPU share of the forward pass | MB |")
    print("|---|---:|---:|---:|---:|---:|")
    for label, pairs in times.items():
        seconds, cpu = (min(column) for column in zip(*pairs, strict=True))
        share = cpu / min(pair[1] for pair in times[FORWARD])
        print(
            f"| {label} | {seconds:.2f} | {cpu:.2f} | {n / cpu:,.0f} | {share:.1%} | {sizes.get(label, '')} |"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB")


if __name__ == "__main__":
    main()
