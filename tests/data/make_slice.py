"""Cut the test fixture out of the sources of the embedded dataset.

    python tests/data/make_slice.py SOURCE_FOLDER

SOURCE_FOLDER holds chr20.fa.gz (GRCh37), tracks.tsv and the peak files that it names. What is cut, and how it
can be compared with the embedded dataset, is in tests/data/README.md.
"""

import csv
import gzip
import sys
from pathlib import Path

from genome_lm.dataset.fasta import read_fasta, scan_fasta
from genome_lm.dna import decode

START, END = 47_000_000, 49_000_000  # multiples of the bin, around the edge of test and validation
TRACKS = (
    "wgEncodeAwgTfbsBroadGm12878CtcfUniPk",
    "ChIPseq.MCF-7.CTCF.conservative.train",
    "ChIPseq.MCF-7.MYC.conservative.train",
    "ChIPseq.HepG2.FOXA2.conservative.train",
    "ChIPseq.K562.CTCF.conservative.train",
    "wgEncodeAwgTfbsBroadHelas3CtcfUniPk",
    "wgEncodeAwgTfbsHaibGm12878Runx3sc101553V0422111UniPk",
    "ChIPseq.K562.MAX.conservative.train",
    "wgEncodeAwgTfbsSydhHelas3Ap2gammaUniPk",
    "wgEncodeAwgTfbsSydhK562Stat1Ifna6hUniPk",
    "wgEncodeAwgTfbsSydhK562Pol3UniPk",
    "wgEncodeAwgDnaseUwdukeGm12878UniPk",
    "wgEncodeAwgDnaseUwdukeK562UniPk",
    "wgEncodeOpenChromFaireHuvecPk",
    "wgEncodeBroadHistoneGm12878H3k4me2StdPk",
    "wgEncodeBroadHistoneGm12878H4k20me1StdPk",
    "wgEncodeBroadHistoneHelas3H3k4me3StdPk",
    "wgEncodeBroadHistoneK562H3k27me3StdPk",
    "wgEncodeBroadHistoneK562NcorPk",
    "ENCFF775GBM",
    "ENCFF933NEK",
)
FOLDER = Path(__file__).parent / "slice"


def write_gzip(path: Path, text: str) -> None:
    """Write gzip that does not depend on the time or the machine."""
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def cut_fasta(source: Path, output: Path) -> None:
    """Bases START to END of the only record, under its own name."""
    ((name, codes),) = read_fasta(source, scan_fasta(source))
    letters = decode(codes[START:END])
    lines = [letters[at : at + 80] for at in range(0, len(letters), 80)]
    write_gzip(output, f">{name}\n" + "\n".join(lines) + "\n")


def cut_peaks(source: Path, output: Path) -> int:
    """Peaks that touch the slice, clipped to it and shifted by START; returns their number."""
    kept = []
    with gzip.open(source, "rt") as lines:
        for line in lines:
            chromosome, start, end, *rest = line.rstrip("\n").split("\t")
            left, right = max(int(start), START), min(int(end), END)
            if left < right:
                kept.append("\t".join([chromosome, str(left - START), str(right - START), *rest]) + "\n")
    write_gzip(output, "".join(kept))
    return len(kept)


def main(source: Path) -> None:
    (FOLDER / "peaks").mkdir(parents=True, exist_ok=True)
    cut_fasta(source / "chr20.fa.gz", FOLDER / "chr20_47Mb_49Mb.fa.gz")
    with open(source / "tracks.tsv", newline="") as stream:
        rows = {row["task_id"]: row for row in csv.DictReader(stream, delimiter="\t")}
    with open(FOLDER / "tracks.tsv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[TRACKS[0]]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for task in TRACKS:
            row = rows[task]
            row["n_peaks"] = str(cut_peaks(source / row["file"], FOLDER / row["file"]))
            writer.writerow(row)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
