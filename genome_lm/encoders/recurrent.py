"""Plain, GRU and LSTM recurrences in one or two directions."""

from typing import Literal

from torch import Tensor, nn

from genome_lm.encoders.base import CausalStates, Encoder
from genome_lm.encoders.cudnn import run_recurrence
from genome_lm.errors import UserError

Cell = Literal["rnn", "gru", "lstm"]


class RecurrentEncoder(Encoder):
    """Stacked recurrent layers on torch's kernels.

    Cells: `rnn` (Elman 1990, tanh), `gru` (Cho et al. 2014, torch's variant, with the reset gate applied
    after the recurrent product), `lstm` (Hochreiter and Schmidhuber 1997, with forget gate). With
    `bidirectional` a second recurrence reads the sequence from its end and the states of both directions
    are concatenated (Schuster and Paliwal 1997), as in the report of Zhang and Kamath (2016).

    Args:
        input_width: features per token.
        cell: the recurrence.
        hidden_size: state features of each direction.
        num_layers: stacked layers; each reads the states of the one below.
        bidirectional: whether a second direction reads from the end.
        dropout: probability of dropping a feature of the states between layers.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(
        self,
        input_width: int,
        cell: Cell = "gru",
        hidden_size: int = 128,
        num_layers: int = 2,
        bidirectional: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if hidden_size < 1 or num_layers < 1:
            raise UserError(
                f"model.encoder has hidden_size {hidden_size} and num_layers {num_layers}; "
                "expected at least 1 of each"
            )
        if not 0 <= dropout < 1:
            raise UserError(f"model.encoder.dropout is {dropout}; expected 0 <= dropout < 1")
        kernel = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}.get(cell)
        if kernel is None:
            raise UserError(f"model.encoder.cell is {cell!r}; expected rnn, gru or lstm")
        self.directions = 2 if bidirectional else 1
        self.layers = num_layers
        self.width = hidden_size * self.directions
        self.recurrence = kernel(
            input_width,
            hidden_size,
            num_layers=num_layers,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0,  # torch warns of dropout that can drop nothing
            bidirectional=bidirectional,
        )

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        states, hidden = run_recurrence(self.recurrence, tokens)
        if isinstance(hidden, tuple):  # LSTM: the cell state stays inside
            hidden = hidden[0]
        final = hidden[-self.directions :].transpose(0, 1).flatten(1)
        return states, final

    def causal_states(self, tokens: Tensor) -> CausalStates:
        states, _ = run_recurrence(self.recurrence, tokens)
        if self.directions == 1:
            return CausalStates(states)
        if self.layers > 1:
            raise UserError(
                f"a model of two directions and {self.layers} layers cannot be trained as a language model: "
                "its second layer would see the base to be predicted; set model.encoder.num_layers=1, or "
                "choose one direction"
            )
        forward, backward = states.chunk(2, dim=-1)
        return CausalStates(forward, backward)
