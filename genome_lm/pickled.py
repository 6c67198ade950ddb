"""The pickle in a checkpoint, followed without unpickling: no object is made but plain values.

Python's unpickler calls what a pickle names. Here every instruction is looked at by itself: only those that
`torch.save` uses for plain values and tensors are followed, only the names in `_NAMED` stand for anything,
and a tensor becomes the claim of one, so that it can be held against what the file stores before any memory
is set aside for it. The layout is that of Python's `pickletools` and PyTorch's `torch/serialization.py`.
"""

import pickletools
from dataclasses import dataclass
from enum import Enum
from typing import Any

from genome_lm.plain import check_plain

MOST_STEPS = 4_000_000
"""Instructions followed: a checkpoint of 919 tasks has some 10,000."""


class Refused(ValueError):
    """Why a pickle is not one of plain values and tensors, in words."""


@dataclass(frozen=True)
class StorageType:
    """A type of numbers."""

    name: str
    n_bytes: int  # of one number


@dataclass(frozen=True)
class StorageClaim:
    """The numbers that a record of the file is said to hold."""

    type: StorageType
    key: str  # names the record
    length: int


@dataclass(frozen=True)
class TensorClaim:
    """A tensor over some of the numbers of a record; offset and strides are in numbers."""

    storage: StorageClaim
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Callable(Enum):
    """What a pickle may call; the calls are carried out here."""

    ordered_dict = "collections OrderedDict"
    rebuild_tensor = "torch._utils _rebuild_tensor_v2"
    encode = "_codecs encode"  # bytes


class _OrderedDict(dict[Any, Any]):
    """One that may be given PyTorch's notes on the versions of modules."""


_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8,
    "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1,
}  # fmt: skip
_NAMED: dict[str, object] = {each.value: each for each in _Callable} | {
    f"torch {name}": StorageType(name, n_bytes) for name, n_bytes in _BYTES.items()
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NUMBERS_AND_TEXT = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
}  # fmt: skip
_LONGEST_WHOLE = 1 << 128
_MOST_DIMENSIONS = 64
_MARK = object()


def follow(pickled: bytes) -> object:
    """The value that a pickle describes, with `TensorClaim`s for its tensors.

    Raises:
        Refused: it is cut off or damaged, names or calls anything but what a checkpoint needs, uses an
            instruction that `torch.save` does not, or goes on for too long.
    """
    machine = _Machine()
    try:
        for step, (instruction, argument, _) in enumerate(pickletools.genops(pickled)):
            if step > MOST_STEPS:
                raise Refused(f"more than {MOST_STEPS:,} instructions")
            machine.take(instruction.name, argument)
    except Refused:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise Refused("its pickle is damaged") from error
    return machine.result()


class _Machine:
    """The stack and the memo of an unpickler."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.stopped = False

    def result(self) -> object:
        if not self.stopped or len(self.stack) != 1:
            raise Refused("its pickle is cut off")
        return self.stack[0]

    def take(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        stack = self.stack
        if name in _NUMBERS_AND_TEXT:
            if isinstance(argument, int) and abs(argument) >= _LONGEST_WHOLE:
                raise Refused("it holds a whole number of more than 128 bits")
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self._push_tuple(self._taken(int(name[-1])))
        elif name == "TUPLE":
            self._push_tuple(self._since_mark())
        elif name == "APPEND":
            self._extend(self._taken(1))
        elif name == "APPENDS":
            self._extend(self._since_mark())
        elif name == "SETITEM":
            self._set(self._taken(2))
        elif name == "SETITEMS":
            self._set(self._since_mark())
        elif name == "GLOBAL":
            if argument not in _NAMED:
                raise Refused(f"it names {_shown(argument)}")
            stack.append(_NAMED[argument])
        elif name == "REDUCE":
            called, arguments = self._taken(2)
            stack.append(_call(called, arguments))
        elif name == "BINPERSID":
            stack.append(_storage(*self._taken(1)))
        elif name == "BUILD":
            (state,) = self._taken(1)
            if not isinstance(stack[-1], _OrderedDict) or set(state) != {"_metadata"}:
                raise Refused("it sets attributes of an object")
            check_plain(state)
        elif name == "STOP":
            self.stopped = True
        elif name not in ("PROTO", "FRAME"):
            raise Refused(f"it has the instruction {name}")

    def _taken(self, n: int) -> list[Any]:
        """The last `n` values, taken off the stack."""
        values = self.stack[-n:]
        if len(values) < n or any(value is _MARK for value in values):
            raise Refused("its pickle is damaged")
        del self.stack[-n:]
        return values

    def _since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise Refused("its pickle is damaged")

    def _push_tuple(self, values: list[Any]) -> None:
        self.stack.append(tuple(values))

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise Refused("its pickle is damaged")
        self.stack[-1].extend(values)

    def _set(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            raise Refused("its pickle is damaged")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Whole numbers beyond 64 bits could be chosen so that all fall on one place of the table.
            if not isinstance(key, str) and not (type(key) is int and abs(key) < 1 << 60):
                raise Refused(f"it has a key of type {type(key).__name__}")
            if key in target:
                raise Refused(f"it has the key {_shown(str(key))} twice")
            target[key] = value


def _call(called: object, arguments: object) -> object:
    if not isinstance(arguments, tuple):
        raise Refused("its pickle is damaged")
    if called is _Callable.ordered_dict and arguments == ():
        return _OrderedDict()
    if called is _Callable.encode and len(arguments) == 2:
        text, encoding = arguments
        if isinstance(text, str) and encoding == "latin1":
            return text.encode("latin1")
    if called is _Callable.rebuild_tensor and len(arguments) == 6:
        *claim, gradient, hooks = arguments
        if isinstance(gradient, bool) and isinstance(hooks, _OrderedDict) and not hooks:
            return _tensor(*claim)
    raise Refused("it calls something")


def _tensor(storage: object, offset: object, size: object, stride: object) -> TensorClaim:
    if not isinstance(storage, StorageClaim) or not isinstance(offset, int) or offset < 0:
        raise Refused("it has a damaged tensor")
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise Refused("it has a damaged tensor")
    if len(size) > _MOST_DIMENSIONS or not all(
        type(each) is int and 0 <= each < 1 << 60 for each in (*size, *stride)
    ):
        raise Refused("it has a damaged tensor")
    return TensorClaim(storage, offset, size, stride)


def _storage(identity: object) -> StorageClaim:
    """From ("storage", type, key, device, length)."""
    if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
        raise Refused("it has a damaged tensor")
    _, kind, key, device, length = identity
    if not isinstance(kind, StorageType) or not isinstance(key, str) or not isinstance(device, str):
        raise Refused("it has a damaged tensor")
    if type(length) is not int or length < 0:
        raise Refused("it has a damaged tensor")
    return StorageClaim(kind, key, length)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")
