"""Which files are checked before they are opened, and which were already."""

import hashlib
import json
import os
import time
from enum import StrEnum
from pathlib import Path

import genome_lm
from genome_lm.errors import UserError
from genome_lm.isolation.client import Check, check_in_child
from genome_lm.isolation.identity import FileIdentity

VERIFY = "GENOME_LM_VERIFY"
CACHE = "GENOME_LM_CACHE"

_SETTLED = 2_000_000_000
"""ns. A file changed less than this before its check could change again within one tick of its times."""

_KEPT = 180 * 24 * 3600
"""s for which a check is remembered."""


class Verification(StrEnum):
    """How files from elsewhere are checked (environment variable `GENOME_LM_VERIFY`)."""

    once = "once"
    """In a process of their own, and not again until they change."""

    always = "always"
    """In a process of their own, each time."""

    here = "here"
    """In this process, and not again until they change: for files that you made yourself."""


def ensure_checked(path: Path, check: Check) -> FileIdentity:
    """Check a file unless it has passed the same check before, and return which file it was.

    What passed is remembered by path, device, inode, size and times, for the package's version, in the folder
    `GENOME_LM_CACHE` (default: `genome_lm` in the user's cache folder); where that cannot be written, nothing
    is remembered.

    Raises:
        UserError: the check refuses the file, `GENOME_LM_VERIFY` has no such value, or the file changes
            meanwhile.
        OSError: there is no such file.
    """
    how = _verification()
    identity = FileIdentity.of(path)
    began = time.time_ns()
    note = _note(path, identity, check)
    if how is not Verification.always and note.exists():
        return identity
    if how is Verification.here:
        check(path)
    else:
        check_in_child(check, path)
    if FileIdentity.of(path) != identity:
        raise UserError(f"{path} changed while it was checked; leave it alone and try again")
    if max(identity.modified, identity.changed) + _SETTLED < began:
        _remember(note, path)
    return identity


def _verification() -> Verification:
    value = os.environ.get(VERIFY, Verification.once)
    try:
        return Verification(value)
    except ValueError as error:
        raise UserError(f"{VERIFY}={value}: expected {', '.join(Verification)}") from error


def _folder() -> Path:
    own = os.environ.get(CACHE)
    if own:
        return Path(own) / "checked"
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path(os.path.expanduser("~/.cache"))) / "genome_lm" / "checked"


def _note(path: Path, identity: FileIdentity, check: Check) -> Path:
    """The file that stands for a check passed."""
    parts = [genome_lm.__version__, check.__module__, check.__name__, str(path.resolve()), vars(identity)]
    return _folder() / hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _remember(note: Path, path: Path) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{path.resolve()}\n", encoding="utf-8")
        old = time.time() - _KEPT
        for other in note.parent.iterdir():
            if other.stat().st_mtime < old:
                other.unlink(missing_ok=True)
    except OSError:
        pass  # no such folder, no room: it is checked again next time
