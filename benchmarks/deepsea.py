"""Memory and CPU time of `prepare source=deepsea` at the sizes of DeepSEA's own files.

    python benchmarks/deepsea.py                # train.mat at 1/40, 1/20 and 1/10 of its samples
    python benchmarks/deepsea.py --full         # and whole: 4,400,000 samples; 4 GB of disk in --folder

The files are made here, of the published layout and numbers: train.mat with 4,400,000 samples (HDF5, chunks
that span many samples), valid.mat with 8,000 and test.mat with 455,024 (MATLAB 5), 1,000 bases and 919 tasks.
Windows repeat, so that making them is quick; reading has as much to unpack. Every measurement is a process of
its own, and its peak that of its resident memory (VmHWM, Linux).
"""

import argparse
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import h5py
import numpy as np

from genome_lm.dna import reverse_complement

WINDOW_BP, TASKS, RATE = 1000, 919, 0.02
TRAIN, VALID, TEST = 4_400_000, 8_000, 455_024
REPEATED = 5_500  # windows until they repeat; half a file is a multiple of it
CHANNEL_OF_CODE = np.array([0, 2, 1, 3])  # A, C, G, T among A, G, C, T

PREPARE = """
import sys
from pathlib import Path
from genome_lm.dataset.deepsea.prepare import prepare_deepsea
from genome_lm.dataset.deepsea.settings import DeepseaSettings
folder, output = Path(sys.argv[1]), Path(sys.argv[2])
summary = prepare_deepsea(
    output, DeepseaSettings(folder / "train.mat", folder / "valid.mat", folder / "test.mat", "hg19")
)
print(sum(summary.windows))
print(Path("/proc/self/status").read_text())
"""
SCIPY = """
import sys
from pathlib import Path
from scipy.io import loadmat
print(loadmat(sys.argv[1])["testxdata"].shape)
print(Path("/proc/self/status").read_text())
"""


def halves() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One-hot windows of both strands, uint8 [window_bp, 4, REPEATED]; labels, uint8 [tasks, REPEATED]."""
    draw = np.random.default_rng(0)
    codes = draw.integers(0, 4, (REPEATED, WINDOW_BP), dtype=np.uint8)
    strands = []
    for strand in (codes, reverse_complement(codes)):
        hot = np.zeros((WINDOW_BP, 4, REPEATED), dtype=np.uint8)
        position, sample = np.indices((WINDOW_BP, REPEATED))
        hot[position, CHANNEL_OF_CODE[strand.T], sample] = 1
        strands.append(hot)
    return (*strands, (draw.random((TASKS, REPEATED)) < RATE).astype(np.uint8))


def write_train(
    path: Path, n_samples: int, forward: np.ndarray, mirror: np.ndarray, labels: np.ndarray
) -> None:
    """MATLAB 7.3: chunks of 25 positions and `REPEATED` samples, compressed once and stored many times."""
    rows = 25
    columns = n_samples // 2 // REPEATED
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, first, second in (("trainxdata", forward, mirror), ("traindata", labels, labels)):
            chunk = (rows, *first.shape[1:])
            made = file.create_dataset(
                name,
                (*first.shape[:-1], n_samples),
                "u1",
                chunks=chunk,
                compression="gzip",
                compression_opts=3,
            )
            for row in range(0, len(first), rows):
                for half, content in enumerate((first, second)):
                    padded = np.zeros(chunk, dtype=np.uint8)
                    padded[: len(content[row : row + rows])] = content[row : row + rows]
                    packed = zlib.compress(padded.tobytes(), 3)
                    for column in range(columns):
                        at = (half * columns + column) * REPEATED
                        made.id.write_direct_chunk((row, *(0,) * (len(chunk) - 2), at), packed)


def write_mat5(path: Path, split: str, n_samples: int, *arrays: np.ndarray) -> None:
    """MATLAB 5, each variable one zlib stream, written row by row."""
    forward, mirror, labels = arrays
    with open(path, "wb") as file:
        file.write(b"MATLAB 5.0 MAT-file, made".ljust(124) + struct.pack("<H", 0x0100) + b"IM")
        for name, first, second in ((f"{split}xdata", forward, mirror), (f"{split}data", labels, labels)):
            shape = (n_samples, *first.shape[-2::-1])
            n_bytes = int(np.prod(shape))
            label = name.encode()
            head = (
                struct.pack("<IIII", 6, 8, 9, 0)
                + struct.pack(f"<II{len(shape)}i", 5, 4 * len(shape), *shape) + bytes(4 * (len(shape) % 2))
                + struct.pack("<II", 1, len(label)) + label + bytes(-len(label) % 8)
                + struct.pack("<II", 2, n_bytes)
            )  # fmt: skip
            begun = file.tell()
            file.write(bytes(8))
            squeezer = zlib.compressobj(1)
            file.write(squeezer.compress(struct.pack("<II", 14, len(head) + n_bytes + -n_bytes % 8) + head))
            half = n_samples // 2
            for one, two in zip(first.reshape(-1, REPEATED), second.reshape(-1, REPEATED), strict=True):
                file.write(
                    squeezer.compress(np.concatenate((np.resize(one, half), np.resize(two, half))).tobytes())
                )
            file.write(squeezer.compress(bytes(-n_bytes % 8)) + squeezer.flush())
            end = file.tell()
            file.seek(begun)
            file.write(struct.pack("<II", 15, end - begun - 8))
            file.seek(end)


def measured(program: str, *arguments: Path) -> tuple[float, float, float, str]:
    """Peak resident memory (MiB), CPU and wall seconds, and what it said, of a process of its own."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said, _, state = process.stdout.read().partition("\n")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("the measured process failed")
    # Not ru_maxrss, which begins with what the parent held when it forked.
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", state)[1]) / 1024
    return peak, usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="train.mat in its full size, too")
    parser.add_argument("--folder", type=Path, help="where the files are made (default: a temporary folder)")
    given = parser.parse_args()
    shares = (40, 20, 10, 1) if given.full else (40, 20, 10)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        arrays = halves()
        write_mat5(folder / "valid.mat", "valid", VALID, *arrays)
        write_mat5(folder / "test.mat", "test", TEST, *arrays)
        print("| what | samples | raw GB | file GB | peak MiB | CPU s | wall s | dataset GB |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        test = folder / "test.mat"
        peak, cpu, wall, said = measured(SCIPY, test)
        assert said == f"({TEST}, 4, {WINDOW_BP})", said
        row("scipy.io.loadmat, test.mat alone", TEST, TEST, test.stat().st_size, peak, cpu, wall, None)
        for share in shares:
            n_samples = TRAIN // share
            write_train(folder / "train.mat", n_samples, *arrays)
            size = sum((folder / f"{split}.mat").stat().st_size for split in ("train", "valid", "test"))
            output = folder / "out.h5"
            peak, cpu, wall, said = measured(PREPARE, folder, output)
            assert said == str((n_samples + VALID + TEST) // 2), said
            label = f"prepare, train.mat {'whole' if share == 1 else f'at 1/{share}'}"
            row(label, n_samples + VALID + TEST, n_samples + VALID + TEST, size, peak, cpu, wall, output)
            output.unlink()
    print(f"making the files: {resource.getrusage(resource.RUSAGE_SELF).ru_utime:.0f} CPU s")


def row(
    what: str, samples: int, raw: int, size: int, peak: float, cpu: float, wall: float, output: Path | None
) -> None:
    dataset = f"{output.stat().st_size / 1e9:.2f}" if output else ""
    raw_gb = raw * (4 * WINDOW_BP + TASKS) / 1e9
    print(
        f"| {what} | {samples:,} | {raw_gb:.2f} | {size / 1e9:.2f} | {peak:,.0f} | {cpu:.0f} | {wall:.0f} | "
        f"{dataset} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
