"""Convolutions over few channels, such as one-hot bases, which bfloat16 gets wrong on some processors."""

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
    if not _is_wrong(tokens, weight):
        return nn.functional.conv1d(tokens, weight, bias)
    with torch.autocast("cpu", enabled=False):
        return nn.functional.conv1d(tokens.to(weight.dtype), weight, bias)


class Convolution(nn.Conv1d):
    """`torch.nn.Conv1d`, computed as `convolve` does."""

    def forward(self, input: Tensor) -> Tensor:
        if not _is_wrong(input, self.weight):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.to(self.weight.dtype))


def _is_wrong(tokens: Tensor, weight: Tensor) -> bool:
    channels, size = weight.shape[1:]
    few = channels < TILE // 2 and (channels * size) % TILE == 0
    return tokens.device.type == "cpu" and few
