"""Convolutions over few channels, such as one-hot bases, which bfloat16 gets wrong on some processors."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

TILE = 32
"""Of AMX, in values of bfloat16."""


def convolve(tokens: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.conv1d` without padding, right under autocast too.

    On processors with AMX, oneDNN's convolution in bfloat16 (PyTorch 2.13) is plainly wrong where the
    channels are fewer than 16 and channels times kernel size is a multiple of 32, such as four bases and 16,
    24 or 32 places. These are computed in float32 on a CPU.

    Args:
        tokens: [batch, channels, length].
        weight: [out_channels, channels, kernel_size].
        bias: [out_channels].

    Returns:
        [batch, out_channels, length - kernel_size + 1].
    """
    with _in_float32(tokens, weight):
        return nn.functional.conv1d(tokens, weight, bias)


class Convolution(nn.Conv1d):
    """`torch.nn.Conv1d`, computed as `convolve` does."""

    def forward(self, input: Tensor) -> Tensor:
        with _in_float32(input, self.weight):
            return super().forward(input)


def _in_float32(tokens: Tensor, weight: Tensor) -> AbstractContextManager[object]:
    channels, size = weight.shape[1:]
    wrong = tokens.device.type == "cpu" and channels < TILE // 2 and (channels * size) % TILE == 0
    return torch.autocast("cpu", enabled=False) if wrong else nullcontext()
