"""A rank of `test_ranks`: behaves as its order says, without torch."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from genome_lm.errors import UserError
from genome_lm.ranks.report import LostRankError
from genome_lm.ranks.started import Rank
from genome_lm.ranks.working import work


def behave(rank: Rank, shared: Path, order: dict[str, Any]) -> None:
    saved: list[int] = []
    if "signal" in order:
        signal.signal(order["signal"], lambda *_: saved.append(1))
    (shared / f"{rank.number}.pid").write_text(f"{os.getpid()}\n")
    culprit = rank.number == order.get("culprit")
    match order["behaviour"]:
        case "note":
            threads = os.environ["OMP_NUM_THREADS"]
            text = f"{rank.number} of {rank.world}, {threads} threads, {order['words']}"
            (shared / f"{rank.number}.txt").write_text(text)
        case "refuse" if culprit:
            raise UserError("the data is not there; look for it")
        case "raise" if culprit:
            _raise(rank.number)
        case "raise":
            _until((shared / f"{order['culprit']}.json").exists)
            if order["wake"] == "lost":
                raise LostRankError("rank 1 is gone")
            raise RuntimeError("late")
        case "leave" if culprit:
            sys.exit(7)
        case "wait" if order["deaf"] or rank.number:
            time.sleep(600)
        case "wait":  # as in a sum with a rank that is gone
            _until(lambda: _is_gone(shared / "1.pid"))
            raise LostRankError("rank 1 is gone")
        case "save":
            _until(lambda: bool(saved))
            (shared / f"{rank.number}.saved").touch()
            sys.exit(1)


def _raise(number: int) -> None:
    raise ZeroDivisionError(f"at rank {number}")


def _is_gone(pid_file: Path) -> bool:
    if not (pid_file.exists() and (pid := pid_file.read_text().strip())):
        return False
    return not Path(f"/proc/{pid}").exists()


def _until(happened: Any) -> None:
    while not happened():
        time.sleep(0.01)


if __name__ == "__main__":
    work(behave)
