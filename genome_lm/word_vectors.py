"""Vectors of genomic words from a file in word2vec's text format, as gensim and dna2vec write it."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from genome_lm.dna import N_CODE, encode
from genome_lm.errors import UserError

# The end of a sentence, which Mikolov's original program writes as a word.
END_OF_SENTENCE = "</s>"

LONGEST_NUMBER = 15
"""Digits of the number of words: far beyond any file."""


def read_word_vectors(path: Path, k: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the k-mers of a file.

    Format: a first line "WORDS WIDTH", then a line for each word with its letters and WIDTH numbers,
    separated by spaces. Letters may be of either case. Passed over are words of other lengths, since dna2vec
    keeps several in one file, and words with ambiguous letters, which the tokenizer does not tell apart.

    Args:
        path: the file.
        k: word length, bp.
        width: numbers per word.

    Returns:
        Base-4 values of the words found, int64 [words], in the file's order, and their vectors, float32
        [words, width].

    Raises:
        UserError: the file is missing, no text or not of this format, is truncated or of another width; a
            word is no DNA or stands there twice; a number is not finite; or no word has k letters.
    """
    try:
        with open(path, encoding="utf-8") as lines:
            return _parsed(path, lines, k, width)
    except OSError as error:
        raise UserError(
            f"tokenizer.embedding_file {path} cannot be read: {error.strerror}; give a file of word vectors, "
            "or null for none"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"tokenizer.embedding_file {path} is no text; expected word2vec's text format: decompress it, or "
            "save it with binary=False"
        ) from error


def _parsed(path: Path, lines: Iterator[str], k: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    n_words = _checked_header(path, next(lines, ""), width)
    places = 4 ** np.arange(k - 1, -1, -1, dtype=np.int64)
    vectors: dict[int, np.ndarray] = {}
    lengths = set()
    number = 1
    for number, line in enumerate(islice(lines, n_words + 1), start=2):
        where = f"tokenizer.embedding_file {path}, line {number}"
        word, *values = line.split() or [""]
        if number > n_words + 1:
            raise UserError(
                f"{where}: more lines than the {n_words} words that the first line promises; "
                "the file is damaged: make it again"
            )
        if len(values) != width:
            raise UserError(
                f"{where}: {len(values)} numbers; expected a word and {width} numbers: the file is "
                "truncated or damaged, copy it again"
            )
        if not line.endswith("\n"):
            raise UserError(f"{where}: the line has no end; the file may be truncated: copy it again")
        if word == END_OF_SENTENCE:
            continue
        codes = _encoded(where, word)
        lengths.add(len(codes))
        if len(codes) != k or (codes == N_CODE).any():
            continue
        value = int(codes @ places)
        if value in vectors:
            raise UserError(f"{where}: {word} stands in the file twice; expected each word once")
        vectors[value] = _numbers(where, word, values)
    if number < n_words + 1:
        raise UserError(
            f"tokenizer.embedding_file {path} ends after {number - 1} of {n_words} words; it is truncated: "
            "copy it again"
        )
    if not vectors:
        found = ", ".join(str(length) for length in sorted(lengths)) or "none"
        raise UserError(
            f"tokenizer.embedding_file {path} has no words of tokenizer.k = {k} letters (lengths there: "
            f"{found}); set tokenizer.k to one of these, or make vectors of {k}-mers"
        )
    return np.fromiter(vectors, dtype=np.int64, count=len(vectors)), np.stack(list(vectors.values()))


def _checked_header(path: Path, header: str, width: int) -> int:
    """The number of words that the first line promises."""
    fields = header.split()
    if len(fields) != 2 or not all(
        field.isascii() and field.isdigit() and len(field) <= LONGEST_NUMBER for field in fields
    ):
        raise UserError(
            f"tokenizer.embedding_file {path} does not begin with the number of words and their width; "
            "expected word2vec's text format, such as gensim's save_word2vec_format writes"
        )
    n_words, found = int(fields[0]), int(fields[1])
    if found != width:
        raise UserError(
            f"tokenizer.embedding_file {path} has vectors of {found} numbers and tokenizer.width is {width}; "
            f"set tokenizer.width={found}, or make vectors of that width"
        )
    return n_words


def _encoded(where: str, word: str) -> np.ndarray:
    try:
        return encode(word)
    except ValueError as error:  # UnicodeEncodeError, of letters beyond Latin-1, is one
        raise UserError(
            f"{where}: the word {word[:20]!r} is no DNA; expected words of A, C, G and T"
        ) from error


def _numbers(where: str, word: str, values: list[str]) -> np.ndarray:
    try:
        vector = np.array(values, dtype=np.float64)
    except ValueError as error:
        raise UserError(f"{where}: the vector of {word} is not all numbers; make the file again") from error
    if not (np.abs(vector) <= np.finfo(np.float32).max).all():  # nor of NaN
        raise UserError(
            f"{where}: the vector of {word} has numbers that are not finite; make the file again, perhaps "
            "with a lower learning rate"
        )
    return vector.astype(np.float32)
