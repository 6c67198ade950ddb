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


def find_runs(folder: Path) -> list[Path]:
    """Folders that training made, by name: `folder` itself, or those in it and in the folders in it (sweeps).

    Runs that failed or have only begun count too.
    """
    if _is_run(folder):
        return [folder]
    found = []
    for path in sorted(each for each in folder.iterdir() if each.is_dir()):
        if _is_run(path):
            found.append(path)
        else:
            found += [below for below in sorted(path.iterdir()) if below.is_dir() and _is_run(below)]
    return found


def _is_run(folder: Path) -> bool:
    return (folder / ".hydra").is_dir() or any(
        (folder / name).is_file() for name in ("config.yaml", "training.json")
    )


def run_folder(checkpoint: Path) -> Path:
    """The run folder of a checkpoint, or the folder it lies in when it was moved out of one."""
    folder = checkpoint.resolve().parent
    return folder.parent if folder.name == BEST_CHECKPOINT.parent.name else folder
