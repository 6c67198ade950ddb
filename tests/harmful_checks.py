"""Checks that do what a damaged file can make a library do, for the tests of their isolation."""

import os
import signal
import sys
import time
from pathlib import Path

from genome_lm.errors import UserError


def passes(path: Path) -> None:
    assert path.is_file()


def refuses(path: Path) -> None:
    raise UserError(f"{path} is not to be believed")


def hangs(path: Path) -> None:
    while True:
        pass


def waits(path: Path) -> None:
    time.sleep(3600)


def crashes(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(path: Path) -> None:
    os._exit(3)


def grows(path: Path) -> None:
    held = []
    while True:
        held.append(bytearray(1 << 26))


def stumbles(path: Path) -> None:
    raise LookupError("something unforeseen")


def prints(path: Path) -> None:
    """What a library prints is no answer."""
    print('{"refused": "printed"}', flush=True)
    os.write(1, b'{"refused": "written"}\n')
    print("noise", file=sys.stderr, flush=True)


def kills_the_server(path: Path) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
