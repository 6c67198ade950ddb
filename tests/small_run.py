"""Commands run inside the test process, and the overrides of a model that trains in a second."""

import logging
import os
import sys
from pathlib import Path

from genome_lm.cli import main

SLICE = Path(__file__).parent / "data" / "slice"

TINY = (
    "tokenizer=kmer",
    "window_features=none",  # two milliseconds a window
    "tokenizer.k=3",
    "tokenizer.stride=3",
    "tokenizer.width=4",
    "model.encoder.hidden_size=4",
    "data.context_bp=60",
    "data.batch_size=128",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "trainer.log_every_n_steps=1",
)


def run_command(command: str, *arguments: str) -> int:
    """Exit code of `genome-lm COMMAND ARGUMENTS`; logging, arguments and environment are put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    argv, environment = sys.argv, dict(os.environ)
    try:
        main([command, *arguments])
    except SystemExit as left:
        return int(left.code or 0)
    finally:
        root.handlers[:], root.level = handlers, level
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
    return 0


def run_folders(runs: Path) -> list[Path]:
    """The run folders in `runs`, by name."""
    return sorted(path.parent for path in runs.rglob("config.yaml") if path.parent.name != ".hydra")


def files(folder: Path) -> set[str]:
    """Every file below `folder`, Hydra's own left out."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and ".hydra" not in path.parts
    }
