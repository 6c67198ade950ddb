"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from genome_lm.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success rename it to `path`, on any failure remove it.

    The temporary file is flushed to disk before the rename, so that a reader sees the old file, the whole
    new one, or none.

    Raises:
        UserError: the folder cannot be created or written, or `path` cannot be replaced.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        mode = os.umask(0)
        os.umask(mode)
        os.chmod(name, 0o666 & ~mode)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; choose a folder that you may write to"
        ) from error
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        try:
            os.replace(temporary, path)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; remove it or choose another") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
