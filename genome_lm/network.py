"""Tokenizer, encoder, pooling and head as one network from base codes to logits."""

import torch
from torch import Tensor, nn

from genome_lm.dna import N_CODE
from genome_lm.encoders.base import Encoder
from genome_lm.heads import MultitaskHead, Pooling
from genome_lm.tokenizers import Tokenizer


class Network(nn.Module):
    """Logits of all tasks from base codes.

    Args:
        tokenizer: base codes to token features.
        encoder: token features to states; its input width is the tokenizer's width.
        pooling: states to one vector.
        head: vector to logits.
        input_dropout: probability of dropping a feature of a token.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        encoder: Encoder,
        pooling: Pooling,
        head: MultitaskHead,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.input_dropout = nn.Dropout(input_dropout)
        self.encoder = encoder
        self.pooling = pooling
        self.head = head

    def forward(self, codes: Tensor) -> Tensor:
        """Logits, float [batch, n_tasks], of base codes, uint8 [batch, length_bp]."""
        states, final = self.encoder(self.input_dropout(self.tokenizer(codes)))
        logits: Tensor = self.head(self.pooling(states, final))
        return logits

    def tokens(self, length_bp: int) -> int:
        """Tokens that the encoder reads of a sequence of `length_bp`, from one tokenized sequence of Ns."""
        device = next(self.parameters()).device
        codes = torch.full((1, length_bp), N_CODE, dtype=torch.uint8, device=device)
        with torch.no_grad():
            return int(self.tokenizer(codes).shape[1])


def reverse_complement(codes: Tensor) -> Tensor:
    """Reverse complement of base codes, uint8 [batch, length_bp], on any device."""
    flipped = codes.flip(-1)
    return torch.where(flipped == N_CODE, flipped, 3 - flipped)


def average_strands(network: nn.Module, codes: Tensor) -> Tensor:
    """Mean of the logits of base codes, uint8 [batch, length_bp], and of their reverse complement.

    Returns:
        float32 [batch, n_tasks].
    """
    forward: Tensor = network(codes).float()
    reverse: Tensor = network(reverse_complement(codes)).float()
    return (forward + reverse) / 2
