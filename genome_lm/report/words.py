"""Numbers in words for readers: rounded, with a sign where it matters, "-" where there is none."""

from collections.abc import Sequence

from genome_lm.report.lookup import Pair

NONE = "-"
MINUS = "\N{MINUS SIGN}"


def score(value: float | None, digits: int = 3) -> str:
    """A score to a fixed number of decimals."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign."""
    return NONE if value is None else f"{value:+.{digits}f}".replace("-", MINUS)


def percent(share: float | None, digits: int = 0) -> str:
    """A share as a percentage."""
    return NONE if share is None else f"{100 * share:.{digits}f}%".replace("-", MINUS)


def signed_percent(share: float | None, digits: int = 0) -> str:
    """A difference of two shares, in percentage points with its sign."""
    return NONE if share is None else f"{100 * share:+.{digits}f}".replace("-", MINUS)


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return NONE if value is None else f"{value:,.0f}".replace("-", MINUS)


def several(value: int, one: str, many: str = "") -> str:
    """A number with its noun: 1 task, 2 tasks."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def spanned(interval: Pair | None, digits: int = 3, sign: bool = False) -> str:
    """Both ends of an interval of scores, or an empty string."""
    show = signed if sign else score
    return "" if interval is None else f"{show(interval[0], digits)} to {show(interval[1], digits)}"


def counts_spanned(interval: Pair | None) -> str:
    """Both ends of an interval of counts, or an empty string."""
    return "" if interval is None else f"{count(interval[0])} to {count(interval[1])}"


def tiny(value: float | None) -> str:
    """A p or q value: three decimals, and below that only that it is less."""
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def size(bases: int) -> str:
    """A length of DNA: 100 kb, 1.5 Mb, 500 bp."""
    for unit, factor in (("Mb", 1_000_000), ("kb", 1_000)):
        if bases >= factor:
            return f"{bases / factor:g} {unit}"
    return f"{bases} bp"


def short_group_name(name: str) -> str:
    """A group's name in text, as `group_name` gives it, where there is little room."""
    return {"transcription factors": "TF", "histone marks": "histone"}.get(name, name)


def group_name(group: str) -> str:
    """A group of tasks as it is called in text."""
    known = {"tf": "transcription factors", "histone": "histone marks", "dnase": "DNase"}
    return known.get(group.lower(), group or "no group given")
