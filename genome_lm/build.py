"""From configuration and checkpoints to objects; nothing else in the program does this."""

import difflib
import importlib
import inspect
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from genome_lm.checkpoint import Checkpoint, Description
from genome_lm.config import DataConfig, OptimizerConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.reading import embedded_dataset_path, open_dataset
from genome_lm.encoders.base import Encoder
from genome_lm.errors import UserError
from genome_lm.heads import MultitaskHead, Pooling
from genome_lm.module import MultitaskModule, OptimizerSettings
from genome_lm.network import Network
from genome_lm.tokenizers import Tokenizer

Part = TypeVar("Part", bound=nn.Module)


def dataset_from(path: str | None) -> Dataset:
    """Open the dataset at `path`, or the embedded one when there is none."""
    return open_dataset(Path(path) if path else embedded_dataset_path())


def datamodule_from(dataset: Dataset, tasks: Any, config: DataConfig, seed: int) -> GenomeDataModule:
    """Batches as `conf/data` describes them."""
    return GenomeDataModule(
        dataset,
        tasks,
        context_bp=config.context_bp,
        batch_size=config.batch_size,
        eval_batch_size=config.eval_batch_size,
        max_shift_bp=config.max_shift_bp,
        reverse_complement=config.reverse_complement,
        num_workers=config.num_workers,
        seed=seed,
    )


def network_from(description: Description, allowed_packages: Sequence[str]) -> Network:
    """The network that a description names, with fresh weights and its head's bias at the task priors.

    Raises:
        UserError: a part is unknown, not allowed, or has wrong arguments; or the context is too short.
    """
    tokenizer = part_from(
        "tokenizer",
        Tokenizer,  # type: ignore[type-abstract]
        description.tokenizer,
        (),
        allowed_packages,
    )
    if description.context_bp < tokenizer.min_bp:
        raise UserError(
            f"data.context_bp is {description.context_bp}; "
            f"this tokenizer needs at least {tokenizer.min_bp} bp"
        )
    encoder = part_from(
        "model.encoder",
        Encoder,  # type: ignore[type-abstract]
        description.encoder,
        (tokenizer.width,),
        allowed_packages,
    )
    head = description.head
    input_dropout = head["input_dropout"]
    if not 0 <= input_dropout < 1:
        raise UserError(f"head.input_dropout is {input_dropout}; expected 0 <= input_dropout < 1")
    pooling = Pooling(head["pooling"], encoder.width)
    rate = torch.tensor(description.positive_rate, dtype=torch.float64)
    return Network(
        tokenizer,
        encoder,
        pooling,
        MultitaskHead(pooling.width, rate, head["kind"], head["dropout"], head["norm"]),
        input_dropout=input_dropout,
    )


def network_with_weights(checkpoint: Checkpoint, allowed_packages: Sequence[str]) -> Network:
    """The trained network of a checkpoint.

    Raises:
        UserError: as `network_from`; or the weights do not fit the network that the checkpoint describes.
    """
    network = network_from(checkpoint.description, allowed_packages)
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise UserError(
            f"checkpoint {checkpoint.path} is damaged: its weights do not fit the network that it describes; "
            "copy it again or train anew"
        ) from error
    return network


def module_from(
    description: Description, optimizer: OptimizerConfig, allowed_packages: Sequence[str]
) -> MultitaskModule:
    """A module with fresh weights, ready to train."""
    return MultitaskModule(
        network_from(description, allowed_packages),
        torch.tensor(description.positive_rate, dtype=torch.float64),
        OptimizerSettings(
            name=optimizer.name,
            learning_rate=optimizer.learning_rate,
            weight_decay=optimizer.weight_decay,
            embedding_decay=optimizer.embedding_decay,
            warmup_fraction=optimizer.warmup_fraction,
            schedule=optimizer.schedule,
        ),
        average_strands=description.average_strands,
        description=description.as_dict(),
    )


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
    arguments = {name: value for name, value in config.items() if name != "_target_"}
    _check_arguments(key, found, arguments, len(first_arguments))
    part: Part = found(*first_arguments, **arguments)
    return part


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
    if origin is not None:  # list[int] and the like: the container decides, its class checks the rest
        return isinstance(value, (list, tuple)) if origin is not dict else isinstance(value, dict)
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
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(hint, str(hint))
