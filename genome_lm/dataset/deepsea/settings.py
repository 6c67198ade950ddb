"""What is to be made of DeepSEA's files."""

from dataclasses import dataclass
from pathlib import Path

from genome_lm.choices import PairPolicy
from genome_lm.dataset.contents import SPLITS
from genome_lm.errors import UserError


@dataclass(frozen=True)
class DeepseaSettings:
    """Files and recipe.

    `subset` says how many windows of each split to draw by `seed`; None takes all. `bin_bp` is the length of
    the bin in the middle of each window that the labels are about.
    """

    train: Path
    valid: Path
    test: Path
    genome_build: str
    task_names: Path | None = None
    pairs: PairPolicy = PairPolicy.fold
    subset: tuple[int | None, int | None, int | None] = (None, None, None)  # by split
    bin_bp: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UserError for a value outside its range."""
        if not self.genome_build.strip():
            raise UserError("genome_build='': expected the name of the assembly, such as hg19")
        for name, value, least in (("bin_bp", self.bin_bp, 1), ("seed", self.seed, 0)):
            if value < least:
                raise UserError(f"{name}={value}: expected at least {least}")
        for split, size in zip(SPLITS, self.subset, strict=True):
            if size is not None and size < 1:
                raise UserError(
                    f"source.subset.{split}={size}: expected at least 1, or null for all windows of the file"
                )

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """The files in the order of the splits."""
        return self.train, self.valid, self.test

    def check_windows(self, window_bp: int, where: str) -> None:
        """Refuse windows that a bin cannot be in the middle of.

        Raises:
            UserError: they are shorter than `bin_bp`, or leave an odd number of flanking bases.
        """
        if window_bp < self.bin_bp or (window_bp - self.bin_bp) % 2:
            raise UserError(
                f"{where}: windows of {window_bp:,} bp with bin_bp={self.bin_bp}; expected bin_bp of at most "
                "the window and an even number of flanking bases"
            )

    def as_recipe(self, window_bp: int) -> dict:
        """The settings that shape the contents, ready for JSON."""
        return {
            "source": "deepsea",
            "bin_bp": self.bin_bp,
            "window_bp": window_bp,
            "pairs": self.pairs.value,
            "subset": dict(zip(SPLITS, self.subset, strict=True)),
            "seed": self.seed,
            "positions": "number in the file times bin_bp",
        }
