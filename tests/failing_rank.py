"""An encoder that fails on one rank, at its first training step."""

import os

from torch import Tensor

from genome_lm.encoders.recurrent import RecurrentEncoder


class FailingEncoder(RecurrentEncoder):
    """Raises on rank 1."""

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and os.environ.get("RANK") == "1":
            raise ZeroDivisionError("this rank fails")
        return super().forward(tokens)
