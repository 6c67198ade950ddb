"""Processes that work together: started, watched and never left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from genome_lm.errors import UserError
from genome_lm.ranks.report import Report, read_report

POLL_SECONDS = 0.05
GRACE_SECONDS = 10.0
"""Time that the others have to end in order once one has failed; a process in a collective may never do so."""
TERMINATION_SECONDS = 25.0
"""Time to save and end after SIGTERM; SLURM's default leaves 30 seconds before it kills."""
TERMINATED = 143


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

    Each gets `shared` and the order as one line of JSON on its standard input, which stays open as long as this process
    lives: its end tells a rank that it is an orphan. Its number is in the variables that torchrun would set.
    If one fails the others are given a moment and then killed; SIGTERM and Ctrl-C are passed on.

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
    with _termination() as terminating:
        try:
            for number in range(ranks):
                environment = _environment(number, ranks, threads)
                popen = subprocess.Popen(
                    command, stdin=subprocess.PIPE, env=environment, start_new_session=True
                )
                started.append(_Process(number, popen))
                _send(popen, line)
            _watch(started, terminating)
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
                if each.popen.stdin is not None:
                    each.popen.stdin.close()
    if terminating.is_set() and any(each.popen.returncode for each in started):
        print("terminated", file=sys.stderr)
        sys.exit(TERMINATED)
    _raise_cause(started, shared, log_dir)


def _environment(number: int, ranks: int, threads: int | None) -> dict[str, str]:
    """Variables of a rank: as torchrun sets them, and the modules that this process finds."""
    share = max(1, (os.cpu_count() or 1) // ranks) if threads is None else threads
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


def _send(popen: subprocess.Popen[bytes], line: bytes) -> None:
    assert popen.stdin is not None
    try:
        popen.stdin.write(line)
        popen.stdin.flush()
    except BrokenPipeError:  # it has ended already, which is seen below
        pass


def _watch(started: Sequence[_Process], terminating: threading.Event) -> None:
    """Until all have ended, or one has failed and the others have had their moment."""
    told = False
    while any(each.running for each in started):
        if any(each.popen.returncode for each in started):
            _wait(started, GRACE_SECONDS)
            return
        if terminating.is_set() and not told:
            told = True
            for each in started:
                each.signal(signal.SIGTERM)
            _wait(started, TERMINATION_SECONDS)
            return
        time.sleep(POLL_SECONDS)


def _wait(started: Sequence[_Process], seconds: float) -> None:
    end = time.monotonic() + seconds
    while any(each.running for each in started) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)


@contextmanager
def _termination() -> Iterator[threading.Event]:
    """An event that SIGTERM sets; only the main thread may ask for it."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def note(number: int, frame: FrameType | None) -> None:
        event.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _raise_cause(started: Sequence[_Process], reports: Path, log_dir: Path) -> None:
    """Raise what was the first cause; the others fail in its wake, when their partner is gone.

    A signal comes first: a rank that is killed reports nothing. Then what a user can mend, and then the
    earliest exception.
    """
    failed = [each for each in started if each.popen.returncode and not each.ended_by_us]
    if not failed:
        return
    told = {each.number: read_report(reports, each.number) for each in started}
    reported = [report for report in told.values() if report is not None]
    by_signal = [each for each in failed if each.popen.returncode < 0 and told[each.number] is None]
    for each in by_signal:
        if each.popen.returncode != -signal.SIGABRT:  # by which libraries end a process whose partner is gone
            raise UserError(_killed(each, len(started)))
    own = [report for report in reported if report.user_error]
    if own:
        first = min(own, key=lambda report: report.rank)
        raise UserError(first.message)
    if reported:
        raise UserError(_raised(min(reported, key=lambda report: report.time), len(started), log_dir))
    if by_signal:
        raise UserError(_killed(by_signal[0], len(started)))
    raise UserError(
        f"rank {failed[0].number} of {len(started)} ended with exit code {failed[0].popen.returncode}; "
        "what it printed says why"
    )


def _killed(process: _Process, ranks: int) -> str:
    name = signal.Signals(-process.popen.returncode).name
    why = ", as by the operating system when memory runs out" if name == "SIGKILL" else ""
    return (
        f"rank {process.number} of {ranks} was killed by {name}{why}; the others were ended too. "
        "If there is a checkpoint, go on from it with ckpt_path"
    )


def _raised(report: Report, ranks: int, log_dir: Path) -> str:
    path = log_dir / f"rank_{report.rank}.txt"
    log_dir.mkdir(parents=True, exist_ok=True)
    path.write_text(report.traceback, encoding="utf-8")
    return f"rank {report.rank} of {ranks} failed: {report.message}; the whole traceback is in {path}"
