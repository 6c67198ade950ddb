"""Asking for a check in a process of its own."""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome_lm.errors import UserError

Check = Callable[[Path], None]
"""A function of a module that raises UserError for a file that is not to be believed."""

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from genome_lm.isolation.server import serve; serve()"
)


@dataclass(frozen=True)
class Limits:
    """What a check may take.

    Attributes:
        cpu_seconds: computing time.
        seconds: time on the clock; generous, since the machine may be busy or the disk slow.
        memory: bytes beyond what the process has before it opens the file.
    """

    cpu_seconds: int
    seconds: float
    memory: int


def limits_for(n_bytes: int) -> Limits:
    """Limits for a file of that size: ten seconds and one more for each 20 MB, a minute and ten times that on
    the clock, and 512 MB (contents are read in blocks)."""
    cpu_seconds = 10 + n_bytes // 20_000_000
    return Limits(cpu_seconds, 60 + 10.0 * cpu_seconds, 512 << 20)


class _Server:
    """The checking process; started when first needed, and ended with this one."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )

    def ask(self, request: dict[str, Any]) -> dict[str, str]:
        """Raises OSError or ValueError where the process is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        answer: dict[str, str] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # the process is gone already
                pipe.close()
        self.process.wait()


_lock = threading.Lock()
_servers: dict[int, _Server] = {}
"""By the process that started it: a fork has its parent's in here, and may not use it."""


def check_in_child(check: Check, path: Path, limits: Limits | None = None) -> None:
    """Run `check(path)` in a process of its own, under limits of time and memory.

    Args:
        check: a function at the top of a module that imports little: the module is imported over there.
        limits: None for those of the file's size.

    Raises:
        UserError: what `check` raised; or it crashed, hung, or took too much.
        OSError: there is no such file.
    """
    chosen = limits or limits_for(path.stat().st_size)
    where = str(path.absolute())
    request = {
        "module": check.__module__,
        "function": check.__name__,
        "path": where,
        "cpu_seconds": chosen.cpu_seconds,
        "seconds": chosen.seconds,
        "memory": chosen.memory,
    }
    answer = _ask(request)
    if "refused" in answer:
        raise UserError(answer["refused"].replace(where, str(path)))
    if "failed" in answer:
        raise UserError(
            f"{path} is damaged or made to do harm: {answer['failed']}; do not use it, make or copy it again"
        )


def _ask(request: dict[str, Any]) -> dict[str, str]:
    me = os.getpid()
    with _lock:
        for _ in range(2):
            try:
                server = _servers.get(me) or _servers.setdefault(me, _Server())
                return server.ask(request)
            except (OSError, ValueError) as error:
                failure = error  # it was killed, perhaps: once more with another
                if me in _servers:
                    _servers.pop(me).close()
    raise UserError(
        f"the process that checks {request['path']} cannot be run ({type(failure).__name__}); free some "
        "memory, or set GENOME_LM_VERIFY=here to check it in this one"
    )


@atexit.register
def _close() -> None:
    if os.getpid() in _servers:
        _servers.pop(os.getpid()).close()


def _unlock() -> None:
    """In a fork: whoever held the lock is not here to release it."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_unlock)
