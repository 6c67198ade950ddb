"""From base codes to embedded tokens, on the device that holds the batch.

Every tokenizer maps uint8 base codes [batch, length_bp] to floats [batch, tokens, width].
"""

import logging
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from genome_lm.dna import N_CODE
from genome_lm.errors import UserError
from genome_lm.word_vectors import read_word_vectors

logger = logging.getLogger(__name__)


class Tokenizer(nn.Module, ABC):
    """Interface of the tokenizers.

    Attributes:
        width: features per token.
        min_bp: the shortest sequence that gives a token.
    """

    width: int
    min_bp: int

    @abstractmethod
    def forward(self, codes: Tensor) -> Tensor:
        """Embed base codes, uint8 [batch, length_bp], as floats [batch, tokens, width]."""

    @abstractmethod
    def token_spans(self, length_bp: int) -> tuple[np.ndarray, np.ndarray]:
        """Which bases each token of a sequence has read: its start and end, 0-based half-open.

        A token depends on no base outside of its span. Both starts and ends ascend.

        Returns:
            Starts and ends, int64 [tokens] each, bp.

        Raises:
            UserError: the sequence is shorter than `min_bp`.
        """

    def load_sources(self) -> None:
        """Start from values out of other sources, such as a file of word vectors.

        As `Encoder.load_sources`: called once when a training begins from fresh weights, and never when
        weights come from a checkpoint.

        Raises:
            UserError: a source is missing or cannot be used.
        """


def _bases_as_tokens(length_bp: int) -> tuple[np.ndarray, np.ndarray]:
    """Spans of one token a base."""
    if length_bp < 1:
        raise UserError(f"a sequence of {length_bp} bp has no tokens; expected at least 1 bp")
    starts = np.arange(length_bp, dtype=np.int64)
    return starts, starts + 1


class OneHotTokenizer(Tokenizer):
    """One token a base, four indicator features (A, C, G, T); N is all zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 4
        self.min_bp = 1
        self.register_buffer("rows", torch.eye(5, 4), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        rows: Tensor = self.get_buffer("rows")
        return nn.functional.embedding(codes.int(), rows)

    def token_spans(self, length_bp: int) -> tuple[np.ndarray, np.ndarray]:
        return _bases_as_tokens(length_bp)


class CharacterTokenizer(Tokenizer):
    """One token a base, a learned embedding of A, C, G, T and N (the report used width 2)."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        if width < 1:
            raise UserError(f"tokenizer.width is {width}; expected at least 1")
        self.width = width
        self.min_bp = 1
        self.embedding = nn.Embedding(5, width)

    def forward(self, codes: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(codes.int())
        return embedded

    def token_spans(self, length_bp: int) -> tuple[np.ndarray, np.ndarray]:
        return _bases_as_tokens(length_bp)


class KmerTokenizer(Tokenizer):
    """Genomic words: learned embeddings of k-mers, one token for every `words_per_token` of them.

    Words start every `stride` bp. A token is the sum of the embeddings of its words divided by the square
    root of their number, so that its scale does not depend on `words_per_token`; the last token may hold
    fewer words. With `words_per_token` = 1 and `stride` = k the words do not overlap, as in text; with
    `stride` = 1 and several words a token is a bag of all k-mers that start in a stretch of the sequence,
    which shortens the recurrence by that factor and loses no word. Every word that contains an N is one
    and the same unknown word. With `canonical` a word and its reverse complement share one embedding, since
    a protein binds either strand: fewer parameters, and the other strand gives the same words in reverse.

    With an `embedding_file`, `load_sources` starts the words from the vectors of that file, taken as they
    are; with `canonical`, from the mean of the vectors of a word and its reverse complement, as far as the
    file has them. Words that it lacks, and the unknown word, keep their random start. A checkpoint holds the
    vectors and needs no file.

    Args:
        k: word length, bp (1 to 10).
        stride: distance between the starts of neighbouring words, bp.
        words_per_token: words summed into one token.
        width: features per token.
        canonical: whether a word and its reverse complement are the same word.
        embedding_file: word vectors in word2vec's text format, or None; see `read_word_vectors`.
        freeze_embedding: whether training leaves the words' vectors as they are.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(
        self,
        k: int = 6,
        stride: int = 1,
        words_per_token: int = 1,
        width: int = 64,
        canonical: bool = False,
        embedding_file: str | None = None,
        freeze_embedding: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= k <= 10:
            raise UserError(f"tokenizer.k is {k}; expected 1 to 10 (the table has 4^k rows)")
        for name, value in (("stride", stride), ("words_per_token", words_per_token), ("width", width)):
            if value < 1:
                raise UserError(f"tokenizer.{name} is {value}; expected at least 1")
        self.k = k
        self.stride = stride
        self.words_per_token = words_per_token
        self.width = width
        self.min_bp = k
        self.canonical = canonical
        self.embedding_file = embedding_file
        numbers = canonical_numbers(k) if canonical else torch.arange(4**k)
        n_words = int(numbers.max()) + 1
        self.unknown = n_words
        self.padding = n_words + 1
        # One entry a k-mer and one for k-mers with an N, at index 4^k.
        self.register_buffer("numbers", torch.cat([numbers, torch.tensor([self.unknown])]), persistent=False)
        self.embedding = nn.EmbeddingBag(n_words + 2, width, mode="sum", padding_idx=self.padding)
        # Small at the start, so that the words of a window and not their first random values decide.
        nn.init.normal_(self.embedding.weight, std=0.1)
        with torch.no_grad():
            self.embedding.weight[self.padding].zero_()
        self.embedding.weight.requires_grad_(not freeze_embedding)

    @torch.no_grad()
    def load_sources(self) -> None:
        if self.embedding_file is None:
            return
        values, vectors = read_word_vectors(Path(self.embedding_file), self.k, self.width)
        words = self.get_buffer("numbers")[torch.from_numpy(values)]
        table = self.embedding.weight[: self.unknown]
        counts = torch.bincount(words, minlength=self.unknown)[:, None]
        sums = torch.zeros_like(table).index_add_(0, words, torch.from_numpy(vectors))
        table.copy_(torch.where(counts > 0, sums / counts.clamp(min=1), table))
        found = int((counts > 0).sum())
        logger.info(
            "words   %s of %s %d-mers start from %s, %s and the unknown word at random",
            f"{found:,}",
            f"{self.unknown:,}",
            self.k,
            self.embedding_file,
            f"{self.unknown - found:,}",
        )

    def words(self, codes: Tensor) -> Tensor:
        """Word ids, integers [batch, words]: the base-4 value of the k-mer, or `self.unknown` if it has an N.

        With `canonical`, the rank of the lesser of the k-mer and its reverse complement among all such.
        """
        self._check_length(codes.shape[-1])
        n_starts = codes.shape[-1] - self.k + 1
        codes = codes.int()
        ids = torch.zeros_like(codes[:, :n_starts])
        unknown = torch.zeros_like(ids, dtype=torch.bool)
        is_n = codes == N_CODE
        for offset in range(self.k):
            ids = ids * 4 + codes[:, offset : offset + n_starts]
            unknown |= is_n[:, offset : offset + n_starts]
        ids = ids.masked_fill(unknown, 4**self.k)[:, :: self.stride]
        return self.get_buffer("numbers")[ids] if self.canonical else ids

    def forward(self, codes: Tensor) -> Tensor:
        ids = self.words(codes)
        batch, n_words = ids.shape
        tokens = -(-n_words // self.words_per_token)
        ids = nn.functional.pad(ids, (0, tokens * self.words_per_token - n_words), value=self.padding)
        summed: Tensor = self.embedding(ids.reshape(batch * tokens, self.words_per_token))
        return summed.view(batch, tokens, self.width) * self.words_per_token**-0.5

    def token_spans(self, length_bp: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Tokenizer.token_spans`; where `stride` exceeds k, no word reads the bases between its words."""
        self._check_length(length_bp)
        last_word = (length_bp - self.k) // self.stride
        first = np.arange(0, last_word + 1, self.words_per_token, dtype=np.int64)
        last = np.minimum(first + self.words_per_token - 1, last_word)
        return first * self.stride, last * self.stride + self.k

    def _check_length(self, length_bp: int) -> None:
        if length_bp < self.k:
            raise UserError(
                f"a sequence of {length_bp} bp is shorter than one word; "
                f"expected at least tokenizer.k = {self.k} bp"
            )


def canonical_numbers(k: int) -> Tensor:
    """Number of the canonical form of each k-mer, int64 [4^k]: 0, 1, ... in ascending order of that form."""
    values = torch.arange(4**k)
    rest, reverse = values, torch.zeros_like(values)
    for _ in range(k):
        reverse = reverse * 4 + (3 - rest % 4)
        rest = rest // 4
    return torch.unique(torch.minimum(values, reverse), return_inverse=True)[1]
