"""Which file it is, and whether it is still the same."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileIdentity:
    """What `stat` says of a file: another file, or the same one changed since, differs in it.

    The time of the last change of the inode (ctime) cannot be set by a program, so that it also differs where
    contents were changed and the time of modification was set back.
    """

    device: int
    inode: int
    size: int  # bytes
    modified: int  # ns
    changed: int  # ns

    @classmethod
    def of(cls, file: Path | int) -> "FileIdentity":
        """Identity of a path or of an open file's descriptor.

        Raises:
            OSError: there is no such file.
        """
        found = os.stat(file)
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def same_contents(self, other: "FileIdentity") -> bool:
        """Whether both are one file whose contents were not written since: a new link or mode is allowed."""
        return (self.device, self.inode, self.size, self.modified) == (
            other.device,
            other.inode,
            other.size,
            other.modified,
        )
