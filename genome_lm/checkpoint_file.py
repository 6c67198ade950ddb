"""From a file to the description and the weights in it: a training's checkpoint, or an exported model."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genome_lm.archive import check_archive
from genome_lm.errors import UserError
from genome_lm.exported import Stored, is_exported, read_exported
from genome_lm.pickled import Refused

KEY = "genome_lm"
"""Of the description in a checkpoint of Lightning."""

_TRAINING: dict[str, type] = {
    "epoch": int,
    "global_step": int,
    "state_dict": dict,
    "loops": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
}
_MOST_EPOCHS = 1 << 31
_PREFIX = "network."


def read_stored(path: Path) -> Stored:
    """What a file says of a network, not yet believed, and its weights.

    Raises:
        UserError: the file is missing, damaged, neither a checkpoint of genome_lm nor an exported model, or
            holds something else than plain values and tensors.
    """
    _check_file(path)
    if is_exported(path):
        stored = read_exported(path)
    else:
        check_checkpoint_file(path)
        stored = _stored(_loaded(path), path)
    if not 0 <= stored.epochs <= _MOST_EPOCHS:
        raise UserError(f"checkpoint {path} is damaged: it names no epoch; copy it again or train anew")
    for name, value in stored.weights.items():
        if value.is_floating_point() and bool(value.isnan().any()):
            raise UserError(
                f"checkpoint {path} has weights that are not numbers ({name}): its training has diverged, or "
                "it is damaged; train anew"
            )
    return stored


def check_checkpoint_file(path: Path) -> None:
    """Check a checkpoint before anything of it is loaded, by whomever.

    Raises:
        UserError: see `genome_lm.archive.check_archive`.
    """
    try:
        check_archive(path)
    except Refused as reason:
        raise UserError(
            f"checkpoint {path} is refused: it is damaged or holds objects that could run code ({reason}); "
            "expected a checkpoint written by genome_lm"
        ) from reason
    except OSError as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({error.strerror}); it may be damaged: copy it again"
        ) from error


def load_training(path: Path) -> dict[str, Any]:
    """Everything in the checkpoint of a training that is to go on, as Lightning wrote it.

    Raises:
        UserError: as `check_checkpoint_file`; or it is an exported model, or has no state of a training.
    """
    _check_file(path)
    if is_exported(path):
        raise UserError(
            f"ckpt_path {path} is an exported model, which has weights and no state of a training to go on "
            "from; start from its weights with model.init_from, or give the checkpoint itself"
        )
    check_checkpoint_file(path)
    content = _loaded(path)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(name), kind) for name, kind in _TRAINING.items()
    ):
        raise UserError(
            f"checkpoint {path} has no state of a training to go on from; start from its weights with "
            "model.init_from, or give another checkpoint"
        )
    return content


def _check_file(path: Path) -> None:
    if not path.is_file():  # nor a pipe or a device, which might never end
        raise UserError(
            f"checkpoint {path} does not exist; give the path of a file such as runs/.../best.ckpt"
        )


def _loaded(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's hints on foreign pickles: the error below says enough
            loaded: object = torch.load(path, map_location="cpu", weights_only=True)
            return loaded
    except (
        pickle.UnpicklingError,
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        AttributeError,
        IndexError,
        TypeError,
    ) as error:
        raise UserError(
            f"checkpoint {path} cannot be read; it is damaged or no checkpoint: copy it again or train anew"
        ) from error


def _stored(content: object, path: Path) -> Stored:
    if not isinstance(content, dict) or not isinstance(content.get(KEY), dict):
        raise UserError(f"{path} is not a checkpoint of genome_lm; give one written by `genome-lm train`")
    epoch = content.get("epoch")
    if not isinstance(epoch, int) or isinstance(epoch, bool):
        raise UserError(f"checkpoint {path} is damaged: it names no epoch; copy it again or train anew")
    description: dict[str, Any] = content[KEY]
    return Stored(description, _weights(content.get("state_dict"), path), epoch + 1)


def _weights(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UserError(f"checkpoint {path} is damaged: it holds no weights; copy it again or train anew")
    return {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
