"""Tokenizer, stem, encoder, pooling, window features and head as one network from base codes to logits."""

import torch
from torch import Tensor, nn

from genome_lm.choices import StrandEncoding
from genome_lm.dna import N_CODE
from genome_lm.encoders.base import Encoder
from genome_lm.heads import MultitaskHead, Pooling
from genome_lm.stems import NoStem, Stem
from genome_lm.tokenizers import Tokenizer
from genome_lm.window_features import NoFeatures, WindowFeatures


class Network(nn.Module):
    """Logits of all tasks from base codes.

    With `StrandEncoding.shared` the same weights read a sequence and its reverse complement; the states of
    the reverse complement are put back in the order of the sequence, and both strands' states, position by
    position, and both final states are averaged. The reverse complement of a sequence then has the same
    states in reverse and the same final state, so every pooling, none of which asks which way round the
    states are, gives the same vector and the head the same logits, whatever the tokenizer cuts the other
    strand into. A mean keeps width and scale, so that both choices have the same weights; a concatenation
    would have an order.

    Args:
        tokenizer: base codes to token features.
        encoder: token features to states; its input width is the stem's width.
        pooling: states to one vector.
        head: vector to logits.
        input_dropout: probability of dropping a feature of a token.
        stem: between tokenizer and encoder; its input width is the tokenizer's width. None for nothing.
        strand_encoding: which strands are read.
        window_features: what reaches the head beside the pooled vector. None for nothing.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        encoder: Encoder,
        pooling: Pooling,
        head: MultitaskHead,
        input_dropout: float = 0.0,
        stem: Stem | None = None,
        strand_encoding: StrandEncoding = StrandEncoding.single,
        window_features: WindowFeatures | None = None,
    ) -> None:
        super().__init__()
        self.strand_encoding = strand_encoding
        self.tokenizer = tokenizer
        self.input_dropout = nn.Dropout(input_dropout)
        self.stem = NoStem(tokenizer.width) if stem is None else stem
        self.encoder = encoder
        self.pooling = pooling
        self.window_features = NoFeatures() if window_features is None else window_features
        self.head = head

    def forward(self, codes: Tensor, features: Tensor | None = None) -> Tensor:
        """Logits, float [batch, n_tasks], of base codes, uint8 [batch, length_bp].

        Args:
            codes: base codes.
            features: `window_features` of the codes where they are known already, such as those of the other
                strand; None to compute them.
        """
        if self.strand_encoding is StrandEncoding.shared:
            states, final = self._both_strands(codes)
        else:
            states, final = self._one_strand(codes)
        pooled = self.pooling(states, final)
        if self.window_features.width:
            pooled = torch.cat([pooled, self.window_features(codes) if features is None else features], dim=1)
        logits: Tensor = self.head(pooled)
        return logits

    def _one_strand(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        states, final = self.encoder(self.stem(self.input_dropout(self.tokenizer(codes))))
        return states, final

    def _both_strands(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        # One batch, so that batch normalisation sees both strands alike.
        states, final = self._one_strand(torch.cat([codes, reverse_complement(codes)]))
        forward, reverse = states.chunk(2)
        final_forward, final_reverse = final.chunk(2)
        return (forward + reverse.flip(1)) / 2, (final_forward + final_reverse) / 2

    def load_sources(self) -> None:
        """Start the parts that have other sources from them; for a training from fresh weights only.

        Raises:
            UserError: a source is missing.
        """
        self.tokenizer.load_sources()
        self.encoder.load_sources()

    def tokens(self, length_bp: int) -> int:
        """Tokens that the encoder reads of a strand of `length_bp`."""
        return self.stem.out_length(token_count(self.tokenizer, length_bp))


def token_count(tokenizer: Tokenizer, length_bp: int) -> int:
    """Tokens of a sequence of `length_bp`, from one tokenized sequence of Ns."""
    state = [*tokenizer.parameters(), *tokenizer.buffers()]
    device = state[0].device if state else None
    codes = torch.full((1, length_bp), N_CODE, dtype=torch.uint8, device=device)
    with torch.no_grad():
        return int(tokenizer(codes).shape[1])


def reverse_complement(codes: Tensor) -> Tensor:
    """Reverse complement of base codes, uint8 [batch, length_bp], on any device."""
    flipped = codes.flip(-1)
    return torch.where(flipped == N_CODE, flipped, 3 - flipped)


def average_strands(network: Network, codes: Tensor, features: Tensor | None = None) -> Tensor:
    """Mean of the logits of base codes, uint8 [batch, length_bp], and of their reverse complement.

    A network of shared strands gives both the same logits and is run once.

    Args:
        features: `window_features` of the codes where they are known already.

    Returns:
        float32 [batch, n_tasks].
    """
    if features is None:
        features = network.window_features(codes)
    forward: Tensor = network(codes, features).float()
    if network.strand_encoding is StrandEncoding.shared:
        return forward
    reverse: Tensor = network(reverse_complement(codes), features).float()
    return (forward + reverse) / 2
