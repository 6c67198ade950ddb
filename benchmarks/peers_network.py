"""gReLU's ConvGRUModel as an encoder of this program: the same layers, in the order of its weights."""

import torch
from torch import Tensor, nn

from genome_lm.encoders.base import Encoder
from genome_lm.encoders.cudnn import run_recurrence


class ConvGRU(Encoder):
    """Two convolutions, max pooling, a GRU whose directions are added, and a feed-forward layer.

    Args:
        input_width: features per token.
        channels: of the convolutions and of each direction of the GRU.
        kernel_size: of the first convolution.
        second_kernel_size: of the second, which is normalised.
        pool: positions that become one.
    """

    def __init__(
        self, input_width: int, channels: int, kernel_size: int, second_kernel_size: int, pool: int
    ) -> None:
        super().__init__()
        self.width = channels
        self.stem = nn.Conv1d(input_width, channels, kernel_size, padding="same")
        self.norm = nn.BatchNorm1d(channels)
        self.conv = nn.Conv1d(channels, channels, second_kernel_size, padding="same")
        self.pool = nn.MaxPool1d(pool)
        self.recurrence = nn.GRU(channels, channels, batch_first=True, bidirectional=True)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 2 * channels),
            nn.ReLU(),
            nn.Linear(2 * channels, channels),
        )

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.relu(self.stem(tokens.transpose(1, 2)))
        found = self.pool(torch.relu(self.norm(self.conv(found))))
        both, _ = run_recurrence(self.recurrence, found.transpose(1, 2))
        forward, backward = both.chunk(2, dim=2)
        states = self.feed_forward(forward + backward)
        return states, states[:, -1]
