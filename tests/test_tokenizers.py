"""Tokens against plain loops over the letters."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genome_lm.dna import N_CODE, reverse_complement
from genome_lm.errors import UserError
from genome_lm.tokenizers import CharacterTokenizer, KmerTokenizer, OneHotTokenizer

BATCHES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(4, 30)), elements=st.integers(0, 4))


def naive_words(codes: np.ndarray, k: int, stride: int) -> list[list[int]]:
    rows = []
    for sequence in codes.tolist():
        words = []
        for start in range(0, len(sequence) - k + 1, stride):
            letters = sequence[start : start + k]
            value = sum(letter * 4 ** (k - 1 - place) for place, letter in enumerate(letters))
            words.append(4**k if N_CODE in letters else value)
        rows.append(words)
    return rows


@settings(deadline=None)
@given(codes=BATCHES, k=st.integers(1, 4), stride=st.integers(1, 6))
def test_words_are_those_of_a_plain_loop(codes, k, stride):
    words = KmerTokenizer(k, stride, width=1).words(torch.from_numpy(codes))
    assert words.tolist() == naive_words(codes, k, stride)


@settings(deadline=None)
@given(codes=BATCHES, stride=st.integers(1, 3), per_token=st.integers(1, 7))
def test_a_token_is_the_scaled_sum_of_its_words(codes, stride, per_token):
    tokenizer = KmerTokenizer(k=2, stride=stride, words_per_token=per_token, width=3)
    tokens = tokenizer(torch.from_numpy(codes)).detach().numpy()
    table = tokenizer.embedding.weight.detach().numpy()
    words = naive_words(codes, 2, stride)
    assert tokens.shape == (len(codes), math.ceil(len(words[0]) / per_token), 3)
    for row, token in np.ndindex(tokens.shape[:2]):
        mine = words[row][token * per_token : (token + 1) * per_token]  # the last token may hold fewer
        expected = table[mine].sum(axis=0) / math.sqrt(per_token)
        np.testing.assert_allclose(tokens[row, token], expected, atol=1e-5)


def test_the_padding_of_the_last_token_stays_zero_and_untrained():
    tokenizer = KmerTokenizer(k=2, words_per_token=4, width=3)
    tokenizer(torch.zeros(1, 6, dtype=torch.uint8)).sum().backward()
    assert not tokenizer.embedding.weight[tokenizer.padding].any()
    assert not tokenizer.embedding.weight.grad[tokenizer.padding].any()
    assert tokenizer.embedding.weight.grad[0].all()


def test_ten_mers_do_not_overflow():
    words = KmerTokenizer(k=10, width=1).words(torch.full((1, 10), 3, dtype=torch.uint8))
    assert words.tolist() == [[4**10 - 1]]


def test_one_hot_rows_and_no_base_for_n():
    tokens = OneHotTokenizer()(torch.arange(5, dtype=torch.uint8)[None])
    np.testing.assert_array_equal(tokens[0], [*np.eye(4), np.zeros(4)])
    assert not list(OneHotTokenizer().parameters())


def test_characters_are_rows_of_a_table_with_one_for_n():
    tokenizer = CharacterTokenizer(width=2)
    codes = torch.tensor([[4, 0, 3]], dtype=torch.uint8)
    torch.testing.assert_close(tokenizer(codes)[0], tokenizer.embedding.weight[[4, 0, 3]])


def test_too_short_a_sequence_is_an_error():
    with pytest.raises(UserError, match=r"sequence of 3 bp is shorter than one word.*tokenizer\.k = 4 bp"):
        KmerTokenizer(k=4, width=1)(torch.zeros(1, 3, dtype=torch.uint8))
    assert KmerTokenizer(k=4, width=1)(torch.zeros(1, 4, dtype=torch.uint8)).shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "tokenizer.k is 0; expected 1 to 10"),
        ({"k": 11}, "tokenizer.k is 11; expected 1 to 10"),
        ({"stride": 0}, "tokenizer.stride is 0; expected at least 1"),
        ({"words_per_token": 0}, "tokenizer.words_per_token is 0; expected at least 1"),
        ({"width": 0}, "tokenizer.width is 0; expected at least 1"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UserError, match=message):
        KmerTokenizer(**arguments)


def test_character_width_out_of_range():
    with pytest.raises(UserError, match=r"tokenizer\.width is 0"):
        CharacterTokenizer(0)


@settings(deadline=None)
@given(codes=BATCHES, k=st.integers(1, 4))
def test_canonical_words_are_those_of_either_strand(codes, k):
    tokenizer = KmerTokenizer(k, width=1, canonical=True)
    words = tokenizer.words(torch.from_numpy(codes))
    other = tokenizer.words(torch.from_numpy(reverse_complement(codes)))
    assert torch.equal(words.flip(1), other)

    def lesser(word: int) -> int:
        letters = np.array([word // 4**place % 4 for place in reversed(range(k))], dtype=np.uint8)
        return min(word, sum(int(c) * 4**p for p, c in enumerate(reversed(reverse_complement(letters)))))

    forms = sorted({lesser(word) for word in range(4**k)})
    for row, sequence in zip(words.tolist(), naive_words(codes, k, 1), strict=True):
        expected = [forms.index(lesser(word)) if word < 4**k else len(forms) for word in sequence]
        assert row == expected


def test_canonical_words_number_about_half():
    """(4^k + palindromes) / 2 words: only words of even length can be palindromes, 4^(k/2) of them."""
    for k, n_words in ((1, 2), (2, 10), (3, 32), (6, 2080)):
        tokenizer = KmerTokenizer(k, width=1, canonical=True)
        assert tokenizer.embedding.num_embeddings == n_words + 2  # and the unknown word and padding
