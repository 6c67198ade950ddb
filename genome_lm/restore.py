"""A network from a file by others: built only if the weights in the file account for it."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genome_lm.checkpoint import LONGEST_CONTEXT_BP
from genome_lm.errors import UserError
from genome_lm.plain import holds, one_line

Net = TypeVar("Net", bound=nn.Module)

SPARE_NUMBERS = 1 << 26
"""What a network may need beside its weights: tables of k-mers, matrices of motifs."""
SPARE_TENSORS = 2_000
LARGEST_SETTING = 1 << 16
"""Whole numbers up to this are taken as they are: a length of padding, say, shows in no weight."""

_FACTORIES = frozenset(
    {
        torch.arange, torch.empty, torch.empty_strided, torch.eye, torch.full, torch.linspace, torch.logspace,
        torch.ones, torch.rand, torch.randint, torch.randn, torch.randperm, torch.range,
        torch.zeros,
    }
)  # fmt: skip


class _TooLarge(Exception):
    """The network needs more than the weights account for."""


class _Accounted(TorchFunctionMode):
    """Counts the numbers of every tensor that is made, before it is made."""

    def __init__(self, numbers: int, tensors: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.tensors = tensors

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        settings = dict(kwargs or {})
        if func in _FACTORIES and "out" not in settings:
            planned = func(*args, **{**settings, "device": "meta"})  # its size, and no memory
            self.numbers -= planned.numel()
            self.tensors -= 1
            if self.numbers < 0 or self.tensors < 0:
                raise _TooLarge
        return func(*args, **settings)


def restore(
    path: Path,
    weights: Mapping[str, Tensor],
    settings: Mapping[str, Mapping[str, Any]],
    context_bp: int,
    build: Callable[[], Net],
) -> Net:
    """Build a network as a file describes it and give it the file's weights.

    Args:
        path: of the file, for messages.
        weights: of the network, by name.
        settings: `_target_` and arguments of each part, by its name.
        context_bp: bases that the network reads.
        build: makes the network with fresh weights.

    Raises:
        UserError: a setting is larger than anything in the weights; the network needs more memory than the
            weights account for; it cannot be built; its weights have other names, shapes or types; or
            whatever `build` raises.
    """
    _check_settings(path, weights, settings, context_bp)
    held = sum(value.numel() for value in weights.values())
    try:
        # A layer may make its weights several times over, to fill some from others.
        with _Accounted(4 * held + SPARE_NUMBERS, 16 * len(weights) + SPARE_TENSORS):
            network = build()
    except _TooLarge as error:
        raise UserError(
            f"checkpoint {path} is refused: it describes a network of far more numbers than the {held:,} "
            "weights that it holds; it is damaged, or made to exhaust memory"
        ) from error
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
        raise UserError(
            f"checkpoint {path} is damaged: it describes a network that cannot be built "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); copy it again or train anew"
        ) from error
    own = network.state_dict()
    fits = own.keys() == weights.keys() and all(
        value.shape == weights[name].shape
        and value.is_floating_point() == weights[name].is_floating_point()
        and (value.dtype == torch.bool) == (weights[name].dtype == torch.bool)
        for name, value in own.items()
    )
    if not fits:
        raise UserError(
            f"checkpoint {path} is damaged: its weights do not fit the network that it describes; "
            "copy it again or train anew"
        )
    network.load_state_dict(dict(weights))
    return network


def _check_settings(
    path: Path, weights: Mapping[str, Tensor], settings: Mapping[str, Mapping[str, Any]], context_bp: int
) -> None:
    if not 1 <= context_bp <= LONGEST_CONTEXT_BP:
        raise UserError(f"checkpoint {path} is damaged: its context is {context_bp} bp")
    if holds(settings, lambda text: not one_line(text)):  # they become part of messages
        raise UserError(f"checkpoint {path} is damaged: it describes its parts with control characters")
    dimensions = [length for value in weights.values() for length in value.shape]
    largest = max([LARGEST_SETTING, context_bp, *dimensions])
    for part, arguments in settings.items():
        for name, value in arguments.items():
            found = max(_whole_numbers(value), default=0)
            if found > largest:
                raise UserError(
                    f"checkpoint {path} is refused: its {part}.{name} is {found:,}, and nothing in its "
                    f"weights or its context is longer than {largest:,}; it is damaged, or made to exhaust "
                    "memory"
                )


def _whole_numbers(value: object) -> Iterable[int]:
    """Absolute values of the whole numbers in a plain value."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield abs(value)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _whole_numbers(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _whole_numbers(each)
