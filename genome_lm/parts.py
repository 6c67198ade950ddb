"""From a class's dotted name and its arguments, as a configuration or a checkpoint has them, to an object."""

import difflib
import importlib
import inspect
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from torch import nn

from genome_lm.errors import UserError

Part = TypeVar("Part", bound=nn.Module)


def part_from(
    key: str,
    interface: type[Part],
    config: dict[str, Any],
    first_arguments: tuple[Any, ...],
    allowed_packages: Sequence[str],
) -> Part:
    """Construct the class named by `_target_` with the other entries as its arguments.

    Args:
        key: where the entries stand in the configuration, for messages.
        interface: the class must be a subclass of it.
        config: `_target_` and arguments, plain values.
        first_arguments: positional arguments that come before those of the configuration.
        allowed_packages: top-level packages that `_target_` may name; nothing else is imported.

    Raises:
        UserError: the class is not allowed, does not exist or is no `interface`; an argument is unknown,
            missing or of the wrong type.
    """
    return construct(key, class_from(key, interface, config, allowed_packages), config, first_arguments)


def class_from(
    key: str, interface: type[Part], config: dict[str, Any], allowed_packages: Sequence[str]
) -> type[Part]:
    """The class named by `_target_`.

    Args:
        key, interface, config, allowed_packages: as for `part_from`.

    Raises:
        UserError: it is not allowed, does not exist or is no `interface`.
    """
    target = config.get("_target_")
    if not isinstance(target, str) or "." not in target:
        raise UserError(f"{key}._target_ is {target!r}; expected the dotted name of a class")
    if target.partition(".")[0] not in allowed_packages:
        raise UserError(
            f"{key}._target_ is {target}; expected a class of the packages {', '.join(allowed_packages)} "
            "(extend allowed_packages if you trust it)"
        )
    module_name, _, class_name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{key}._target_ is {target}; there is no such class ({error})") from error
    if not (inspect.isclass(found) and issubclass(found, interface) and not inspect.isabstract(found)):
        raise UserError(f"{key}._target_ is {target}; expected a concrete subclass of {interface.__name__}")
    return found


def construct(key: str, found: type[Part], config: dict[str, Any], first_arguments: tuple[Any, ...]) -> Part:
    """An object of a class that `class_from` gave.

    Args:
        key, config, first_arguments: as for `part_from`.
        found: the class.

    Raises:
        UserError: an argument is unknown, missing or of the wrong type, the class refuses it, or its weights
            do not fit into memory.
    """
    arguments = {name: value for name, value in config.items() if name != "_target_"}
    _check_arguments(key, found, arguments, len(first_arguments))
    try:
        return found(*first_arguments, **arguments)
    except (MemoryError, RuntimeError) as error:  # torch raises either
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        sizes = ", ".join(f"{name} {value}" for name, value in arguments.items() if type(value) is int)
        raise UserError(
            f"{key}: the weights of {found.__name__} do not fit into memory ({sizes}); give smaller sizes"
        ) from error


def _check_arguments(key: str, target: type, arguments: dict[str, Any], n_first: int) -> None:
    parameters = list(inspect.signature(target).parameters.values())[n_first:]
    names = [parameter.name for parameter in parameters]
    for name in arguments:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UserError(
                f"{key}.{name} does not exist; {hint}{target.__name__} takes "
                f"{', '.join(names) or 'no arguments'}"
            )
    hints = typing.get_type_hints(target.__init__)  # type: ignore[misc]
    for parameter in parameters:
        if parameter.name not in arguments:
            if parameter.default is inspect.Parameter.empty:
                raise UserError(f"{key}.{parameter.name} is missing; {target.__name__} needs it")
        elif parameter.name in hints and not _fits(arguments[parameter.name], hints[parameter.name]):
            given, expected = arguments[parameter.name], _words(hints[parameter.name])
            raise UserError(f"{key}.{parameter.name} is {given!r}; expected {expected}")


def _fits(value: object, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if hint is Any:
        return True
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is dict:
        return isinstance(value, dict)
    if origin is not None:  # list[int], Sequence[str] and the like
        item = next(iter(typing.get_args(hint)), Any)
        return isinstance(value, (list, tuple)) and all(_fits(each, item) for each in value)
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(str(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) in (list, Sequence):
        item = next(iter(typing.get_args(hint)), Any)
        quotes = """, as 'KEY=["one","two"]' on a command line""" if item is str else ""
        return f"a list, each {_words(item)}{quotes}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(hint, str(hint))
