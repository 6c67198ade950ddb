"""The process that checks files: it forks once a file, limits that fork, and says what became of it.

It reads one JSON object a line from standard input and answers with one on standard output. It imports what
it needs to check and nothing else, has one thread, and holds no state of the file checked before, so that
neither a crash nor a hang of libhdf5 reaches the program that asked.
"""

import importlib
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from genome_lm.errors import UserError

_LONGEST_ANSWER = 1 << 16


def serve() -> None:
    """Answer requests until standard input ends."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a library prints must not be taken for an answer.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program that asks is told, and ends standard input
    for line in requests:
        answers.write(json.dumps(_answer(json.loads(line))).encode() + b"\n")
        answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, str]:
    """`{}` for a file that passed, else the reason under `refused` (in words for people) or `failed`."""
    importlib.import_module(request["module"])  # here, so that it is there in every fork
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _check(request, writing)
    os.close(writing)
    deadline = time.monotonic() + request["seconds"]
    said = b""
    try:
        while (left := deadline - time.monotonic()) > 0 and len(said) < _LONGEST_ANSWER:
            if select.select([reading], [], [], left)[0]:
                part = os.read(reading, _LONGEST_ANSWER)
                if not part:
                    break
                said += part
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # has ended, hangs, or talks without end
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        answer = json.loads(said)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and all(isinstance(text, str) for text in answer.values()):
        return answer
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return {"failed": f"reading it was given up after {request['cpu_seconds']} s of computing"}
    return {"failed": f"reading it ended the process ({_signal_name(status)})"}


def _signal_name(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit code {status}"


def _check(request: dict[str, Any], writing: int) -> None:
    """In the fork: check one file, write the answer and end."""
    answer: dict[str, str]
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, request["cpu_seconds"])
        _limit(resource.RLIMIT_AS, _address_space() + request["memory"])
        check = getattr(sys.modules[request["module"]], request["function"])
        check(Path(request["path"]))
        answer = {}
    except UserError as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"failed": f"reading it takes more than {request['memory'] >> 20:,} MB of memory"}
    except BaseException as error:
        answer = {"failed": f"reading it failed ({type(error).__name__})"}
    try:
        os.write(writing, json.dumps(answer).encode()[:_LONGEST_ANSWER])
    finally:
        os._exit(0)


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    try:
        resource.setrlimit(kind, (most, most))
    except (ValueError, OSError):
        if sys.platform == "linux":
            raise  # elsewhere RLIMIT_AS may not exist: time is limited all the same


def _address_space() -> int:
    """Bytes of address space that this process has."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 1 << 32
    return pages * os.sysconf("SC_PAGE_SIZE")
