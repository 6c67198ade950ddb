"""Which bases a token has read."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from genome_lm.errors import UserError
from genome_lm.tokenizers import CharacterTokenizer, KmerTokenizer, OneHotTokenizer, Tokenizer

SHAPES = {
    "k": st.integers(1, 4),
    "stride": st.integers(1, 5),
    "words_per_token": st.integers(1, 4),
    "length_bp": st.integers(1, 30),
}


def numbered(tokenizer: KmerTokenizer) -> KmerTokenizer:
    """The tokenizer with its words told apart in double precision: any change of a word shows."""
    generator = torch.Generator().manual_seed(0)
    tokenizer.double()
    with torch.no_grad():
        tokenizer.embedding.weight[: tokenizer.padding].normal_(generator=generator)
    return tokenizer


def changed_tokens(tokenizer: Tokenizer, codes: np.ndarray, place: int, base: int) -> list[int]:
    """Indices of the tokens that change when the base at `place` becomes `base`."""
    other = codes.copy()
    other[place] = base
    with torch.no_grad():
        tokens, others = tokenizer(torch.from_numpy(np.stack([codes, other])))
    return torch.nonzero((tokens != others).any(dim=1)).flatten().tolist()


@settings(deadline=None)
@given(**SHAPES, canonical=st.booleans(), data=st.data())
def test_a_token_reads_every_base_of_its_span_and_no_other(
    k, stride, words_per_token, length_bp, canonical, data
):
    assume(length_bp >= k)
    tokenizer = numbered(KmerTokenizer(k, stride, words_per_token, width=3, canonical=canonical))
    codes = np.array(data.draw(st.lists(st.integers(0, 3), min_size=length_bp, max_size=length_bp)), np.uint8)
    place = data.draw(st.integers(0, length_bp - 1))
    starts, ends = tokenizer.token_spans(length_bp)
    assert starts.dtype == ends.dtype == np.int64
    assert len(starts) == tokenizer(torch.from_numpy(codes)[None]).shape[1]
    inside = np.flatnonzero((starts <= place) & (place < ends)).tolist()
    # N changes every word that holds it; letters may give the same words again (canonical, or a bag of them).
    changed = changed_tokens(tokenizer, codes, place, 4)
    assert set(changed) <= set(inside)
    if stride <= k:
        assert changed == inside
    for base in range(4):
        assert set(changed_tokens(tokenizer, codes, place, base)) <= set(inside)


@pytest.mark.parametrize("canonical", [False, True])
def test_a_letter_changes_the_tokens_that_read_it(canonical):
    """No change here turns a word into its reverse complement, so it shows in all tokens that read it."""
    tokenizer = numbered(KmerTokenizer(5, 2, 3, width=3, canonical=canonical))
    codes = np.random.default_rng(5).integers(0, 4, 40, dtype=np.uint8)
    starts, ends = tokenizer.token_spans(40)
    for place in range(40):
        changed = changed_tokens(tokenizer, codes, place, int(codes[place] + 1) % 4)
        assert changed == np.flatnonzero((starts <= place) & (place < ends)).tolist()


def test_spans_by_hand():
    """7 words of 3 bp start at 0, 2, ... 12 of 16 bp: the last bag holds one, and no word reads base 15."""
    starts, ends = KmerTokenizer(k=3, stride=2, words_per_token=3, width=1).token_spans(16)
    assert starts.tolist() == [0, 6, 12]
    assert ends.tolist() == [7, 13, 15]


@pytest.mark.parametrize("tokenizer", [OneHotTokenizer(), CharacterTokenizer()], ids=["onehot", "character"])
def test_spans_of_single_bases(tokenizer):
    starts, ends = tokenizer.token_spans(4)
    assert starts.dtype == ends.dtype == np.int64
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    codes = np.array([0, 1, 2, 4], np.uint8)
    for place in range(4):
        assert changed_tokens(tokenizer, codes, place, 3) == [place]
    with pytest.raises(UserError, match="a sequence of 0 bp has no tokens"):
        tokenizer.token_spans(0)


def test_a_sequence_shorter_than_a_word_has_no_spans():
    with pytest.raises(UserError, match=r"sequence of 3 bp is shorter than one word.*tokenizer\.k = 4 bp"):
        KmerTokenizer(k=4, width=1).token_spans(3)
