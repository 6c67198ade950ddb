"""The dataset shipped with the package, and the recipe that made it.

    python -m genome_lm.dataset.embedded SOURCE_FOLDER [OUTPUT]

SOURCE_FOLDER holds chr20.fa.gz (GRCh37), tracks.tsv and the peak files that it names.
"""

import logging
import sys
from pathlib import Path

from genome_lm.dataset.prepare import prepare
from genome_lm.dataset.reading import embedded_dataset_path
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.errors import UserError

SETTINGS = PrepareSettings(
    genome_build="hg19",
    test=("chr20:40,000,000-48,000,000",),
    valid=("chr20:48,000,000-53,000,000",),
    compression_level=9,
)


def main(arguments: list[str]) -> int:
    """Rebuild the embedded dataset. Returns the exit code: 0, or 2 after a message about the input."""
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    source = Path(arguments[0])
    output = Path(arguments[1]) if len(arguments) == 2 else embedded_dataset_path()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        summary = prepare(
            source / "chr20.fa.gz", source / "tracks.tsv", output, SETTINGS, progress=sys.stderr.isatty()
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(summary.text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
