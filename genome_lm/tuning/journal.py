"""The journal that a study is kept in: one line a change, appended by any number of processes."""

import os
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from genome_lm.errors import UserError


def open_journal(path: Path) -> JournalStorage:
    """Optuna's store in the file `path`, which is made if needed.

    A last line that was cut short (a full disk, a power cut) is taken away: it was never acted upon, and
    the next line would be appended to it.

    Raises:
        UserError: the file is damaged.
    """
    # A symbolic link is made by one process only, also on network drives.
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        if path.exists():
            _drop_partial_line(path)
    finally:
        lock.release()
    try:
        return JournalStorage(JournalFileBackend(str(path), lock))
    except (ValueError, KeyError, TypeError, AssertionError) as error:  # the last of a change of no kind
        raise UserError(f"{path} is damaged; take it back from a copy, or give another study_dir") from error


def _drop_partial_line(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
