"""A file over HTTP: resumed where it broke off, verified, and there whole or not at all.

Only the standard library: pooch and requests do not resume, and nothing else here would need them.
"""

import errno
import fcntl
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import urlsplit

from genome_lm.download.checksum import Checksum, digest_of
from genome_lm.errors import UserError

_BLOCK = 1 << 20
_TIMEOUT_S = 60
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")

Progress = Callable[[int, int | None], object]
"""Called with the bytes there are and those there will be, None where the server does not say."""


@dataclass(frozen=True)
class _Version:
    """What tells one version of a remote file from another; kept beside the part."""

    url: str
    validator: str | None  # a strong ETag, or the date of the last change
    n_bytes: int | None


class _Broken(Exception):
    """The connection ended early: worth another try."""


class Fetch:
    """A download of `url` to `path`, by way of `path.part`.

    A part is taken up again if the server says that the file is still the one it was begun from, by its ETag
    or the date of its last change (If-Range), and begun anew otherwise.

    Args:
        checksum: what the file must have; None takes it as it comes.
        tries: how often in a row a broken connection is taken up again without a single byte of progress.
        pause_s: seconds before the second try, doubled at each further one.
    """

    def __init__(
        self, url: str, path: Path, checksum: Checksum | None = None, tries: int = 5, pause_s: float = 1.0
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"url {url!r}; expected one that begins with https:// or http://")
        self.url, self.path, self._checksum = url, path, checksum
        self._host = parts.hostname
        self._tries, self._pause_s = tries, pause_s
        self._part = path.with_name(path.name + ".part")
        self._note = path.with_name(path.name + ".part.json")

    def run(self, progress: Progress) -> None:
        """Fetch the file, unless it is there.

        Raises:
            UserError: no network, the server refuses or does not have the file, the connection breaks off
                again and again, the disk is full, the checksum is another one, or another process fetches
                the same file. What has arrived stays for the next call, except after a wrong checksum.
        """
        if self.path.exists():
            self._verify(self.path, "it is there already; remove it to fetch it anew")
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Neither "ab", in which truncation leaves the position where it was, nor "wb", which empties it.
            with open(os.open(self._part, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as part:
                part.seek(0, os.SEEK_END)
                self._lock(part)
                try:
                    self._fetch(part, progress)
                except BaseException:
                    if not part.tell():
                        self._part.unlink()
                        self._note.unlink(missing_ok=True)
                    raise
                os.fsync(part.fileno())
                self._verify(self._part, "removed; try again, or another url=", remove=True)
                os.replace(self._part, self.path)
                self._note.unlink(missing_ok=True)
        except OSError as error:
            self._refuse(error)

    def _lock(self, part: BinaryIO) -> None:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{self._part} is being written by another download; wait for it to end"
            ) from error

    def _fetch(self, part: BinaryIO, progress: Progress) -> None:
        """Try until the part is whole."""
        failures = 0
        while True:
            before = part.tell()
            try:
                self._attempt(part, progress)
                return
            except _Broken as broken:
                failures = 1 if part.tell() > before else failures + 1
                if failures >= self._tries:
                    raise UserError(
                        f"{self.url}: {broken}, {failures} times in a row; {part.tell():,} bytes are kept, "
                        "run the command again to go on"
                    ) from broken
            time.sleep(self._pause_s * 2 ** (failures - 1))

    def _attempt(self, part: BinaryIO, progress: Progress) -> None:
        known = self._noted()
        if not part.tell() or known is None or known.validator is None:
            _empty(part)
            known = None
        request = urllib.request.Request(self.url, headers={"Accept-Encoding": "identity"})
        if known is not None and known.validator is not None:
            request.add_header("Range", f"bytes={part.tell()}-")
            request.add_header("If-Range", known.validator)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                n_bytes = self._begin(answer, part, known)
                progress(part.tell(), n_bytes)
                while block := answer.read(_BLOCK):
                    part.write(block)
                    part.flush()
                    progress(part.tell(), n_bytes)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and known is not None:
                self._past_the_end(part, known)
                return
            self._refused(error.code, error.reason)
        except urllib.error.URLError as error:
            self._unreachable(error.reason)
        except http.client.InvalidURL as error:
            raise UserError(f"url {self.url!r}: {error}") from error
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _Broken(f"the connection broke off ({error or type(error).__name__})") from error
        if n_bytes is not None and part.tell() != n_bytes:
            if part.tell() > n_bytes:
                _empty(part)
            raise _Broken(f"the connection ended after {part.tell():,} of {n_bytes:,} bytes")

    def _begin(self, answer: http.client.HTTPResponse, part: BinaryIO, known: _Version | None) -> int | None:
        """Length of the whole file; the part is emptied unless the answer continues it."""
        length = answer.headers.get("Content-Length", "")
        n_bytes = int(length) if length.isascii() and length.isdigit() else None
        if answer.status == 206:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if known is None or found is None or int(found[1]) != part.tell():
                raise _Broken("the server sent another part than asked for")
            n_bytes = int(found[3])
            if known.n_bytes is not None and n_bytes != known.n_bytes:
                _empty(part)
                raise _Broken("the file has changed on the server")
            return self._room(n_bytes, part)
        _empty(part)  # begun anew: no part was asked for, the file has changed, or parts are not served
        etag = answer.headers.get("ETag")
        validator = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")
        self._note.write_text(json.dumps(asdict(_Version(self.url, validator, n_bytes))), encoding="utf-8")
        return self._room(n_bytes, part)

    def _room(self, n_bytes: int | None, part: BinaryIO) -> int | None:
        free = shutil.disk_usage(self.path.parent).free
        if n_bytes is not None and n_bytes - part.tell() > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return n_bytes

    def _noted(self) -> _Version | None:
        """The version that the part was begun from; None if that is not known or was of another address."""
        try:
            noted = json.loads(self._note.read_text(encoding="utf-8"))
            version = _Version(noted["url"], noted["validator"], noted["n_bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        right = isinstance(version.validator, str) and version.validator.isprintable()
        return version if right and version.url == self.url else None

    def _past_the_end(self, part: BinaryIO, known: _Version) -> None:
        """The server has nothing after the part: it is whole, or of another file."""
        if part.tell() == known.n_bytes:
            return
        _empty(part)
        raise _Broken("the part did not fit the file")

    def _verify(self, path: Path, otherwise: str, remove: bool = False) -> None:
        if self._checksum is None:
            return
        found = digest_of(path, self._checksum.algorithm)
        if found != self._checksum:
            if remove:
                path.unlink()
                self._note.unlink(missing_ok=True)
            raise UserError(f"{path} has checksum {found}, expected {self._checksum}: {otherwise}")

    def _refused(self, code: int, reason: str) -> NoReturn:
        if code in (429, 500, 502, 503, 504):
            raise _Broken(f"the server answered {code} {reason}")
        raise UserError(
            f"{self.url}: the server answered {code} {reason}; check the address, or give a mirror"
        )

    def _unreachable(self, reason: object) -> NoReturn:
        if isinstance(reason, (ConnectionResetError, TimeoutError)):
            raise _Broken(f"the connection broke off ({reason})")
        if isinstance(reason, OSError) and reason.errno in (errno.ENOSPC, errno.EDQUOT):
            raise reason
        cause = getattr(reason, "strerror", None) or reason
        raise UserError(
            f"cannot reach {self._host} ({cause}); check the network, or fetch {self.url} elsewhere and put "
            f"it at {self.path}"
        )

    def _refuse(self, error: OSError) -> NoReturn:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"no room for {self.path} on its disk; free some and run the command again to go on"
            ) from error
        raise UserError(
            f"cannot write {self.path}: {error.strerror or error}; choose another folder"
        ) from error


def _empty(part: BinaryIO) -> None:
    part.seek(0)
    part.truncate()
