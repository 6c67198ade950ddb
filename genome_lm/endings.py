"""How a command ends: a mistake in one line, an interruption by its exit code, a termination in order."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from genome_lm.errors import TERMINATION_SIGNALS, Terminated, UserError
from genome_lm.output import dropped_output

USER_ERROR = 2
INTERRUPTED = 130
NO_READER = 141  # 128 + SIGPIPE, as programs end whose output goes to `head`


@contextmanager
def mistakes_in_one_line() -> Iterator[None]:
    """Turn what a user can mend, and Ctrl-C, into one line and an exit code."""
    try:
        yield
        if dropped_output():
            sys.exit(NO_READER)
    except UserError as error:
        leave(str(error))
    except BrokenPipeError as error:
        if not dropped_output(after_failure=True):  # another pipe, such as one to a worker
            leave(f"file error: {error}")
        sys.exit(NO_READER)
    except OSError as error:  # such as a full disk; HDF5's carry no file name
        leave(f"cannot use {error.filename}: {error.strerror}" if error.filename else f"file error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    finally:
        dropped_output()


@contextmanager
def termination_in_order() -> Iterator[None]:
    """Turn SIGTERM or SIGUSR1, as batch systems send before the end, into an exit that cleans up."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return

    def end(number: int, frame: FrameType | None) -> NoReturn:
        for each in before:  # a second one must not cut the cleaning up short
            signal.signal(each, signal.SIG_IGN)
        print("terminated", file=sys.stderr)
        raise Terminated

    before = {each: signal.signal(each, end) for each in TERMINATION_SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)


def leave(message: str) -> NoReturn:
    """Print what is wrong as one line and end with `USER_ERROR`."""
    # Names out of files are part of it: one line, and nothing that a terminal would act upon.
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(message.split()))
    print(f"genome-lm: error: {line}", file=sys.stderr)
    sys.exit(USER_ERROR)
