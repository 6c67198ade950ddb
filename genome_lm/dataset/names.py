"""Chromosome names of two sources: `20` and `chr20` are one; everything else must agree as written."""

from collections.abc import Container, Iterable, Mapping, Sequence

from genome_lm.errors import UserError

_SHOWN = 8


def match_name(name: str, known: Container[str]) -> str | None:
    """The name among `known` that means `name`: itself, or with "chr" added or removed; None when absent.

    `M` and `MT` are kept apart: in hg19 `chrM` is another sequence than GRCh37's `MT`.
    """
    if name in known:
        return name
    other = name[3:] if name.startswith("chr") else f"chr{name}"
    return other if other in known else None


def listed(names: Iterable[str]) -> str:
    """Names for a message, shortened when there are many."""
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def check_shared_names(
    names_of: Mapping[str, Sequence[str]], known: Container[str], genome: Sequence[str]
) -> None:
    """Refuse peak files that name their chromosomes in a way the FASTA does not know.

    A file none of whose names is in the FASTA may simply have no peak on the part of the genome used. It is
    taken so when at least one of its names also occurs in a file that does match; otherwise its naming is
    foreign.

    Args:
        names_of: chromosome names of each file, by the file's name.
        known: the genome's names, for look-up; `genome` the same in order.

    Raises:
        UserError: lists the names of both sides.
    """
    matching = {
        file: any(match_name(name, known) is not None for name in names) for file, names in names_of.items()
    }
    ordinary = {name for file, names in names_of.items() if matching[file] for name in names}
    for file, names in names_of.items():
        if names and not matching[file] and not any(match_name(name, ordinary) for name in names):
            raise UserError(
                f"{file} names no chromosome of the FASTA: it has {listed(names)}, the FASTA has "
                f"{listed(genome)}; "
                "rename one side (only a missing or extra 'chr' is reconciled)"
            )
