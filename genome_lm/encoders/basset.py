"""Basset: three convolutions and two dense layers, with batch normalisation throughout."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genome_lm.batch_norm import BatchNorm
from genome_lm.convolution import Convolution
from genome_lm.encoders.base import FixedLengthEncoder
from genome_lm.encoders.checks import check_dropouts, check_sizes
from genome_lm.encoders.lengths import least_length, length_after
from genome_lm.errors import UserError


class BassetEncoder(FixedLengthEncoder):
    """The network of Kelley, Snoek and Rinn (2016, Genome Research 26:990) up to its last hidden layer.

    Convolutions without padding of 19, 11 and 7 with 300, 200 and 200 kernels, each followed by batch
    normalisation, ReLU and max pooling of 3, 4 and 4; then two dense layers of 1,000, each followed by batch
    normalisation, ReLU and dropout of 0.3. Of 600 bp the convolutions leave 10 positions. With the output
    layer and 164 tasks that are 4,135,064 parameters.

    The layers are those of the authors' published model, as converted in kipoi/models (`Basset`). The code
    in davek44/Basset (`src/convnet.lua`) pads the convolutions and rounds the poolings up in later versions,
    which leaves 13 positions of 600 bp; its earlier versions and the published model do neither. Part of
    the authors' training, and not reproduced: weights of a unit held to a largest norm, and RMSprop.

    The one state and the final state are the last hidden layer, after its dropout.

    Args:
        input_width: features per token.
        length: tokens per window.
        channels: kernels of each convolution.
        kernel_sizes: tokens that a kernel of each convolution reads.
        pool_sizes: positions that become one after each convolution.
        hidden_sizes: features of each dense layer.
        dropout: probability of dropping a feature of a dense layer.

    Raises:
        UserError: an argument is out of range, or the window is too short.
    """

    def __init__(
        self,
        input_width: int,
        length: int,
        channels: Sequence[int] = (300, 200, 200),
        kernel_sizes: Sequence[int] = (19, 11, 7),
        pool_sizes: Sequence[int] = (3, 4, 4),
        hidden_sizes: Sequence[int] = (1000, 1000),
        dropout: float = 0.3,
    ) -> None:
        check_sizes(
            {
                "channels": channels,
                "kernel_sizes": kernel_sizes,
                "pool_sizes": pool_sizes,
                "hidden_sizes": hidden_sizes,
            }
        )
        check_dropouts({"dropout": dropout})
        if not len(channels) == len(kernel_sizes) == len(pool_sizes):
            raise UserError(
                f"model.encoder has {len(channels)} channels, {len(kernel_sizes)} kernel_sizes and "
                f"{len(pool_sizes)} pool_sizes; expected one of each for every convolution"
            )
        stages = list(zip(kernel_sizes, pool_sizes, strict=True))
        super().__init__(length, least_length(stages))
        self.width = hidden_sizes[-1]
        # Pooling comes before the ReLU, not after it as published: the same values of fewer positions.
        layers: list[nn.Module] = []
        for (inputs, outputs), (kernel, pool) in zip(pairwise([input_width, *channels]), stages, strict=True):
            layers += [Convolution(inputs, outputs, kernel), BatchNorm(outputs)]
            layers += [nn.MaxPool1d(pool), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        dense: list[nn.Module] = []
        flat = channels[-1] * length_after(length, stages)
        for inputs, outputs in pairwise([flat, *hidden_sizes]):
            dense += [nn.Linear(inputs, outputs), BatchNorm(outputs), nn.ReLU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*dense)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        self.check_length(tokens)
        final: Tensor = self.hidden(self.convolutions(tokens.transpose(1, 2)).flatten(1))
        return final.unsqueeze(1), final
