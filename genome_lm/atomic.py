"""Files that are there whole or not at all."""

import errno
import hashlib
import os
import platform
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from genome_lm.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""No space left, or none of the user's share."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success rename it to `path`, on any failure remove it.

    The temporary file is flushed to disk before the rename and the folder after it, so that a reader sees
    the old file, the whole new one, or none, also after a power cut. A process that is killed leaves its
    temporary file behind; the next one to write `path` on that machine removes it.

    Raises:
        UserError: the folder cannot be created or written, `path` cannot be replaced, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent, path.name)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.{_owner()}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        mode = os.umask(0)
        os.umask(mode)
        os.chmod(name, 0o666 & ~mode)
    except OSError as error:
        remedy = "free some space" if error.errno in FULL else "choose a folder that you may write to"
        raise UserError(f"cannot write {path}: {error.strerror}; {remedy}") from error
    temporary = Path(name)
    try:
        try:
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise UserError(
                f"cannot write {path}: {error.strerror}; free some space or choose another folder"
            ) from error
        try:
            os.replace(temporary, path)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; remove it or choose another") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def remove_abandoned(folder: Path, name: str | None = None) -> list[Path]:
    """Remove temporary files of `replacing` whose process is gone, and return them.

    Left are those of a process that lives, and those of other machines (or containers) that share the folder:
    whether their process lives cannot be told from here.

    Args:
        folder: of the final files.
        name: of the final file; None for all.
    """
    removed = []
    for path in folder.iterdir():
        found = _TEMPORARY.fullmatch(path.name)
        if found is None or found["host"] != _host() or name not in (None, found["name"]):
            continue
        if not _lives(int(found["process"]), found["start"]):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


_TEMPORARY = re.compile(
    r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)-(?P<start>\d+)\.[^.]+\.tmp", re.DOTALL
)


def _owner() -> str:
    """Names this process among all that ever ran here: a number is given again, with another start time."""
    return f"{_host()}-{os.getpid()}-{_start_time(os.getpid()) or 0}"


def _host() -> str:
    """The machine, and inside of it the container, which numbers its processes by itself."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbering = ""
    return hashlib.sha256(f"{platform.node()} {numbering}".encode()).hexdigest()[:8]


def _start_time(process: int) -> str | None:
    """When a process began, in ticks since the machine did; None if it is gone or this is not Linux."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return status.rpartition(")")[2].split()[19]  # the name, in brackets, may hold anything


def _lives(process: int, start: str) -> bool:
    if Path("/proc/self/stat").exists():
        return _start_time(process) == start
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _flush_folder(folder: Path) -> None:
    """Make a rename last; where folders cannot be flushed (some network file systems), nothing."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_output(path: Path, inputs: Sequence[Path], example: str) -> None:
    """Refuse early an output that could not be written once the work is done.

    Args:
        inputs: files that must not be overwritten.
        example: a file name to suggest where `path` is a folder.

    Raises:
        UserError: `path` is a folder or one of `inputs`, or its folder cannot be written.
    """
    if path.is_dir():
        raise UserError(f"output {path} is a folder; give a file name, such as {path / example}")
    if path.exists() and any(source.exists() and path.samefile(source) for source in inputs):
        raise UserError(f"output {path} is one of the inputs; choose another name")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(
            f"cannot write {path}: {folder} is not a folder that you may write to; choose another"
        )
