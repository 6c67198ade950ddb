"""Known binding motifs: the vertebrate matrices of JASPAR 2024 that ship with the package.

    python -m genome_lm.motifs [OUTPUT]

rebuilds the file from the package pyjaspar (extra `motifs`).
"""

import functools
import hashlib
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from genome_lm.atomic import replacing
from genome_lm.errors import UserError

RELEASE = "JASPAR2024"
BACKGROUND = np.array([0.3, 0.2, 0.2, 0.3])
"""Rates of A, C, G, T in the human genome, rounded."""
PSEUDOCOUNT = 0.5
CHECKSUM = "cdd099daee9d31e52580b428aa53a6df0d2fe1f3812eea78c972cb93c2f695e0"
"""Of the shipped matrices, `Motifs.checksum`: a release has one content."""


@dataclass(frozen=True)
class Motifs:
    """Base counts of aligned sites.

    Attributes:
        id: matrix ids such as MA0139.2, ascending.
        name: of the protein, one a motif.
        counts: int32 [4, width] each, rows A, C, G, T, columns in the motif's direction.
    """

    id: tuple[str, ...]
    name: tuple[str, ...]
    counts: tuple[np.ndarray, ...]

    def checksum(self) -> str:
        """SHA-256 over ids and counts, hexadecimal."""
        digest = hashlib.sha256()
        for name, counts in zip(self.id, self.counts, strict=True):
            digest.update(f"{name} {counts.shape[1]} ".encode())
            digest.update(np.ascontiguousarray(counts, dtype="<i4").data)
        return digest.hexdigest()

    def log_odds(self) -> list[np.ndarray]:
        """Log-odds against the background in nats, float64 [4, width] each (Stormo 2000, equation 4).

        A pseudocount of 0.5 is added to each count.
        """
        scores = []
        for counts in self.counts:
            padded = counts + PSEUDOCOUNT
            scores.append(np.log(padded / padded.sum(axis=0) / BACKGROUND[:, None]))
        return scores


def motifs_path() -> Path:
    """Where the shipped matrices lie."""
    return Path(str(files("genome_lm") / "assets" / "jaspar2024_vertebrates.npz"))


@functools.cache  # a quarter of a second
def read_motifs() -> Motifs:
    """The shipped matrices: the newest version of each of JASPAR 2024 CORE, vertebrates.

    Raises:
        UserError: the file is missing or damaged, that is, the installation is.
    """
    path = motifs_path()
    try:
        with np.load(path, allow_pickle=False) as content:
            ends = np.cumsum(content["width"])
            counts = np.split(content["counts"], ends[:-1], axis=1)
            motifs = Motifs(tuple(content["id"].tolist()), tuple(content["name"].tolist()), tuple(counts))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is missing or damaged ({error}); install genome_lm again") from error
    if (found := motifs.checksum()) != CHECKSUM:
        raise UserError(f"{path} holds other matrices than {RELEASE}'s ({found}); install genome_lm again")
    return motifs


def main(arguments: list[str]) -> int:
    """Rebuild the shipped file from pyjaspar. Returns the exit code: 0, or 2 after a message."""
    try:
        import pyjaspar
    except ImportError:
        print('error: this needs pyjaspar: pip install "genome-lm[motifs]"', file=sys.stderr)
        return 2
    database = pyjaspar.jaspardb(release=RELEASE)
    try:
        found = database.fetch_motifs(collection="CORE", tax_group=["vertebrates"])
    finally:
        database.conn.close()
    motifs = sorted(found, key=lambda motif: str(motif.matrix_id))
    counts = [np.array([motif.counts[base] for base in "ACGT"], dtype=np.float64) for motif in motifs]
    with (
        replacing(Path(arguments[0]) if arguments else motifs_path()) as temporary,
        temporary.open("wb") as file,
    ):
        np.savez_compressed(
            file,
            id=np.array([motif.matrix_id for motif in motifs]),
            name=np.array([motif.name for motif in motifs]),
            width=np.array([matrix.shape[1] for matrix in counts], dtype=np.int32),
            counts=np.round(np.concatenate(counts, axis=1)).astype(np.int32),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
