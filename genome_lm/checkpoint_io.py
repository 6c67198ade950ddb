"""How Lightning's checkpoints reach the disk and come back: whole or not at all, and without running code."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from genome_lm.archive import check_archive
from genome_lm.atomic import replacing
from genome_lm.checkpoint_file import load_training
from genome_lm.pickled import Refused


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint beside its place, flushes it to disk and renames it.

    Lightning's own renames too, but does not flush, so that after a power cut the new name may stand for an
    empty file; and its temporary file lies in the system's folder for these, which may be another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object | None = None
    ) -> None:
        """Write `checkpoint` to `path`; what is there stays until the new one is complete.

        Raises:
            UserError: the folder cannot be written, or the disk is full.
        """
        content = io.BytesIO()  # torch's own writer answers a full disk with an error that names no cause
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; always as plain values and tensors, whatever `weights_only` says.

        Raises:
            UserError: see `load_training`.
        """
        return load_training(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove the file if it is there."""
        Path(path).unlink(missing_ok=True)


def is_intact(path: Path) -> bool:
    """Whether a checkpoint file is whole and sound, see `genome_lm.archive.check_archive`."""
    try:
        check_archive(path)
    except (OSError, Refused):
        return False
    return True
