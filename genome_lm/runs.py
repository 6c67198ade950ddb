"""Finding runs in a folder."""

from pathlib import Path

from genome_lm.errors import UserError

BEST_CHECKPOINT = Path("checkpoints") / "best.ckpt"


def newest_checkpoint(runs_dir: Path) -> Path:
    """The best checkpoint that was written last below `runs_dir`, sweeps included.

    Raises:
        UserError: there is none.
    """
    found = list(runs_dir.glob(f"*/{BEST_CHECKPOINT}")) + list(runs_dir.glob(f"*/*/{BEST_CHECKPOINT}"))
    if not found:
        raise UserError(
            f"no run with a checkpoint in {runs_dir}; run `genome-lm train` first, or give ckpt_path=..."
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def run_folder(checkpoint: Path) -> Path:
    """The run folder of a checkpoint, or the folder it lies in when it was moved out of one."""
    folder = checkpoint.resolve().parent
    return folder.parent if folder.name == BEST_CHECKPOINT.parent.name else folder
