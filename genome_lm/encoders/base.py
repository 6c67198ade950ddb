"""What every encoder offers to the rest of the program."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Encoder(nn.Module, ABC):
    """Interface of the encoders: token features in, one state a token and a final state out.

    An encoder knows neither Lightning nor the data. Its constructor takes `input_width`, the features per
    token, first, and then its own arguments, which are the keys of its file in `conf/model`.

    Attributes:
        width: features of a state.
    """

    width: int

    @abstractmethod
    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode tokens, float [batch, length, input_width].

        Returns:
            States, float [batch, length, width], and the final state, float [batch, width]: the state after
            the last token, and for a backward direction the state after the first token.
        """
