"""Genomic words with gaps: embeddings of the letters at some places of a stretch, whatever lies between."""

import re

import numpy as np
import torch
from torch import Tensor, nn

from genome_lm.dna import N_CODE
from genome_lm.errors import UserError
from genome_lm.tokenizers import Tokenizer, canonical_numbers

MASK = re.compile("1|1[01]*1")
MOST_LETTERS = 10


class SpacedWordTokenizer(Tokenizer):
    """Bags of words with and without gaps, one token for every `words_per_token` starts.

    A mask such as 1110111 reads the letters at its 1s and passes over the others. Many proteins fix some
    bases of their site and leave the ones between open; with gaps a table of short words covers such a site
    at its full length (gapped k-mers, Ghandi et al. 2014; spaced seeds, Ma, Tromp and Li 2002). A word of
    each mask starts at every base. A token is the sum of the embeddings of the words that start in its
    stretch, divided by the square root of their number, (number of masks) x `words_per_token`; words that
    would reach past the end are left out. Every word that reads an N is the same unknown word. With
    `canonical` a word and its reverse complement share one embedding.

    Args:
        masks: one or more different masks of 1 to 10 1s, beginning and ending with a 1; with `canonical` the
            same from both ends, since the reverse complement of a word has its mask in reverse.
        words_per_token: starts of words in one token, which are as many bp.
        width: features per token.
        canonical: whether a word and its reverse complement are the same word.
        word_dropout: probability of leaving out a word in training; the others are scaled up to make good for
            it. Rare words tell a stretch of the genome apart, and a network that may rely on each of them
            learns its training windows by heart.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(
        self,
        masks: list[str],
        words_per_token: int = 15,
        width: int = 128,
        canonical: bool = True,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check_masks(masks, canonical)
        for name, value in (("words_per_token", words_per_token), ("width", width)):
            if value < 1:
                raise UserError(f"tokenizer.{name} is {value}; expected at least 1")
        if not 0 <= word_dropout < 1:
            raise UserError(f"tokenizer.word_dropout is {word_dropout}; expected 0 <= word_dropout < 1")
        self.masks = list(masks)
        self.words_per_token = words_per_token
        self.width = width
        self.min_bp = min(map(len, masks))
        self.word_dropout = word_dropout
        self.places = [[place for place, letter in enumerate(mask) if letter == "1"] for mask in masks]
        tables, n_words = [], 0
        for places in self.places:
            k = len(places)
            numbers = canonical_numbers(k) if canonical else torch.arange(4**k)
            tables.append(numbers + n_words)
            n_words += int(numbers.max()) + 1
        self.unknown = n_words
        self.padding = n_words + 1
        # The words of all masks are numbered through; a mask has one entry a word, and one for an N.
        for index, table in enumerate(tables):
            entries = torch.cat([table, torch.tensor([self.unknown])]).int()
            self.register_buffer(f"numbers_{index}", entries, persistent=False)
        self.embedding = nn.EmbeddingBag(n_words + 2, width, mode="sum", padding_idx=self.padding)
        # Small at the start, so that the words of a window and not their first random values decide.
        nn.init.normal_(self.embedding.weight, std=0.1)
        with torch.no_grad():
            self.embedding.weight[self.padding].zero_()

    def words(self, codes: Tensor) -> Tensor:
        """Word ids, int32 [batch, starts, masks]: `padding` where a word would reach past the end.

        Raises:
            UserError: the sequences are shorter than the shortest mask.
        """
        length = codes.shape[-1]
        self._check_length(length)
        codes = codes.int()
        is_n = codes == N_CODE
        n_starts = length - self.min_bp + 1
        found = []
        for index, (mask, places) in enumerate(zip(self.masks, self.places, strict=True)):
            inside = max(length - len(mask) + 1, 0)
            ids = torch.zeros(len(codes), inside, dtype=torch.int32, device=codes.device)
            unknown = torch.zeros_like(ids, dtype=torch.bool)
            for place in places:
                ids = ids * 4 + codes[:, place : place + inside]
                unknown |= is_n[:, place : place + inside]
            ids = ids.masked_fill(unknown, 4 ** len(places))
            ids = self.get_buffer(f"numbers_{index}")[ids]
            found.append(nn.functional.pad(ids, (0, n_starts - inside), value=self.padding))
        return torch.stack(found, dim=2)

    def forward(self, codes: Tensor) -> Tensor:
        ids = self.words(codes)
        batch, n_starts, n_masks = ids.shape
        tokens = -(-n_starts // self.words_per_token)
        scale = (self.words_per_token * n_masks) ** -0.5
        if self.training and self.word_dropout:
            ids = ids.masked_fill(torch.rand(ids.shape, device=ids.device) < self.word_dropout, self.padding)
            scale /= 1 - self.word_dropout
        missing = tokens * self.words_per_token - n_starts
        ids = nn.functional.pad(ids, (0, 0, 0, missing), value=self.padding)
        summed: Tensor = self.embedding(ids.reshape(batch * tokens, self.words_per_token * n_masks))
        return summed.view(batch, tokens, self.width) * scale

    def token_spans(self, length_bp: int) -> tuple[np.ndarray, np.ndarray]:
        self._check_length(length_bp)
        n_starts = length_bp - self.min_bp + 1
        first = np.arange(0, n_starts, self.words_per_token, dtype=np.int64)
        last = np.minimum(first + self.words_per_token, n_starts) - 1
        # The furthest base that any word of the token reads: of the longest mask that still fits somewhere.
        ends = np.zeros_like(first)
        for mask in self.masks:
            latest = np.minimum(last, length_bp - len(mask))
            ends = np.maximum(ends, np.where(latest >= first, latest + len(mask), 0))
        # A longer mask may reach the end from a token before the last: spans ascend.
        return first, np.maximum.accumulate(ends)

    def _check_length(self, length_bp: int) -> None:
        if length_bp < self.min_bp:
            raise UserError(
                f"a sequence of {length_bp} bp is shorter than one word; expected at least {self.min_bp} bp, "
                "the shortest of tokenizer.masks"
            )


def _check_masks(masks: list[str], canonical: bool) -> None:
    if not masks or len(set(masks)) != len(masks):
        raise UserError(f"tokenizer.masks is {masks}; expected one or more, each once")
    for mask in masks:
        if not isinstance(mask, str) or not MASK.fullmatch(mask) or mask.count("1") > MOST_LETTERS:
            raise UserError(
                f"tokenizer.masks has {mask!r}; expected 1s and 0s in quotes, with a 1 at both ends and at "
                f"most {MOST_LETTERS} of them"
            )
        if canonical and mask != mask[::-1]:
            raise UserError(
                f"tokenizer.masks has {mask!r}, which is another one in reverse; with tokenizer.canonical a "
                "mask must read the same from both ends"
            )
