"""One line for a mistyped key or value: which one, and what is possible."""

import dataclasses
import difflib
import re
from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genome_lm.config_files import config_dir
from genome_lm.errors import UserError

_TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
"""OmegaConf's names of types, in words."""

_UNKNOWN_KEY = re.compile(r"Could not (?:override|append|delete)[^']*'([^']+)'")


def explain(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """The message of a Hydra or OmegaConf error in one line, with what would have been possible.

    Args:
        error: what was raised while composing or reading the configuration.
        command: `train`, `evaluate`, `prepare` or `predict`.
        arguments: the command line; its choices of groups decide which keys exist.
    """
    if isinstance(error, OverrideParseException):
        reason = " ".join(str(error).partition("See https")[0].split())
        return f"cannot read {error.override!r}: {reason}; expected KEY=VALUE"
    message = str(error)
    found = _UNKNOWN_KEY.search(message)
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OmegaConfBaseException):
        cause = cause.__cause__
    if "not in struct" in f"{message} {cause}" or (found and "not in '" in f"{message} {cause}"):
        key = found.group(1) if found else getattr(cause, "full_key", None)
        if key:
            return _unknown_key(str(key), command, arguments)
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        reason = str(cause).splitlines()[0]
        for type_name, words in _TYPES.items():
            reason = reason.replace(f"of type 'str' could not be converted to {type_name}", f"is not {words}")
        return f"{cause.full_key}: {reason}"
    if found and "No match in the defaults list" in message:
        groups = ", ".join(_groups(command)) or "none"
        return f"{found.group(1)} is not a group of {command}; possible groups: {groups}"
    lines = message.partition("Config search path")[0].partition("See https")[0].splitlines()
    return " ".join(line.strip() for line in lines if line.strip())


def explain_value(error: ValueError, command: str, arguments: Sequence[str]) -> str | None:
    """The message of a ValueError that Hydra raises on a command line, in one line; None for any other.

    Args:
        error: what was raised while composing.
        command: as for `explain`.
        arguments: the command line.
    """
    message = str(error)
    if message.startswith("Only one of --run"):  # flags such as -m with --cfg
        return f"{message}; leave one of them out"
    if not message.startswith("Config group override"):
        return None
    for argument in arguments:
        group, _, value = argument.partition("=")
        if group in _groups(command) and (value == "null" or re.fullmatch(r"[-+.\de]+|true|false", value)):
            choices = sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))
            return f"{group} is {value}; expected one of {', '.join(choices)}"
    return message


def _groups(command: str) -> list[str]:
    """Groups that the defaults list of `command` chooses from."""
    defaults = OmegaConf.load(config_dir() / f"{command}.yaml").defaults
    chosen = [str(name) for entry in defaults if isinstance(entry, DictConfig) for name in entry]
    return [name for name in chosen if not name.startswith("override ")]


def _unknown_key(key: str, command: str, arguments: Sequence[str]) -> str:
    """Names the keys that exist where `key` was looked for."""
    key = key.partition("@")[0].replace("/", ".")
    # Only choices of groups (no dot before "=") can change which keys exist; bad ones were reported before.
    groups = [
        argument
        for argument in arguments
        if re.fullmatch(r"[a-z_/]+=[\w/]+", argument) and (config_dir() / argument.partition("=")[0]).is_dir()
    ]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        try:
            node = compose(command, overrides=groups)
        except HydraException:  # a choice of the user's own, from --config-dir
            node = compose(command)
    parent = ""
    for part in key.split(".")[:-1]:
        below = OmegaConf.select(node, part)
        if not isinstance(below, DictConfig):
            break
        node, parent = below, f"{parent}{part}."
    names = sorted(str(name) for name in node)
    if not parent:
        names = sorted({*names, *_groups(command)})
    wrong = key[len(parent) :].partition(".")[0]
    close = difflib.get_close_matches(wrong, names, n=1)
    hint = f"did you mean {parent}{close[0]}? " if close else ""
    where = f"in {parent.rstrip('.')}" if parent else "at the top level"
    return f"{parent}{wrong} does not exist; {hint}possible {where}: {', '.join(names)}"


def refuse_added_keys(config: DictConfig, parent: str = "") -> None:
    """Refuse keys that +key=value added where the configuration has none of that name.

    Raises:
        UserError: the first such key, and the keys that exist beside it.
    """
    declared = OmegaConf.get_type(config)
    if not dataclasses.is_dataclass(declared):  # arguments of a class: checked against its constructor
        return
    known = [field.name for field in dataclasses.fields(declared)]
    where = f"in {parent[:-1]}" if parent else "at the top level"
    for name in map(str, config):
        if name not in known:
            raise UserError(f"{parent}{name} does not exist; possible {where}: {', '.join(sorted(known))}")
        if isinstance(below := config._get_node(name), DictConfig):
            refuse_added_keys(below, f"{parent}{name}.")
