"""Standard output whose reader has gone, as that of `genome-lm ... | head` does: no word about it."""

import logging
import os
import select
import sys


def dropped_output(after_failure: bool = False) -> bool:
    """Whether nobody reads standard output any more; what is printed from then on goes nowhere.

    Args:
        after_failure: whether something could not be written, maybe to standard output. Without a buffer
            there nothing else tells.

    Raises:
        OSError: it could not be written for another reason, such as a full disk; the rest goes nowhere, too.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        _to_nowhere()
        if not isinstance(error, BrokenPipeError):
            raise
        return True
    if after_failure and _nobody_reads(sys.stdout.fileno()):
        _to_nowhere()
        return True
    return False


def _to_nowhere() -> None:
    """Drop what is in the buffer and all that follows; otherwise Python complains when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _nobody_reads(descriptor: int) -> bool:
    """Whether a descriptor is a pipe whose other end is closed."""
    watched = select.poll()
    watched.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in watched.poll(0))


class Console(logging.StreamHandler):
    """Lines of a command; a training whose reader has gone goes on without them."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Called by `logging` while the exception is handled."""
        if not (isinstance(sys.exc_info()[1], BrokenPipeError) and dropped_output(after_failure=True)):
            super().handleError(record)
