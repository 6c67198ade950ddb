"""Sources of `prepare` at the scale of DeepSEA: an assembly of hg19's lengths and 919 peak files, simulated.

Letters are random, half of them in lower case, with runs of N at both ends and in the middle of each
chromosome (7.6% in all, as in hg19). Peaks of all tracks lie on shared sites, some of them in many tracks, so
that some 2.6 million bins of 200 bp have one: numbers and widths by kind of track are about those of the
ENCODE peaks that DeepSEA used (690 transcription factors, 125 DNase, 104 histone marks).
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HG19_MB = {
    "chr1": 249_250_621, "chr2": 243_199_373, "chr3": 198_022_430, "chr4": 191_154_276, "chr5": 180_915_260,
    "chr6": 171_115_067, "chr7": 159_138_663, "chr8": 146_364_022, "chr9": 141_213_431, "chr10": 135_534_747,
    "chr11": 135_006_516, "chr12": 133_851_895, "chr13": 115_169_878, "chr14": 107_349_540,
    "chr15": 102_531_392, "chr16": 90_354_753, "chr17": 81_195_210, "chr18": 78_077_248, "chr19": 59_128_983,
    "chr20": 63_025_520, "chr21": 48_129_895, "chr22": 51_304_566, "chrX": 155_270_560, "chrY": 59_373_566,
}  # fmt: skip
"""Lengths of hg19's chromosomes, bp: 3,095,677,412 together."""

LINE_BP = 50
UNKNOWN = 0.076  # share of N


@dataclass(frozen=True)
class Kind:
    """Tracks of one kind: how many, median peaks of one on the whole genome, and median width of a peak."""

    name: str
    n_tracks: int
    n_peaks: int
    width_bp: int
    selects_bins: bool


KINDS = (
    Kind("tf", 690, 17_000, 260, True),
    Kind("dnase", 125, 140_000, 150, False),
    Kind("histone", 104, 45_000, 900, False),
)
SITES = 1_500_000  # on the whole genome
SPREAD_BP = 60  # of a peak's centre around its site


def chromosome_lengths(scale: float) -> dict[str, int]:
    """hg19's, each multiplied by `scale`."""
    return {name: int(length * scale) for name, length in HG19_MB.items()}


def write_assembly(path: Path, lengths: dict[str, int], seed: int = 0) -> int:
    """Write a FASTA with lines of 50 bp, and return its size in bytes."""
    generator = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGTacgt" * 32, dtype=np.uint8)
    with open(path, "wb") as file:
        for name, length in lengths.items():
            codes = letters[np.frombuffer(generator.bytes(length), dtype=np.uint8)]
            gap = int(length * UNKNOWN)
            for first, end in _gaps(length, gap):
                codes[first:end] = ord("N")
            whole = length // LINE_BP
            lines = np.full((whole, LINE_BP + 1), ord("\n"), dtype=np.uint8)
            lines[:, :LINE_BP] = codes[: whole * LINE_BP].reshape(whole, LINE_BP)
            file.write(f">{name}\n".encode())
            file.write(lines.data)
            if length % LINE_BP:
                file.write(codes[whole * LINE_BP :].tobytes() + b"\n")
        return file.tell()


def _gaps(length: int, gap: int) -> list[tuple[int, int]]:
    """Runs of N: a tenth of `gap` bp at either end, the rest around the middle."""
    end = gap // 10
    middle = (length - gap) // 2
    return [(0, end), (middle, middle + gap - 2 * end), (length - end, length)]


def write_tracks(folder: Path, lengths: dict[str, int], scale: float, seed: int = 0) -> tuple[Path, int]:
    """Write gzipped narrowPeak files and their manifest; return its path and the number of peaks."""
    generator = np.random.default_rng(seed)
    sites = _Sites(lengths, int(SITES * scale), generator)
    rows = ["task_id\tfile\tcell\ttarget\tgroup\tselects_bins"]
    total = 0
    for kind in KINDS:
        for number in range(kind.n_tracks):
            name = f"{kind.name}_{number:03d}"
            count = max(10, int(kind.n_peaks * scale * generator.lognormal(0, 0.8)))
            total += _write_track(folder / f"{name}.narrowPeak.gz", sites, count, kind.width_bp, generator)
            rows.append(f"{name}\t{name}.narrowPeak.gz\tK562\t{name}\t{kind.name}\t{int(kind.selects_bins)}")
    path = folder / "tracks.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path, total


class _Sites:
    """Where peaks may lie, and how popular each place is."""

    def __init__(self, lengths: dict[str, int], n: int, generator: np.random.Generator) -> None:
        self.names = tuple(lengths)
        bp = np.array(list(lengths.values()))
        self.limits = bp
        self.chromosome = np.sort(generator.choice(len(bp), size=n, p=bp / bp.sum()))
        self.centre = (generator.random(n) * bp[self.chromosome]).astype(np.int64)
        popularity = generator.pareto(1.1, n) + 0.3
        self.cumulated = np.cumsum(np.minimum(popularity, 200))

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Indices of sites, each once, the popular ones first of all."""
        at = generator.random(int(1.15 * count)) * self.cumulated[-1]
        return np.unique(np.searchsorted(self.cumulated, at))[:count]


def _write_track(path: Path, sites: _Sites, count: int, width_bp: int, generator: np.random.Generator) -> int:
    chosen = generator.permutation(sites.draw(count, generator))  # as by score: in no order of the genome
    width = np.maximum(60, width_bp * generator.lognormal(0, 0.4, len(chosen))).astype(np.int64)
    centre = sites.centre[chosen] + generator.normal(0, SPREAD_BP, len(chosen)).astype(np.int64)
    limit = sites.limits[sites.chromosome[chosen]]
    start = np.clip(centre - width // 2, 0, limit - 61)
    end = np.minimum(start + width, limit)
    names = [sites.names[index] for index in sites.chromosome[chosen].tolist()]
    signal = generator.integers(1_000, 99_999, len(chosen)).tolist()
    line = "{}\t{}\t{}\t.\t0\t.\t{}\t-1\t4.71\t-1\n".format
    text = "".join(map(line, names, start.tolist(), end.tolist(), signal))
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(text.encode())
    return len(chosen)
