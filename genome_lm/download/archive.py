"""Unpacking a tar.gz that may have been made to do harm."""

import gzip
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from genome_lm.errors import UserError

_MOST_MEMBERS = 1_000
_MOST_HEADER_BYTES = 1 << 20
_BLOCK = 1 << 20


def unpack(archive: Path, folder: Path, most_bytes: int, advance: Callable[[int], object]) -> list[Path]:
    """Unpack the files of a tar.gz below `folder`, whole or not at all, and return their paths.

    Only files and folders are made, with permissions of their own: links, devices and the like are refused,
    as are names that lead out of the folder. What is there already under one of the names is not overwritten.

    Args:
        most_bytes: of all files together.
        advance: called with the bytes of the archive read since the last call.

    Raises:
        UserError: the archive is damaged, holds something that is refused or too much of it, a file is there
            already, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as temporary:
            names = _unpack_into(archive, Path(temporary), most_bytes, advance)
            taken = next((folder / name for name in names if os.path.lexists(folder / name)), None)
            if taken is not None:
                raise UserError(f"{taken} is there already; remove it, or choose another folder")
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(temporary) / name, folder / name)
    except tarfile.FilterError as error:
        raise UserError(f"{archive}: {error}; nothing is unpacked") from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{archive} cannot be unpacked ({error}); it is no tar.gz, or damaged: remove it and fetch it "
            "again"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot unpack {archive} to {folder}: {error.strerror or error}; free some space or choose "
            "another folder"
        ) from error
    return [folder / name for name in names]


class _Metered:
    """A stream that gives no more than `allowance` bytes until that is raised again.

    `tarfile` reads a member's headers whole, however long they claim to be.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.allowance = _MOST_HEADER_BYTES

    def read(self, n_bytes: int) -> bytes:
        found = self._stream.read(n_bytes)
        self.allowance -= len(found)
        if self.allowance < 0:
            raise tarfile.ReadError(f"more than {_MOST_HEADER_BYTES:,} bytes outside of files")
        return found


def _unpack_into(archive: Path, folder: Path, most_bytes: int, advance: Callable[[int], object]) -> list[str]:
    """Names of the files, relative to `folder`, in the order of the archive."""
    names: list[str] = []
    left, read = most_bytes, 0
    # Not mode "r|gz", which does not compare the checksum of the gzip stream.
    with open(archive, "rb") as raw, gzip.GzipFile(fileobj=raw) as unzipped:
        stream = _Metered(unzipped)  # type: ignore[arg-type]
        with tarfile.open(fileobj=stream, mode="r|", bufsize=tarfile.BLOCKSIZE) as tar:  # type: ignore[call-overload]
            for count, member in enumerate(tar, start=1):
                name = _checked_name(archive, member, folder)
                left -= member.size
                if left < 0 or count > _MOST_MEMBERS:
                    raise UserError(
                        f"{archive} holds more than {most_bytes:,} bytes or {_MOST_MEMBERS:,} members; "
                        "nothing is unpacked"
                    )
                if member.isfile():
                    stream.allowance += member.size
                    for _ in _copied(tar, member, folder / name):
                        advance(raw.tell() - read)
                        read = raw.tell()
                    names.append(name)
                stream.allowance = _MOST_HEADER_BYTES
        while stream.read(_BLOCK):  # to the checksum at the end
            pass
    return names


def _checked_name(archive: Path, member: tarfile.TarInfo, folder: Path) -> str:
    """The name of a member that may be unpacked (rules: PEP 706, and no links at all)."""
    if not (member.isfile() or member.isdir()):
        raise UserError(f"{archive}: {member.name!r} is neither a file nor a folder; nothing is unpacked")
    if member.name.startswith("/") or member.size < 0:
        raise UserError(
            f"{archive}: {member.name!r} has an absolute path or a negative size; nothing is unpacked"
        )
    return tarfile.data_filter(member, str(folder)).name


def _copied(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> Iterator[int]:
    """Write a member to `path`; yields the bytes of each block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None  # a file
    with source, open(path, "xb") as target:
        while block := source.read(_BLOCK):
            yield target.write(block)
        if target.tell() != member.size:
            raise tarfile.ReadError(f"{member.name} ends too early")
