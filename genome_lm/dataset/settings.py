"""Every number of the recipe. The defaults are DeepSEA's (Zhou & Troyanskaya 2015, Nature Methods 12:931)."""

import math
from dataclasses import dataclass
from pathlib import Path

from genome_lm.choices import EndPolicy, NPolicy, Storage
from genome_lm.errors import UserError


@dataclass(frozen=True)
class PrepareSettings:
    """How windows and labels are made.

    Bins are aligned to multiples of `bin_bp`; an incomplete one at a chromosome's end is not used. A task
    is positive in a bin when its united peaks cover at least `min_coverage` of the bin. A bin is kept when
    at least `min_positives` of the tasks with selects_bins = 1 are positive in it. Its window is
    `window_bp` centred on it.

    `valid` and `test` list regions, 0-based half-open ("chr20:40,000,000-48,000,000") or whole chromosomes
    ("chr8"); the rest is for training. A bin belongs to the region that holds all of it. Windows closer than
    `buffer_bp` to a region of another split are dropped. Whatever the buffer, windows of different splits
    never share a base (`genome_lm.dataset.regions.assign_splits` has the rule).

    A bin that shares a base with the `blacklist` (a BED file) is dropped. `background_per_positive` adds
    that many bins without a peak of any task for each bin kept, drawn by `seed`. `strict` refuses tracks
    without any peak on the genome. `storage` is how the file holds all this, and changes none of it.
    """

    genome_build: str
    bin_bp: int = 200
    min_coverage: float = 0.5
    min_positives: int = 1
    window_bp: int = 1000
    n_policy: NPolicy = NPolicy.core
    end_policy: EndPolicy = EndPolicy.drop
    blacklist: Path | None = None
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    buffer_bp: int = 1000
    background_per_positive: float = 0.0
    seed: int = 0
    strict: bool = False
    compression_level: int = 4
    storage: Storage = Storage.auto

    def __post_init__(self) -> None:
        """Raises UserError for a value outside its range."""
        checks = (
            ("genome_build", bool(self.genome_build.strip()), "the name of the assembly, such as hg19"),
            ("bin_bp", self.bin_bp >= 1, "at least 1"),
            ("min_coverage", 0 < self.min_coverage <= 1, "more than 0 and at most 1"),
            ("min_positives", self.min_positives >= 1, "at least 1"),
            ("window_bp", self.window_bp >= self.bin_bp, f"at least bin_bp = {self.bin_bp}"),
            (
                "window_bp",
                (self.window_bp - self.bin_bp) % 2 == 0,
                f"bin_bp = {self.bin_bp} and an even number of flanking bases",
            ),
            ("buffer_bp", self.buffer_bp >= 0, "0 or more"),
            (
                "background_per_positive",
                0 <= self.background_per_positive < math.inf,
                "0 or more",
            ),
            ("seed", self.seed >= 0, "0 or more"),
            ("compression_level", 0 <= self.compression_level <= 9, "0 to 9"),
        )
        for name, holds, expected in checks:
            if not holds:
                raise UserError(f"{name}={getattr(self, name)!r}: expected {expected}")

    @property
    def flank_bp(self) -> int:
        """Bases of the window on each side of the bin."""
        return (self.window_bp - self.bin_bp) // 2

    @property
    def min_covered_bp(self) -> int:
        """Bases of a bin that make it positive."""
        return max(1, math.ceil(self.min_coverage * self.bin_bp - 1e-9))

    def as_recipe(self) -> dict:
        """The settings that shape the contents, ready for JSON; files by name only."""
        return {
            "bin_bp": self.bin_bp,
            "min_coverage": self.min_coverage,
            "min_positives": self.min_positives,
            "window_bp": self.window_bp,
            "n_policy": self.n_policy.value,
            "end_policy": self.end_policy.value,
            "blacklist": self.blacklist.name if self.blacklist else None,
            "valid": list(self.valid),
            "test": list(self.test),
            "buffer_bp": self.buffer_bp,
            "background_per_positive": self.background_per_positive,
            "seed": self.seed,
        }
