"""Where a run comes from: command, time, code and the versions of what it ran on."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from genome_lm import __version__
from genome_lm.config_files import config_dir

PACKAGE = Path(__file__).resolve().parent

LIBRARIES = (
    "torch",
    "lightning",
    "torchmetrics",
    "numpy",
    "h5py",
    "hydra-core",
    "omegaconf",
    "wandb",
    "tensorboard",
)
"""Distributions whose versions are recorded, where they are installed."""

GIT_SECONDS = 10.0
"""Time that one question to git may take; a checkout on a slow network drive is given up after it."""


@dataclass(frozen=True)
class Provenance:
    """Where a run comes from, as plain values for `training.json` and the loggers."""

    command: str  # what repeats the run, to be pasted into a shell
    started: str  # ISO 8601, UTC, such as "2026-01-31T12:00:00+00:00"
    code_version: str  # see `code_version`
    versions: dict[str, str]  # "python" and each of LIBRARIES that is installed


def provenance(command: str) -> Provenance:
    """The provenance of a run that starts now.

    Args:
        command: what repeats the run, see `command_line`.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(command, started, code_version(), library_versions())


def command_line(
    command: str, overrides: Sequence[str], config_dirs: Sequence[str] = (), config_name: str | None = None
) -> str:
    """The shell command that runs `command` once with these settings, such as "genome-lm train seed=1".

    Args:
        command: a command of genome-lm.
        overrides: Hydra's overrides of one job; of a sweep, those of the job and not of the sweep.
        config_dirs: folders that were added with `--config-dir`.
        config_name: the file given with `--config-name`, if it is not the command's own.
    """
    words = ["genome-lm", command]
    for folder in config_dirs:
        words += ["--config-dir", folder]
    if config_name is not None and config_name != command:
        words += ["--config-name", config_name]
    return shlex.join([*words, *overrides])


def library_versions() -> dict[str, str]:
    """Versions of Python and of the installed LIBRARIES, read without importing them."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def code_version(package: Path = PACKAGE, conf: Path | None = None) -> str:
    """The package's version, and the git commit when it runs from a checkout.

    Such as "0.1.0", "0.1.0+3dabfcc1e0b4", or "0.1.0+3dabfcc1e0b4+changed" when files of the package or of its
    configuration differ from the commit or are not in it. A package that lies in a checkout of something
    else (a virtual environment inside a project) is not tracked there and has no commit; neither has one
    without git, or if git does not answer within `GIT_SECONDS`.

    Args:
        package: folder of the package.
        conf: folder of its configuration files; null for the one in use.
    """
    if _git(package, "ls-files", "--error-unmatch", "--", "__init__.py") is None:
        return __version__
    commit = _git(package, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return __version__
    changes = _git(package, "status", "--porcelain", "--", ".", str(conf or config_dir()))
    return f"{__version__}+{commit}{'' if changes == '' else '+changed'}"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers in `folder`, or null when it is absent, refuses or takes too long."""
    # A commit hook sets GIT_DIR and others for its own repository; status would else take the index lock.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
