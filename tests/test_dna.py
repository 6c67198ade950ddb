"""Base codes: both ways, every IUPAC letter, and the complement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome_lm.dna import BASES, COMPLEMENT, IUPAC, N_CODE, decode, encode, reverse_complement


@given(st.text(BASES))
def test_letters_survive_both_ways(letters):
    codes = encode(letters)
    assert codes.dtype == np.uint8
    assert decode(codes) == letters
    np.testing.assert_array_equal(encode(letters.lower().encode()), codes)


def test_every_other_iupac_letter_is_n_but_u():
    for letter in set(IUPAC) - set("ACGTU"):
        assert encode(letter) == encode(letter.lower()) == N_CODE
    np.testing.assert_array_equal(encode("ACGTUN"), [0, 1, 2, 3, 3, 4])


@pytest.mark.parametrize(("letters", "at"), [("ACXG", "'X' at position 2"), ("AC G", "' ' at position 2")])
def test_other_characters_are_named_with_their_place(letters, at):
    with pytest.raises(ValueError, match=at):
        encode(letters)


@given(st.text(BASES))
def test_reverse_complement_is_its_own_inverse(letters):
    codes = encode(letters)
    pairs = str.maketrans("ACGTN", "TGCAN")
    assert decode(reverse_complement(codes)) == letters[::-1].translate(pairs)
    np.testing.assert_array_equal(reverse_complement(reverse_complement(codes)), codes)


def test_reverse_complement_runs_along_the_last_axis():
    np.testing.assert_array_equal(reverse_complement(np.array([[0, 1], [2, 4]])), [[2, 3], [4, 1]])
    np.testing.assert_array_equal(COMPLEMENT[COMPLEMENT], np.arange(5))
