"""What a reader is to the fuzzer: seeds, words of its format, and one reading that is held to its promise."""

from pathlib import Path


class Wrong(Exception):
    """A reader has accepted or refused what it should not have, or found something else in it."""


def expect(condition: bool, fault: str) -> None:
    """Raise `Wrong` unless `condition` holds."""
    if not condition:
        raise Wrong(fault)


class Reader:
    """A reader of files.

    Attributes:
        name: for people.
        words: of the format, which mutations put in.
        file: name below the folder that is given.
    """

    name = ""
    words: tuple[bytes, ...] = ()
    file = "input"

    def seeds(self) -> list[bytes]:
        """Sound inputs, from which mutations start."""
        raise NotImplementedError

    def prepare(self, folder: Path) -> None:
        """Write the other files that a reading needs."""

    def wrap(self, data: bytes) -> bytes:
        """From a mutated input to the file, such as an archive around it with its checksums."""
        return data

    def read(self, path: Path, data: bytes) -> None:
        """Read the file, whose input was `data`, and check what it gave.

        Raises:
            UserError: the file is refused, as it should be.
            Wrong: it is not as it should be.
        """
        raise NotImplementedError
