"""Convolutions of few channels are right in mixed precision on any processor."""

import pytest
import torch
from torch import nn

from genome_lm.convolution import Convolution, convolve


@pytest.mark.parametrize("channels", [4, 8, 16])
@pytest.mark.parametrize("size", [8, 15, 16, 24, 32])
def test_mixed_precision_rounds_and_no_more(channels, size):
    torch.manual_seed(0)
    tokens, plain = torch.rand(3, channels, 90), nn.Conv1d(channels, 40, size)
    ours = Convolution(channels, 40, size)
    ours.load_state_dict(plain.state_dict())
    exact = plain(tokens)
    torch.testing.assert_close(ours(tokens), exact, rtol=0, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = tokens.bfloat16()  # as a layer before this one leaves them
        for found in (ours(tokens), ours(rounded), convolve(tokens, plain.weight, plain.bias)):
            torch.testing.assert_close(found.float(), exact, rtol=0.05, atol=0.05)
