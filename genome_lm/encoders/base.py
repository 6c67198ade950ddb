"""What every encoder offers to the rest of the program."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from genome_lm.errors import UserError


@dataclass(frozen=True)
class CausalStates:
    """States that see one side of their token only, for language modelling.

    Attributes:
        forward: float [batch, length, w]; the state at t depends on tokens 0 to t and on no other.
        backward: float [batch, length, w], the state at t depends on tokens t to the last and on no other;
            None for an encoder of one direction.
    """

    forward: Tensor
    backward: Tensor | None = None


class Encoder(nn.Module, ABC):
    """Interface of the encoders: token features in, states and a final state out.

    An encoder knows neither Lightning nor the data. Its constructor takes `input_width`, the features per
    token, first, and then its own arguments, which are the keys of its file in `conf/model`.

    Attributes:
        width: features of a state.
        min_length: the fewest tokens that it can read.
    """

    width: int
    min_length: int = 1

    @abstractmethod
    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode tokens, float [batch, length, input_width].

        Returns:
            States, float [batch, length', width], and the final state, float [batch, width]. Recurrent
            encoders return a state for each token, and as the final state that after the last token, for a
            backward direction that after the first; what it is for others their class says.
        """

    def load_sources(self) -> None:
        """Start from values out of other sources, such as motif collections.

        Called once when a training begins from fresh weights, and never when weights come from a checkpoint,
        which so needs none of the sources.

        Raises:
            UserError: a source is missing.
        """

    def causal_states(self, tokens: Tensor) -> CausalStates:
        """States that each see one side of the sequence, of tokens, float [batch, length, input_width].

        Raises:
            UserError: the encoder has none, so that it cannot be trained as a language model.
        """
        raise UserError(
            f"{type(self).__name__} cannot be trained as a language model: its states see tokens on both "
            "sides; choose a recurrent model of one direction, or of two directions and one layer"
        )


class FixedLengthEncoder(Encoder):
    """Interface of encoders that read windows of one length only, since a dense layer reads all positions.

    Their constructor takes `input_width` and `length`, the tokens per window, and then its own arguments,
    which are the keys of its file in `conf/model`. `length` follows from `data.context_bp`, the tokenizer and
    the stem, and is never configured.

    Args:
        length: tokens per window.
        min_length: the fewest tokens that the layers before the dense one can read.

    Raises:
        UserError: `length` is less than `min_length`.
    """

    def __init__(self, length: int, min_length: int = 1) -> None:
        super().__init__()
        if length < min_length:
            raise UserError(
                f"{type(self).__name__} gets {length} tokens a window; it needs at least {min_length}: "
                "raise data.context_bp, or choose a tokenizer and a stem that leave more tokens"
            )
        self.length = length
        self.min_length = min_length

    def check_length(self, tokens: Tensor) -> None:
        """Refuse tokens, float [batch, length, input_width], of another length than the encoder's.

        Raises:
            UserError: the lengths differ.
        """
        if tokens.shape[1] != self.length:
            raise UserError(
                f"{type(self).__name__} was built for {self.length} tokens a window and got "
                f"{tokens.shape[1]}; give sequences of the length that it was trained on"
            )
