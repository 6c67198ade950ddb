"""Checksums as publishers write them: sha256:... or md5:..."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from genome_lm.errors import UserError

_DIGITS = {"sha256": 64, "md5": 32}


@dataclass(frozen=True)
class Checksum:
    """A digest and how it is made: sha256 or md5."""

    algorithm: str
    digest: str  # lower-case hexadecimal

    @classmethod
    def parse(cls, text: str) -> "Checksum":
        """Read "sha256:64 digits", "md5:32 digits", or the digits alone.

        Raises:
            UserError: it is none of these.
        """
        name, _, digest = text.strip().lower().rpartition(":")
        for algorithm, length in _DIGITS.items():
            if name in ("", algorithm) and re.fullmatch(f"[0-9a-f]{{{length}}}", digest):
                return cls(algorithm, digest)
        raise UserError(f"checksum {text!r}; expected sha256: and 64, or md5: and 32 hexadecimal digits")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


def digest_of(path: Path, algorithm: str) -> Checksum:
    """The checksum of a file.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return Checksum(algorithm, hashlib.file_digest(file, algorithm).hexdigest())
