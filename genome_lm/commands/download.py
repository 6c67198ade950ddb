"""Fetch a published data set, verify and unpack it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from genome_lm.download.archive import unpack
from genome_lm.download.checksum import Checksum, digest_of
from genome_lm.download.fetch import Fetch
from genome_lm.errors import UserError

DEEPSEA_URL = "http://deepsea.princeton.edu/media/code/deepsea_train_bundle.v0.9.tar.gz"
"""Where DeepSEA's authors published train.mat, valid.mat and test.mat; no checksum beside it."""

DESCRIPTION = """\
genome-lm download: fetch DeepSEA's training data, verify and unpack them

A download that breaks off goes on where it stopped when the command is run again. The archive is kept beside
what is unpacked from it. Then: genome-lm prepare source=deepsea source.folder=..."""

EXAMPLES = """\
examples
  genome-lm download
  genome-lm download --output data/deepsea --checksum sha256:...
  genome-lm download --url https://mirror.example/deepsea_train_bundle.v0.9.tar.gz"""

DEFAULT_OUTPUT = Path("deepsea")
_MOST_GB = 64
_REQUIRED = ("train.mat", "valid.mat", "test.mat")


class _Parser(argparse.ArgumentParser):
    """Leaves one line about a mistake to the caller instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see genome-lm download --help")


def download(arguments: Sequence[str]) -> None:
    """Run the command.

    Args:
        arguments: its command line.

    Raises:
        UserError: bad arguments, or see `Fetch.run` and `unpack`.
        SystemExit: after --help.
    """
    given = _parser().parse_args(arguments)
    checksum = Checksum.parse(given.checksum) if given.checksum else None
    name = PurePosixPath(unquote(urlsplit(given.url).path)).name
    if not name or name in (".", ".."):
        raise UserError(f"--url {given.url!r} names no file; expected one that ends with .tar.gz")
    archive = given.output / name
    fetch = Fetch(given.url, archive, checksum)
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True
    ) as bar:
        fetching = bar.add_task("fetching", total=None)
        try:
            fetch.run(lambda done, total: bar.update(fetching, completed=done, total=total))
        except KeyboardInterrupt:
            bar.stop()
            print(
                f"what has arrived is kept in {given.output}; run the command again to go on", file=sys.stderr
            )
            raise
        print(f"{archive} ({archive.stat().st_size:,} bytes, {digest_of(archive, 'sha256')})")
        if checksum is None:
            print("not compared with any checksum: give --checksum where one is published")
        unpacking = bar.add_task("unpacking", total=archive.stat().st_size)
        found = unpack(archive, given.output, given.most_gb * 10**9, lambda n: bar.advance(unpacking, n))
    for path in found:
        print(path)
    folders = {path.parent for path in found if path.name in _REQUIRED}
    for folder in sorted(folders):
        if all(folder / name in found for name in _REQUIRED):
            print(f"next: genome-lm prepare source=deepsea source.folder={folder} output=deepsea.h5")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="genome-lm download",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--url", default=DEEPSEA_URL, help=f"a tar.gz (default: {DEEPSEA_URL})")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", default=DEFAULT_OUTPUT,
        help=f"where the files go (default: ./{DEFAULT_OUTPUT})",
    )  # fmt: skip
    parser.add_argument(
        "--checksum", metavar="SHA256_OR_MD5", help="refuse another archive: sha256:... or md5:..."
    )
    parser.add_argument(
        "--most-gb", type=int, default=_MOST_GB, metavar="N",
        help=f"refuse an archive that unpacks to more gigabytes (default: {_MOST_GB})",
    )  # fmt: skip
    return parser
