"""DanQ: a convolution, a bidirectional LSTM and a dense layer over all positions."""

import torch
from torch import Tensor, nn

from genome_lm.convolution import Convolution
from genome_lm.encoders.base import FixedLengthEncoder
from genome_lm.encoders.checks import check_dropouts, check_sizes
from genome_lm.encoders.cudnn import run_recurrence
from genome_lm.encoders.lengths import least_length, length_after


class DanQEncoder(FixedLengthEncoder):
    """The network of Quang and Xie (2016, Nucleic Acids Research 44:e107) up to its last hidden layer.

    320 kernels of 26 without padding, ReLU, max pooling of 13, dropout of 0.2; an LSTM of 320 units in each
    direction over the pooled positions (75 of 1,000 bp), dropout of 0.5; and a dense layer from all states to
    925 with ReLU. The code is followed (uci-cbcl/DanQ, `DanQ_train.py`), and Keras 0.2's start values with
    it: kernels uniform within 0.05, dense and input weights Glorot uniform, recurrent weights orthogonal
    times 1.1, the forget gates' biases 1 and all others 0.

    With the output layer and 919 tasks the authors' network has 46,926,479 parameters. Here it has 2,560
    more, 46,929,039, since torch's LSTM adds two biases in each of its 2 x 4 gates of 320 units where Keras
    has one; the second starts at 0. Two more differences: Keras 0.2's gates are a piecewise linear "hard"
    sigmoid and torch's the logistic function, and the authors trained with RMSprop.

    The one state and the final state are the last hidden layer, after its ReLU.

    Args:
        input_width: features per token.
        length: tokens per window.
        channels: kernels of the convolution.
        kernel_size: tokens that a kernel reads.
        pool_size: positions that become one.
        lstm_size: units of each direction.
        hidden_size: features of the last hidden layer.
        conv_dropout: probability of dropping a feature after the pooling.
        lstm_dropout: the same after the LSTM.

    Raises:
        UserError: an argument is out of range, or the window is too short.
    """

    def __init__(
        self,
        input_width: int,
        length: int,
        channels: int = 320,
        kernel_size: int = 26,
        pool_size: int = 13,
        lstm_size: int = 320,
        hidden_size: int = 925,
        conv_dropout: float = 0.2,
        lstm_dropout: float = 0.5,
    ) -> None:
        check_sizes(
            {
                "channels": channels,
                "kernel_size": kernel_size,
                "pool_size": pool_size,
                "lstm_size": lstm_size,
                "hidden_size": hidden_size,
            }
        )
        check_dropouts({"conv_dropout": conv_dropout, "lstm_dropout": lstm_dropout})
        stages = [(kernel_size, pool_size)]
        super().__init__(length, least_length(stages))
        self.width = hidden_size
        self.scan = Convolution(input_width, channels, kernel_size)
        # Pooling comes before the ReLU, not after it as published: the same values of fewer positions.
        self.pool = nn.Sequential(nn.MaxPool1d(pool_size), nn.ReLU(), nn.Dropout(conv_dropout))
        self.recurrence = nn.LSTM(channels, lstm_size, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(lstm_dropout)
        flat = 2 * lstm_size * length_after(length, stages)
        self.hidden = nn.Linear(flat, hidden_size)
        self._initialise()

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        self.check_length(tokens)
        pooled = self.pool(self.scan(tokens.transpose(1, 2))).transpose(1, 2)
        states = self.dropout(run_recurrence(self.recurrence, pooled)[0])
        final = torch.relu(self.hidden(states.flatten(1)))
        return final.unsqueeze(1), final

    @torch.no_grad()
    def _initialise(self) -> None:
        """Keras 0.2's start values, as the class names them."""
        nn.init.uniform_(self.scan.weight, -0.05, 0.05)
        nn.init.xavier_uniform_(self.hidden.weight)
        for layer in (self.scan, self.hidden):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        size = self.recurrence.hidden_size
        for name, weights in self.recurrence.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(weights)
                if name.startswith("bias_ih"):
                    weights[size : 2 * size] = 1.0  # torch's order of the gates: input, forget, cell, output
                continue
            for gate in weights.split(size):  # each gate is a matrix of its own in Keras
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(gate)
                else:
                    nn.init.orthogonal_(gate, gain=1.1)
