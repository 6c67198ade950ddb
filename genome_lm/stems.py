"""Between tokenizer and encoder: nothing, or a convolution that shortens the sequence."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from genome_lm.batch_norm import BatchNorm
from genome_lm.errors import UserError


class Stem(nn.Module, ABC):
    """Interface of the stems: token features in, token features out, as many or fewer.

    The constructor takes `input_width`, the features per token, first, and then its own arguments, which are
    the keys of its file in `conf/stem`.

    Attributes:
        width: features of a token that leaves it.
        min_length: the fewest tokens that it can read.
    """

    width: int
    min_length: int = 1

    @abstractmethod
    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens, float [batch, length, input_width], to float [batch, out_length(length), width]."""

    @abstractmethod
    def out_length(self, length: int) -> int:
        """How many tokens leave it when `length` go in."""


class NoStem(Stem):
    """The tokens as they are."""

    def __init__(self, input_width: int) -> None:
        super().__init__()
        self.width = input_width

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens

    def out_length(self, length: int) -> int:
        return length


class ConvStem(Stem):
    """Convolution, batch normalisation, ReLU and max pooling: motif scanners before a recurrence.

    As the first layer of DanQ (Quang and Xie 2016, without its normalisation), so that the recurrence reads
    what motifs there are in every `pool` tokens instead of the tokens. The sequence is padded with zeros to
    keep its length in the convolution; the last pool may be of fewer tokens, so that none is lost.

    Args:
        input_width: features per token.
        channels: filters.
        kernel_size: tokens that a filter spans; odd, so that the padding is the same on both sides.
        pool: tokens of which the strongest response is kept.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(self, input_width: int, channels: int = 128, kernel_size: int = 15, pool: int = 5) -> None:
        super().__init__()
        if channels < 1 or pool < 1:
            raise UserError(f"stem has channels {channels} and pool {pool}; expected at least 1 of each")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise UserError(f"stem.kernel_size is {kernel_size}; expected an odd number, 1 or more")
        self.width = channels
        self.pool = pool
        self.layers = nn.Sequential(
            nn.Conv1d(input_width, channels, kernel_size, padding=kernel_size // 2, bias=False),
            BatchNorm(channels),
            nn.ReLU(),
            nn.MaxPool1d(pool, ceil_mode=True),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        pooled: Tensor = self.layers(tokens.transpose(1, 2))
        return pooled.transpose(1, 2)

    def out_length(self, length: int) -> int:
        return -(-length // self.pool)
