"""Source files: plain or gzip by content, read in blocks, identified by name, size and SHA-256."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genome_lm.errors import UserError

_BLOCK = 1 << 22
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Source:
    """Identity of a file that went into a dataset. `name` is without folders: a dataset names no machine."""

    name: str
    sha256: str
    n_bytes: int


def identify(path: Path) -> Source:
    """Name, SHA-256 and size of a file.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return Source(path.name, hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell())
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot read {path}: {error.strerror or error}; check the path and its permissions")


def blocks(path: Path, size: int = _BLOCK) -> Iterator[bytes]:
    """Contents of a file in blocks of at most `size` bytes, decompressed when they are gzip (bgzip included).

    Raises:
        UserError: the file is missing, cannot be read, or its compression is damaged.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(
                f"{path} is no ordinary file; it is read twice, so a pipe or a folder will not do"
            )
        with open(path, "rb") as raw:
            compressed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw) if compressed else raw
            while block := stream.read(size):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged or truncated gzip ({error}); copy or download it again") from error
    except OSError as error:
        raise unreadable(path, error) from error
