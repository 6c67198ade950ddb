"""Folders of configuration files from elsewhere: they choose settings and cannot run code.

Hydra itself calls what its own part of a configuration names: callbacks, launchers and sweepers by
`_target_`, handlers and formatters of logging by `()` and `class`, shell commands before a job of a launcher;
it sets environment variables, and opens any file for a log. So the files of a folder that is given with
`--config-dir` or `--config-path` are read before Hydra reads them, and may set of that part only where a run
is written and what is swept.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genome_lm.config_files import config_dir
from genome_lm.errors import UserError
from genome_lm.plain import holds

FLAGS = ("--config-dir", "-cd", "--config-path", "-cp")

HARMLESS = {
    "run": {"dir"},
    "sweep": {"dir", "subdir"},
    "sweeper": {"params", "max_batch_size"},
    "job": {"name"},
    "mode": set(),
    "verbose": set(),
}
"""What files may set below `hydra`: a section's keys, or (none named) the section itself."""

MOST_FILES = 10_000
LONGEST_FILE = 1 << 20  # bytes

_PACKAGE = re.compile(r"^\s*#\s*@package\s+(\S+)", re.MULTILINE)
# Also where the name of the resolver is itself put together.
_ENVIRONMENT = re.compile(r"\$\{\s*oc\s*\.\s*env\b|\$\{[^{}:]*\$\{")
_REMEDY = "give that on the command line if you trust it"


def check_config_dirs(arguments: Sequence[str]) -> None:
    """Check the files in every folder that a command line adds to the configuration.

    Raises:
        UserError: a file sets what could run code, or `allowed_packages`, or reads an environment variable,
            whose value would be written into configurations and checkpoints; or it cannot be read.
    """
    for folder in _folders(arguments):
        if folder.resolve() == config_dir().resolve():
            continue
        for number, path in enumerate(sorted(_files(folder))):
            if number == MOST_FILES:
                raise UserError(f"{folder} has more than {MOST_FILES:,} files of configuration; give another")
            _check_file(folder, path)


def _folders(arguments: Sequence[str]) -> Iterator[Path]:
    for place, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        # As argparse, which takes any beginning of a flag that is that of one alone.
        if flag in FLAGS or (flag.startswith("--config-") and any(each.startswith(flag) for each in FLAGS)):
            if not equals:
                value = arguments[place + 1] if place + 1 < len(arguments) else ""
            yield Path(value)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for number, (parent, _, names) in enumerate(os.walk(folder, followlinks=True)):
            if number == MOST_FILES:  # links may lead round in a circle
                raise UserError(f"{folder} has more than {MOST_FILES:,} folders; give another")
            yield from (Path(parent) / name for name in names if name.endswith((".yaml", ".yml")))


def _check_file(folder: Path, path: Path) -> None:
    if path.relative_to(folder).parts[0] == "hydra":
        raise UserError(f"{path} is a file of Hydra's own part, which can run code; {_REMEDY}")
    text, content = _loaded(path)
    package = found[1] if (found := _PACKAGE.search(text)) else ""
    if _is_hydra(package) or "${" in package:
        raise UserError(f"{path} is for the package {package}, which can run code; {_REMEDY}")
    if holds(content, lambda written: bool(_ENVIRONMENT.search(written))):
        raise UserError(
            f"{path} reads an environment variable (oc.env), whose value would be written into "
            "configurations and checkpoints; let the shell fill it in on the command line, as KEY=$NAME"
        )
    if not isinstance(content, Mapping):
        return
    for entry in _defaults(content.get("defaults")):
        group, _, relocated = entry.partition("@")
        group = re.sub(r"^\s*((override|optional)\s+)*", "", group)
        if _is_hydra(group) or _is_hydra(relocated) or "${" in relocated:
            raise UserError(f"{path} chooses {entry} in its defaults, which can run code; {_REMEDY}")
    for name in _beyond(content.get("hydra")):
        raise UserError(f"{path} sets hydra.{name}, which can run code; {_REMEDY}")
    for key in _keys(content):
        bare = key.lstrip("+~ ")
        if bare.startswith("allowed_packages") or (_is_hydra(bare) and key != "hydra"):
            raise UserError(f"{path} sets {key}, which decides what code may run; {_REMEDY}")


def _loaded(path: Path) -> tuple[str, Any]:
    """The text of a file and its value, read as Hydra does, nothing resolved."""
    try:
        if not path.is_file() or path.stat().st_size > LONGEST_FILE:
            raise UserError(f"{path} is no ordinary file of at most {LONGEST_FILE:,} bytes; remove it")
        text = path.read_text(encoding="utf-8")
        loaded = OmegaConf.load(path)
        assert isinstance(loaded, DictConfig | ListConfig)
        return text, OmegaConf.to_container(loaded, resolve=False)
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} cannot be read as a configuration ({reason}); correct it or remove it"
        ) from error


def _keys(value: object) -> Iterator[str]:
    """Every key in a value; those of sweeps and search spaces are overrides of the configuration."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, Mapping):
            yield from map(str, each)
            left += each.values()
        elif isinstance(each, list):
            left += each


def _defaults(entries: object) -> Iterator[str]:
    """Every entry of a defaults list as text, such as "override /hydra/launcher"."""
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, Mapping):
            yield from map(str, entry)


def _is_hydra(name: str) -> bool:
    parts = [
        part for part in re.split(r"[./:\s]+", name) if part not in ("", "_global_", "_here_", "_group_")
    ]
    return bool(parts) and parts[0] == "hydra"


def _beyond(section: object) -> Iterator[str]:
    """Keys below `hydra` that are not among `HARMLESS`."""
    if section is None:
        return
    if not isinstance(section, Mapping):
        yield str(section)
        return
    for name, value in section.items():
        allowed = HARMLESS.get(str(name))
        if allowed is None:
            yield str(name)
        elif allowed:
            if not isinstance(value, Mapping):
                yield str(name)
            else:
                yield from (f"{name}.{key}" for key in value if key not in allowed)
