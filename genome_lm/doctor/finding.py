"""What was looked at, whether it is well, and what to change; as text and as plain values."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

WIDTH = 118


class Level(StrEnum):
    """How much a finding matters."""

    ok = "ok"
    advice = "advice"
    problem = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        name: what was looked at, such as "shared bases".
        level: whether it is well.
        text: what was found, with its figures.
        remedy: what to change, a command or a key; empty where nothing is to be done.
    """

    name: str
    level: Level
    text: str
    remedy: str = ""


def ok(name: str, text: str) -> Finding:
    """All is well."""
    return Finding(name, Level.ok, text)


def advice(name: str, text: str, remedy: str) -> Finding:
    """It works, and could be better."""
    return Finding(name, Level.advice, text, remedy)


def problem(name: str, text: str, remedy: str) -> Finding:
    """A run would fail, or its figures would be wrong."""
    return Finding(name, Level.problem, text, remedy)


@dataclass(frozen=True)
class Section:
    """Findings of one topic, such as "dataset"."""

    title: str
    findings: Sequence[Finding]


def count(sections: Sequence[Section], level: Level) -> int:
    """Findings of a level."""
    return sum(each.level is level for section in sections for each in section.findings)


def to_text(section: Section) -> str:
    """A heading and a paragraph a finding, without a final newline."""
    lines = [section.title]
    for each in section.findings:
        head = f"  {each.level:<8} {each.name}: "
        lines += textwrap.wrap(
            each.text, WIDTH, initial_indent=head, subsequent_indent=" " * 11, break_on_hyphens=False
        )
        if each.remedy:
            lines += textwrap.wrap(
                f"-> {each.remedy}",
                WIDTH,
                initial_indent=" " * 11,
                subsequent_indent=" " * 14,
                break_on_hyphens=False,
                break_long_words=False,
            )
    return "\n".join(lines)


def to_plain(sections: Sequence[Section]) -> dict[str, Any]:
    """Plain values for JSON: counts by level, and the findings by section."""
    return {
        "problems": count(sections, Level.problem),
        "advice": count(sections, Level.advice),
        "sections": {
            section.title: [asdict(each) | {"level": each.level.value} for each in section.findings]
            for section in sections
        },
    }


def some(names: Sequence[str], shown: int = 3) -> str:
    """The first few of some names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more:,} more" if more > 0 else "")


def size(n_bytes: float) -> str:
    """Bytes in words, such as "2.40 GB"."""
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
