"""Motif matrices of JASPAR, from the package pyjaspar."""

import numpy as np

from genome_lm.errors import UserError


def vertebrate_motifs(release: str) -> dict[str, np.ndarray]:
    """The newest version of every vertebrate motif of JASPAR CORE (Mathelier et al. 2016 and later releases).

    pyjaspar holds all releases in its own files; nothing is downloaded.

    Args:
        release: such as JASPAR2016.

    Returns:
        Base frequencies by matrix id such as MA0139.1, ids ascending: float32 [4, length], rows A, C, G, T,
        columns in the motif's direction; a column sums to 1.

    Raises:
        UserError: pyjaspar is not installed, or does not have the release.
    """
    try:
        import pyjaspar
    except ImportError as error:
        raise UserError(
            'JASPAR motifs need the package pyjaspar, which is not installed: pip install "genome-lm[motifs]"'
        ) from error
    if release not in pyjaspar.jaspar_releases:
        raise UserError(
            f"model.encoder.release is {release}; pyjaspar has {', '.join(sorted(pyjaspar.jaspar_releases))}"
        )
    database = pyjaspar.jaspardb(release=release)
    try:
        motifs = database.fetch_motifs(collection="CORE", tax_group=["vertebrates"])
    finally:
        database.conn.close()
    frequencies = {}
    for motif in sorted(motifs, key=lambda motif: str(motif.matrix_id)):
        counts = np.array([motif.counts[base] for base in "ACGT"], dtype=np.float64)
        frequencies[str(motif.matrix_id)] = (counts / counts.sum(axis=0)).astype(np.float32)
    return frequencies
