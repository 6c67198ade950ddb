"""Small genomes, peak files and manifests written to a folder, for the tests of `prepare`."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Intervals = Sequence[tuple[str, int, int]]


def random_letters(length: int, seed: int = 0, letters: str = "ACGT") -> str:
    draw = np.random.default_rng(seed)
    return "".join(draw.choice(list(letters), size=length))


def fasta_text(records: Mapping[str, str], width: int = 60, newline: str = "\n") -> str:
    lines = []
    for name, letters in records.items():
        lines += [
            f">{name} some description",
            *(letters[at : at + width] for at in range(0, len(letters), width)),
        ]
    return newline.join(lines) + newline


def write_fasta(path: Path, records: Mapping[str, str], width: int = 60) -> Path:
    path.write_text(fasta_text(records, width))
    return path


def bgzip(raw: bytes, block: int = 100) -> bytes:
    """Many gzip members and an empty one at the end, as bgzip writes them."""
    parts = [raw[at : at + block] for at in range(0, len(raw), block)]
    return b"".join(gzip.compress(part, mtime=0) for part in [*parts, b""])


def bed_text(intervals: Intervals) -> str:
    return "".join(f"{name}\t{start}\t{end}\tpeak\t0\t.\n" for name, start, end in intervals)


def write_manifest(
    folder: Path, tracks: Mapping[str, Intervals], selects: Mapping[str, int] | None = None
) -> Path:
    """A manifest `tracks.tsv` with one BED file a track; `selects` gives the column selects_bins."""
    lines = ["task_id\tfile\tcell\tgroup" + ("\tselects_bins" if selects is not None else "")]
    for name, intervals in tracks.items():
        (folder / f"{name}.bed").write_text(bed_text(intervals))
        choice = f"\t{selects[name]}" if selects is not None else ""
        lines.append(f"{name}\t{name}.bed\tK562\ttf{choice}")
    path = folder / "tracks.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def contents(folder: Path) -> set[str]:
    """Names of everything in a folder, hidden files included."""
    return {path.name for path in folder.rglob("*")}
