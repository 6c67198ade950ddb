"""The part of benchmarks/peers.py that runs this program: `genome-lm train` with marks around its batches.

python benchmarks/peers_own.py MARKS OVERRIDES...
"""

import sys
from pathlib import Path
from typing import Any

from peers_marks import Marks

from genome_lm.cli import main
from genome_lm.module import MultitaskModule

MARKS = Marks()


def begin(module: MultitaskModule) -> None:
    """In place of Lightning's hook `on_train_epoch_start`, which the module leaves empty."""
    MARKS.begin()


def end(module: MultitaskModule, outputs: Any, batch: Any, batch_idx: int) -> None:
    """In place of `on_train_batch_end`."""
    MARKS.batch(len(batch.codes))


if __name__ == "__main__":
    MultitaskModule.on_train_epoch_start = begin  # type: ignore[method-assign]
    MultitaskModule.on_train_batch_end = end  # type: ignore[method-assign]
    try:
        main(["train", *sys.argv[2:]])
    finally:
        MARKS.write(Path(sys.argv[1]))
