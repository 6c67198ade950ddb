"""Words with gaps against plain loops over the letters."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genome_lm.dna import N_CODE, reverse_complement
from genome_lm.errors import UserError
from genome_lm.spaced_words import SpacedWordTokenizer
from genome_lm.tokenizers import KmerTokenizer

BATCHES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(5, 30)), elements=st.integers(0, 4))
MASKS = st.lists(st.sampled_from(["1", "11", "101", "1001", "11011"]), min_size=1, max_size=3, unique=True)


def naive_keys(sequence: list[int], mask: str) -> list[str | None]:
    """The canonical letters that a mask reads at each start; None for a word with an N."""
    found: list[str | None] = []
    for start in range(len(sequence) - len(mask) + 1):
        letters = [sequence[start + place] for place, on in enumerate(mask) if on == "1"]
        other = [3 - letter for letter in reversed(letters)]
        found.append(None if N_CODE in letters else str(min(letters, other)))
    return found


@settings(deadline=None)
@given(codes=BATCHES, masks=MASKS)
def test_two_words_are_the_same_where_their_letters_are(codes, masks):
    tokenizer = SpacedWordTokenizer(masks, width=1)
    ids = tokenizer.words(torch.from_numpy(codes)).numpy()
    seen: dict[tuple[int, str], int] = {}
    for row, sequence in enumerate(codes.tolist()):
        for column, mask in enumerate(masks):
            keys = naive_keys(sequence, mask)
            assert (ids[row, len(keys) :, column] == tokenizer.padding).all()
            for start, key in enumerate(keys):
                word = ids[row, start, column]
                if key is None:
                    assert word == tokenizer.unknown
                else:
                    assert seen.setdefault((column, key), word) == word < tokenizer.unknown
    assert len(set(seen.values())) == len(seen)  # and different ones elsewhere


@settings(deadline=None)
@given(codes=BATCHES, per_token=st.integers(1, 7))
def test_one_mask_without_gaps_is_the_k_mer_tokenizer(codes, per_token):
    spaced = SpacedWordTokenizer(["11111"], per_token, width=3).eval()
    plain = KmerTokenizer(5, 1, per_token, width=3, canonical=True)
    plain.load_state_dict({"embedding.weight": spaced.embedding.weight.detach()})
    torch.testing.assert_close(spaced(torch.from_numpy(codes)), plain(torch.from_numpy(codes)))


@settings(deadline=None)
@given(codes=BATCHES, masks=MASKS)
def test_the_other_strand_has_the_same_words_in_reverse(codes, masks):
    tokenizer = SpacedWordTokenizer(masks, width=1)
    forward = tokenizer.words(torch.from_numpy(codes))
    reverse = tokenizer.words(torch.from_numpy(reverse_complement(codes).copy()))
    for column, mask in enumerate(masks):
        n = codes.shape[1] - len(mask) + 1
        assert torch.equal(forward[:, :n, column], reverse[:, :n, column].flip(1))


@settings(deadline=None)
@given(
    codes=hnp.arrays(np.uint8, st.tuples(st.just(1), st.integers(5, 24)), elements=st.integers(0, 3)),
    masks=MASKS,
    per_token=st.integers(1, 6),
    data=st.data(),
)
def test_a_token_reads_its_span_and_nothing_else(codes, masks, per_token, data):
    tokenizer = SpacedWordTokenizer(masks, per_token, width=2, canonical=False).eval()
    starts, ends = tokenizer.token_spans(codes.shape[1])
    before = tokenizer(torch.from_numpy(codes))
    assert before.shape[1] == len(starts)
    assert (np.diff(starts) >= 0).all()
    assert (np.diff(ends) >= 0).all()
    place = data.draw(st.integers(0, codes.shape[1] - 1))
    changed = codes.copy()
    changed[0, place] = (changed[0, place] + 1) % 4
    differs = (tokenizer(torch.from_numpy(changed)) != before).any(dim=2)[0].numpy()
    inside = (starts <= place) & (place < ends)
    assert not differs[~inside].any()
    if place in (starts[0], ends[-1] - 1):  # the span ends where reading does
        assert differs[inside].any()


def test_dropped_words_keep_the_tokens_mean():
    torch.manual_seed(0)
    tokenizer = SpacedWordTokenizer(["11", "101"], words_per_token=20, width=4, word_dropout=0.4)
    codes = torch.randint(0, 4, (1, 41), dtype=torch.uint8)
    drawn = torch.stack([tokenizer(codes) for _ in range(4000)]).mean(dim=0)
    torch.testing.assert_close(drawn, tokenizer.eval()(codes), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"masks": []}, "masks is .*; expected one or more"),
        ({"masks": ["11", "11"]}, "each once"),
        ({"masks": ["0110"]}, "has '0110'; expected 1s and 0s"),
        ({"masks": ["1" * 11]}, "at most 10"),
        ({"masks": ["1101"]}, "must read the same from both ends"),
        ({"masks": ["11"], "width": 0}, "width is 0"),
        ({"masks": ["11"], "word_dropout": 1.0}, "word_dropout is 1.0"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UserError, match=message):
        SpacedWordTokenizer(**arguments)


def test_too_short_a_sequence():
    with pytest.raises(UserError, match="a sequence of 2 bp is shorter than one word; expected at least 3"):
        SpacedWordTokenizer(["101"])(torch.zeros(1, 2, dtype=torch.uint8))
