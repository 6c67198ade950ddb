"""What a rank that fails leaves for the process that started it."""

import json
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from genome_lm.atomic import write_text
from genome_lm.errors import UserError


@dataclass(frozen=True)
class Report:
    """Why a rank has failed.

    Attributes:
        rank: its number.
        time: of the failure, seconds since the epoch, to tell the first of several.
        user_error: whether it is a UserError, whose message says all.
        message: in one line.
        traceback: of any other exception.
    """

    rank: int
    time: float
    user_error: bool
    message: str
    traceback: str


def leave_report(folder: Path, rank: int, error: Exception) -> None:
    """Write down an exception of this process."""
    known = isinstance(error, UserError)
    text = " ".join(str(error).split())
    report = Report(
        rank=rank,
        time=time.time(),
        user_error=known,
        message=text if known else f"{type(error).__name__}: {text}",
        traceback=traceback.format_exc(),
    )
    write_text(_path(folder, rank), json.dumps(asdict(report)))


def read_report(folder: Path, rank: int) -> Report | None:
    """The report of a rank; None if it left none."""
    path = _path(folder, rank)
    return Report(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _path(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.json"
