"""The number format of cuDNN's recurrences under autocast."""

import torch
from torch import Tensor, nn


def run_recurrence(recurrence: nn.RNNBase, tokens: Tensor) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
    """States and final state of one of torch's recurrences; on a GPU never in float16 by way of bfloat16.

    Whatever type autocast names, torch casts the input and the weights of a cuDNN recurrence to float16
    (its aten/src/ATen/cudnn/AutocastRNN.cpp). Under fp16 training the gradients are scaled to fit. Under bf16
    they are not, and those of a mean over windows and tasks, about 1e-6, would lie below the normal numbers
    of float16 (6e-5). There the recurrence stays in float32, whose products cuDNN computes in TF32 by torch's
    default (`torch.backends.cudnn.allow_tf32`), with as many bits as float16 has.
    """
    if tokens.device.type == "cuda" and _autocast_to_bfloat16():
        with torch.autocast("cuda", enabled=False):
            tokens = tokens.float()
            found: tuple[Tensor, Tensor | tuple[Tensor, Tensor]] = recurrence(tokens)
    else:
        found = recurrence(tokens)
    return found


def _autocast_to_bfloat16() -> bool:
    return torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda") is torch.bfloat16
