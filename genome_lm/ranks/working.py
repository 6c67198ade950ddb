"""One process of several: takes its order from the command that has started it, and ends with that."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genome_lm.choices import Launcher
from genome_lm.ranks.report import leave_report
from genome_lm.ranks.started import Rank, started_rank

INTERRUPTED = 130


def work(job: Callable[[Rank, Path, dict[str, Any]], None]) -> None:
    """The main of a process that `genome_lm.ranks.launch.run_together` has started.

    Args:
        job: called with which rank this is, the folder that all ranks share, and the order.
    """
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    rank, shared = started_rank(Launcher.torchrun, os.environ), Path(order["shared"])
    logging.basicConfig(
        level=logging.WARNING if rank.number else logging.INFO, format="%(message)s", stream=sys.stdout
    )
    try:
        job(rank, shared, order["order"])
    except KeyboardInterrupt:
        _end(INTERRUPTED)
    except Exception as error:
        leave_report(shared, rank.number, error)
        _end(1)


def _end(code: int) -> None:
    """At once: threads of a broken process group may wait for ever."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_with_parent() -> None:
    """An orphan would train on, or wait for others that are gone."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
