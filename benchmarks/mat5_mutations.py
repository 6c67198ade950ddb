"""Mutated MATLAB 5 files: the reader of valid.mat and test.mat gives an error or the right values.

    python benchmarks/mat5_mutations.py [--seconds 40] [--seed 1]

Bytes are changed anywhere and, half of the time, among the tags and claims at the beginning; some files are
cut off. Compressed ones must be refused or give what was written; another exception than UserError ends it.
"""

import argparse
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.io import savemat

from genome_lm.dataset.deepsea.held import HeldSamples
from genome_lm.dataset.deepsea.mat5 import is_mat5
from genome_lm.errors import UserError

SAMPLES, WINDOW_BP, TASKS = 23, 60, 12
HEADER, CLAIMS = 100, 240  # bytes: what comes first in the file, and where the values begin


def written(path: Path) -> list[tuple[bool, bytes]]:
    """Files to mutate, and whether they are compressed."""
    draw = np.random.default_rng(0)
    onehot = np.eye(4, dtype="u1")[draw.integers(0, 4, (SAMPLES, WINDOW_BP))].transpose(0, 2, 1)
    labels = (draw.random((SAMPLES, TASKS)) < 0.3).astype("u1")
    files = []
    for compressed in (True, False):
        for dtype in ("u1", "f8"):
            arrays = {"testxdata": onehot.astype(dtype), "testdata": labels.astype(dtype)}
            savemat(path, arrays, do_compression=compressed)
            files.append((compressed, path.read_bytes()))
    return files


def mutated(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    if draw.random() < 0.2:
        return bytes(changed[: draw.randrange(len(changed))])
    for _ in range(draw.randint(1, 4)):
        early = draw.random() < 0.5
        at = draw.randrange(HEADER, CLAIMS) if early else draw.randrange(len(changed))
        changed[at] = draw.choice((0, 1, 127, 128, 255, draw.randrange(256)))
    return bytes(changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=40, help="of CPU time")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    refused = right = other = 0
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.mat"
        files = written(path)
        path.write_bytes(files[0][1])
        expected = HeldSamples(path, "test").codes(0, SAMPLES).copy()
        while (begun := time.process_time()) < given.seconds:
            compressed, content = draw.choice(files)
            path.write_bytes(mutated(content, draw))
            try:
                if not is_mat5(path):
                    raise UserError("another kind of file")
                codes = HeldSamples(path, "test").codes(0, SAMPLES)
            except UserError:
                refused += 1
            else:
                same = codes.shape == expected.shape and bool((codes == expected).all())
                assert same or not compressed, "other values from a compressed file"
                right, other = right + same, other + (not same)
            slowest = max(slowest, time.process_time() - begun)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    print("| files | refused | right values | other values, stored plain | slowest, CPU ms | peak MiB |")
    print("|---:|---:|---:|---:|---:|---:|")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    counts = " | ".join(f"{n:,}" for n in (refused + right + other, refused, right, other))
    print(f"| {counts} | {1000 * slowest:.1f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
