"""What a rank that fails leaves for the process that started it."""

import json
import time
import traceback
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from genome_lm.atomic import write_text
from genome_lm.errors import UserError


class LostRankError(UserError):
    """Another rank is gone or does not answer: this one's failure is a consequence, not the cause."""


class Kind(StrEnum):
    """What a rank has failed by."""

    input = "input"
    """A UserError, whose message says all."""

    exception = "exception"
    """Any other exception."""

    lost = "lost"
    """A LostRankError."""


@dataclass(frozen=True)
class Report:
    """Why a rank has failed.

    Attributes:
        rank: its number.
        time: of the failure, seconds since the epoch, to tell the first of several.
        kind: what it was.
        message: in one line.
        traceback: of the exception.
    """

    rank: int
    time: float
    kind: Kind
    message: str
    traceback: str


def leave_report(folder: Path, rank: int, error: Exception) -> None:
    """Write down an exception of this process."""
    kind = Kind.exception
    if isinstance(error, UserError):
        kind = Kind.lost if isinstance(error, LostRankError) else Kind.input
    text = " ".join(str(error).split())
    report = Report(
        rank=rank,
        time=time.time(),
        kind=kind,
        message=f"{type(error).__name__}: {text}" if kind is Kind.exception else text,
        traceback=traceback.format_exc(),
    )
    write_text(_path(folder, rank), json.dumps(asdict(report)))


def read_report(folder: Path, rank: int) -> Report | None:
    """The report of a rank; None if it left none."""
    path = _path(folder, rank)
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return Report(**content | {"kind": Kind(content["kind"])})


def _path(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.json"
