"""Chromosome names and the assembly of a dataset."""

import numpy as np

from genome_lm.dataset.contents import Dataset
from genome_lm.doctor.assemblies import LENGTHS, common_name, known_assembly
from genome_lm.doctor.finding import Finding, advice, ok, problem, some


def check_genome(dataset: Dataset) -> list[Finding]:
    """Whether names and coordinates fit together and the assembly that the file names."""
    if not has_coordinates(dataset):
        return [ok("assembly", f"{dataset.genome_build or 'none named'}; the windows have no coordinates")]
    return [check_names(dataset.chromosomes), check_assembly(dataset.genome_build, last_bases(dataset))]


def has_coordinates(dataset: Dataset) -> bool:
    """Whether windows lie on chromosomes, and not end to end under invented names."""
    return any(common_name(name) in LENGTHS["hg19"] for name in dataset.chromosomes) or not np.array_equal(
        dataset.start, dataset.offset
    )


def check_names(chromosomes: tuple[str, ...]) -> Finding:
    """Whether the chromosomes are named in one way."""
    bare = [name for name in chromosomes if f"chr{name}" in LENGTHS["hg19"]]
    prefixed = [name for name in chromosomes if name in LENGTHS["hg19"]]
    text = f"{len(chromosomes)} ({some(chromosomes)})"
    if bare and prefixed:
        return problem(
            "chromosomes",
            f"{text}: some are named as {prefixed[0]}, others as {bare[0]}; both may be there twice",
            "rename them in the FASTA and in the peak files, and prepare the dataset again",
        )
    style = "with chr" if prefixed else "without chr" if bare else "by names of their own"
    return ok("chromosomes", f"{text}, {style}")


def last_bases(dataset: Dataset) -> dict[str, int]:
    """End of the last labelled bin on each chromosome, bp; what is beyond it may be padded with N."""
    flank = (dataset.window_bp - dataset.bin_bp) // 2
    ends = dataset.start + flank + dataset.bin_bp
    return {
        name: int(ends[dataset.chromosome == number].max())
        for number, name in enumerate(dataset.chromosomes)
        if (dataset.chromosome == number).any()
    }


def check_assembly(named: str, ends: dict[str, int]) -> Finding:
    """Hold the coordinates against the chromosome lengths of the assembly that is named.

    Args:
        named: the name in the file.
        ends: of the last labelled base on each chromosome, bp.
    """
    if not named.strip():
        return advice(
            "assembly",
            "none is named, so nothing tells a checkpoint from that of another assembly",
            "genome-lm prepare genome_build=hg19",
        )
    known = known_assembly(named)
    fitting = [name for name in LENGTHS if not beyond(name, ends)]
    if known is None:
        return ok("assembly", f"{named}, whose chromosome lengths are not known here")
    if over := beyond(known, ends):
        worst = max(over, key=lambda name: ends[name] - LENGTHS[known].get(common_name(name), 0))
        length = LENGTHS[known].get(common_name(worst))
        text = f"{worst} has labels up to {ends[worst]:,}, in {known} it " + (
            f"ends at {length:,}" if length is not None else "does not exist"
        )
        could = (
            f"the coordinates fit {' or '.join(fitting)}" if fitting else "they fit no assembly known here"
        )
        return problem(
            "assembly",
            f"{text}; {could}",
            "prepare it again with the FASTA of the peaks' assembly, and its name as genome_build",
        )
    return ok("assembly", f"{named}; all coordinates are within its chromosomes")


def beyond(assembly: str, ends: dict[str, int]) -> list[str]:
    """Chromosomes of known names that end earlier in this assembly, or do not exist there."""
    lengths = LENGTHS[assembly]
    every = set().union(*LENGTHS.values())
    return [
        name
        for name, end in ends.items()
        if common_name(name) in every and end > lengths.get(common_name(name), 0)
    ]
