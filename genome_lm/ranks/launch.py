"""Processes that work together: started, watched and never left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from genome_lm.errors import TERMINATED, TERMINATION_SIGNALS, UserError
from genome_lm.ranks.report import Kind, Report, read_report

POLL_SECONDS = 0.05
GRACE_SECONDS = 10.0
"""Time that the others have to end in order once one has failed; one that waits in a sum may never do so."""
TERMINATION_SECONDS = 60.0
"""Time to save and end once told to; SLURM kills 30 seconds after SIGTERM unless configured otherwise."""


@dataclass
class _Process:
    """A rank that was started.

    Attributes:
        ended_by_us: whether it was killed because of another one.
    """

    number: int
    popen: subprocess.Popen[bytes]
    ended_by_us: bool = False

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def kill(self) -> None:
        if self.running:
            self.ended_by_us = True
            self.popen.kill()

    def signal(self, number: int) -> None:
        if self.running:
            self.popen.send_signal(number)


def run_together(
    command: Sequence[str],
    order: Mapping[str, object],
    ranks: int,
    shared: Path,
    log_dir: Path,
    threads: int | None,
) -> None:
    """Run `command` once a rank and return when all have ended well.

    Each gets `shared` and the order as one line of JSON on its standard input, which stays open as long as
    this process lives: its end tells a rank that it is an orphan. Its number is in the variables that
    torchrun would set. If one fails the others are given a moment and then killed; `TERMINATION_SIGNALS`
    and Ctrl-C are passed on.

    Args:
        command: program and arguments.
        order: plain values.
        ranks: how many.
        shared: an empty folder for the ranks to meet in; one that fails leaves a `Report` there.
        log_dir: where the traceback of a failed rank is kept, as `rank_NUMBER.txt`.
        threads: of each rank; None for an even share of the cores.

    Raises:
        UserError: one has failed, and how: in the words of its own UserError, or by signal or exception.
        SystemExit: this process was told to terminate.
    """
    line = json.dumps({"shared": str(shared), "order": dict(order)}).encode() + b"\n"
    started: list[_Process] = []
    with _noted_signals() as told:
        try:
            for number in range(ranks):
                environment = _environment(number, ranks, threads)
                popen = subprocess.Popen(
                    command, stdin=subprocess.PIPE, env=environment, start_new_session=True
                )
                started.append(_Process(number, popen))
                with suppress(BrokenPipeError):  # it has ended already, which is seen below
                    _input(popen).write(line)
                    _input(popen).flush()
            _watch(started, told)
        except KeyboardInterrupt:
            for each in started:
                each.signal(signal.SIGINT)
            _wait(started, GRACE_SECONDS)
            raise
        finally:
            for each in started:
                each.kill()
            for each in started:
                each.popen.wait()
                with suppress(BrokenPipeError):
                    _input(each.popen).close()
    if told and any(each.popen.returncode for each in started):
        print("terminated", file=sys.stderr)
        sys.exit(TERMINATED)
    _raise_cause(started, shared, log_dir)


def _environment(number: int, ranks: int, threads: int | None) -> dict[str, str]:
    """Variables of a rank: as torchrun sets them, and the modules that this process finds."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    share = max(1, cores // ranks) if threads is None else threads
    own = {
        "RANK": number,
        "WORLD_SIZE": ranks,
        "LOCAL_RANK": number,
        "LOCAL_WORLD_SIZE": ranks,
        "GROUP_RANK": 0,
        "GROUP_WORLD_SIZE": 1,
    }
    found = os.pathsep.join(each or os.getcwd() for each in sys.path)
    given = (
        {"OMP_NUM_THREADS": str(share)} if threads is not None or "OMP_NUM_THREADS" not in os.environ else {}
    )
    return {**os.environ, **given, "PYTHONPATH": found, **{name: str(value) for name, value in own.items()}}


def _input(popen: subprocess.Popen[bytes]) -> IO[bytes]:
    assert popen.stdin is not None
    return popen.stdin


def _watch(started: Sequence[_Process], told: Sequence[int]) -> None:
    """Until all have ended; or have had their time, after one failed or this process was told to end."""
    while _running(started):
        if any(each.popen.returncode for each in started):
            _wait(started, GRACE_SECONDS)
            return
        if told:
            for each in started:
                each.signal(told[0])
            _wait(started, TERMINATION_SECONDS)
            return
        time.sleep(POLL_SECONDS)


def _wait(started: Sequence[_Process], seconds: float) -> None:
    end = time.monotonic() + seconds
    while _running(started) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)


def _running(started: Sequence[_Process]) -> int:
    """How many run; each is asked, so that the others' exit codes are known."""
    return sum([each.running for each in started])


@contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """Those of `TERMINATION_SIGNALS` that come meanwhile; only the main thread may ask for them."""
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield told
        return

    def note(number: int, frame: FrameType | None) -> None:
        told.append(number)

    before = {each: signal.signal(each, note) for each in TERMINATION_SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _raise_cause(started: Sequence[_Process], shared: Path, log_dir: Path) -> None:
    """Raise what was the first cause; the others fail in its wake, when their partner is gone.

    A signal comes first: a rank that is killed reports nothing. Then what a user can mend, then the earliest
    exception, and last what one rank has to say of another.
    """
    failed = [each for each in started if each.popen.returncode and not each.ended_by_us]
    if not failed:
        return
    ranks = len(started)
    reports = {each.number: report for each in started if (report := read_report(shared, each.number))}
    by_signal = [each for each in failed if each.popen.returncode < 0 and each.number not in reports]
    for each in by_signal:
        if each.popen.returncode != -signal.SIGABRT:  # by which libraries end a process whose partner is gone
            raise UserError(_killed(each, ranks))
    if found := [each for each in reports.values() if each.kind is Kind.input]:
        raise UserError(min(found, key=lambda report: report.rank).message)
    if found := [each for each in reports.values() if each.kind is Kind.exception]:
        raise UserError(_raised(min(found, key=lambda report: report.time), ranks, log_dir))
    if by_signal:
        raise UserError(_killed(by_signal[0], ranks))
    for each in failed:
        if each.number not in reports:
            raise UserError(
                f"rank {each.number} of {ranks} ended with exit code {each.popen.returncode}; what it "
                "printed says why"
            )
    raise UserError(reports[failed[0].number].message)


def _killed(process: _Process, ranks: int) -> str:
    name = signal.Signals(-process.popen.returncode).name
    why = ", as by the operating system when memory runs out" if name == "SIGKILL" else ""
    return (
        f"rank {process.number} of {ranks} was killed by {name}{why}; the others were ended too. "
        "If there is a checkpoint, resume=auto or ckpt_path goes on from it"
    )


def _raised(report: Report, ranks: int, log_dir: Path) -> str:
    path = log_dir / f"rank_{report.rank}.txt"
    log_dir.mkdir(parents=True, exist_ok=True)
    path.write_text(report.traceback, encoding="utf-8")
    return f"rank {report.rank} of {ranks} failed: {report.message}; the whole traceback is in {path}"
