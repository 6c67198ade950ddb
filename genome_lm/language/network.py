"""An encoder that predicts the next base in reading order, and, with two directions, the one before."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from genome_lm.encoders.base import Encoder
from genome_lm.errors import UserError
from genome_lm.stems import NoStem, Stem
from genome_lm.tokenizers import Tokenizer

N_LETTERS = 4


class Prediction(NamedTuple):
    """What one direction says of the bases that it predicts.

    Attributes:
        logits: float [batch, n_targets, 4], of A, C, G and T.
        targets: uint8 [batch, n_targets], base codes; N is unknown and counts for nothing.
    """

    logits: Tensor
    targets: Tensor


class LanguageNetwork(nn.Module):
    """Next-base predictions of the parts that a multitask network is made of.

    The forward state at token t predicts the base right after the token's last, the backward state at token t
    the one right before its first; a linear layer for each direction makes four logits of a state. A token of
    one base so predicts every base but the first, a token of several one base a token. No state has seen
    the base that it predicts: see `Encoder.causal_states` and `Tokenizer.token_spans`.

    Args:
        tokenizer: base codes to token features.
        stem: between tokenizer and encoder; `NoStem`, as others look at both sides of a token.
        encoder: token features to states.

    Raises:
        UserError: the stem or the encoder sees the bases that are to be predicted.
    """

    def __init__(self, tokenizer: Tokenizer, stem: Stem, encoder: Encoder) -> None:
        super().__init__()
        if not isinstance(stem, NoStem):
            raise UserError(
                f"{type(stem).__name__} cannot be trained as a language model: it sees tokens on both sides "
                "of each; use stem=none"
            )
        self.tokenizer = tokenizer
        self.stem = stem
        self.encoder = encoder
        encoder.eval()  # as a look at the states' widths must not draw any dropout
        with torch.no_grad():
            states = encoder.causal_states(torch.zeros(1, encoder.min_length, stem.width))
        encoder.train()
        self.forward_head = nn.Linear(states.forward.shape[-1], N_LETTERS)
        self.backward_head = (
            None if states.backward is None else nn.Linear(states.backward.shape[-1], N_LETTERS)
        )

    def forward(self, codes: Tensor) -> tuple[Prediction, Prediction | None]:
        """Predictions of the forward and, with two directions, of the backward states.

        Args:
            codes: uint8 [batch, length_bp].
        """
        states = self.encoder.causal_states(self.stem(self.tokenizer(codes)))
        starts, ends = self.tokenizer.token_spans(codes.shape[-1])
        after = torch.from_numpy(ends[ends < codes.shape[-1]]).to(codes.device)
        ahead = Prediction(self.forward_head(states.forward[:, : len(after)]), codes[:, after])
        if states.backward is None or self.backward_head is None:
            return ahead, None
        first = int(np.searchsorted(starts, 1))  # tokens before it have nothing before them
        before = torch.from_numpy(starts[first:] - 1).to(codes.device)
        return ahead, Prediction(self.backward_head(states.backward[:, first:]), codes[:, before])

    def load_sources(self) -> None:
        """Start the parts that have other sources from them; for a training from fresh weights only.

        Raises:
            UserError: a source is missing.
        """
        self.tokenizer.load_sources()
        self.encoder.load_sources()

    def forward_targets(self, length_bp: int) -> np.ndarray:
        """Places of the bases that the forward direction predicts in a stretch of `length_bp`, int64."""
        ends = self.tokenizer.token_spans(length_bp)[1]
        return ends[ends < length_bp]
