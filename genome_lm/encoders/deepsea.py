"""DeepSEA: three convolutions and a dense layer over all positions."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genome_lm.convolution import Convolution
from genome_lm.encoders.base import FixedLengthEncoder
from genome_lm.encoders.checks import check_dropouts, check_sizes
from genome_lm.encoders.lengths import least_length, length_after


class DeepSeaEncoder(FixedLengthEncoder):
    """The network of Zhou and Troyanskaya (2015, Nature Methods 12:931) up to its last hidden layer.

    Convolutions of 8 without padding with 320, 480 and 960 kernels; max pooling of 4 and dropout of 0.2 after
    the first two, dropout of 0.5 after the third; then a dense layer to 925. Each is followed by torch7's
    `Threshold(0, 1e-6)`, a ReLU that gives 1e-6 in place of 0. Of 1,000 bp the convolutions leave 53
    positions. With the output layer and 919 tasks that are 52,843,119 parameters, as in the authors' weights
    (supplementary methods; torch7 code of the publication, converted layer by layer in kipoi/models,
    `DeepSEA/model_architecture.py`). Weights start as torch7 and torch have them, uniform within
    1 / sqrt(inputs of a unit).

    Part of the authors' training, and not reproduced: an L2 penalty of 5e-7, an L1 penalty of 1e-8 on the
    outputs of the last hidden layer, kernels held to a norm of at most 0.9, and gradient descent with
    momentum.

    The one state and the final state are the last hidden layer, after its threshold.

    Args:
        input_width: features per token.
        length: tokens per window.
        channels: kernels of each convolution.
        kernel_size: tokens that a kernel reads.
        pool_size: positions that become one, after every convolution but the last.
        hidden_size: features of the last hidden layer.
        dropout: probability of dropping a feature after a pooling.
        last_dropout: the same after the last convolution.

    Raises:
        UserError: an argument is out of range, or the window is too short.
    """

    def __init__(
        self,
        input_width: int,
        length: int,
        channels: Sequence[int] = (320, 480, 960),
        kernel_size: int = 8,
        pool_size: int = 4,
        hidden_size: int = 925,
        dropout: float = 0.2,
        last_dropout: float = 0.5,
    ) -> None:
        check_sizes(
            {
                "channels": channels,
                "kernel_size": kernel_size,
                "pool_size": pool_size,
                "hidden_size": hidden_size,
            }
        )
        check_dropouts({"dropout": dropout, "last_dropout": last_dropout})
        stages = [(kernel_size, pool_size)] * (len(channels) - 1) + [(kernel_size, 1)]
        super().__init__(length, least_length(stages))
        self.width = hidden_size
        # Pooling comes before the threshold, not after it as published: the same values of fewer positions.
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([input_width, *channels[:-1]]):
            layers += [Convolution(inputs, outputs, kernel_size), nn.MaxPool1d(pool_size)]
            layers += [nn.Threshold(0.0, 1e-6), nn.Dropout(dropout)]
        layers.append(Convolution([input_width, *channels][-2], channels[-1], kernel_size))
        layers += [nn.Threshold(0.0, 1e-6), nn.Dropout(last_dropout)]
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Sequential(
            nn.Linear(channels[-1] * length_after(length, stages), hidden_size), nn.Threshold(0.0, 1e-6)
        )

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        self.check_length(tokens)
        final: Tensor = self.hidden(self.convolutions(tokens.transpose(1, 2)).flatten(1))
        return final.unsqueeze(1), final
