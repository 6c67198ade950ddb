"""Markov chains: a hand calculation, a count without vectors, and genomes whose entropy rate is known."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genome_lm.dna import encode, reverse_complement
from genome_lm.language.markov import fit_chains
from genome_lm.language.sequence import Segments
from genome_lm.language.words import WordCounts, count_words, segment_blocks, stretch_blocks


def segments(*texts: str) -> Segments:
    """Segments laid end to end."""
    lengths = np.array([len(text) for text in texts])
    ends = np.cumsum(lengths)
    return Segments(encode("".join(texts)), ends - lengths, ends)


def counted(*texts: str, order: int) -> WordCounts:
    return count_words(segment_blocks(segments(*texts), order), order)


def number(word: str) -> int:
    return sum(int(code) * 4**place for place, code in enumerate(encode(word)[::-1]))


def slowly(texts: list[str], order: int) -> tuple[dict[str, int], dict[str, int]]:
    """Words of the bases with at least and with exactly `order` known bases before them, and how many."""
    at_least: dict[str, int] = {}
    exactly: dict[str, int] = {}
    for text in texts:
        for end in range(len(text)):
            known = 0
            while known < end and text[end - known - 1] != "N":
                known += 1
            if text[end] == "N" or known < order:
                continue
            word = text[end - order : end + 1]
            at_least[word] = at_least.get(word, 0) + 1
            if known == order:
                exactly[word] = exactly.get(word, 0) + 1
    return at_least, exactly


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ACGTN", min_size=1, max_size=20), min_size=1, max_size=5), st.integers(0, 3))
def test_words_are_those_counted_one_by_one(texts, max_order):
    found = counted(*texts, order=max_order)
    for order in range(max_order + 1):
        at_least, exactly = slowly(texts, order)
        for word in map("".join, product("ACGT", repeat=order + 1)):
            assert found.at_least[order][number(word)] == at_least.get(word, 0)
            if order < max_order:
                assert np.count_nonzero(found.exactly[order] == number(word)) == exactly.get(word, 0)


def test_long_segments_are_counted_in_parts(monkeypatch):
    """No word is lost or counted twice where a part ends."""
    text = "".join(np.random.default_rng(0).choice(list("ACGTN"), 1000, p=[0.3, 0.2, 0.2, 0.29, 0.01]))
    whole = counted(text, text[:77], order=4)
    monkeypatch.setattr("genome_lm.language.words._BLOCK_BP", 7)
    parts = counted(text, text[:77], order=4)
    for order in range(5):
        np.testing.assert_array_equal(parts.at_least[order], whole.at_least[order])
    # With the whole context before it, no base of a later part looks like one at a segment's beginning.
    for order in range(4):
        assert sorted(parts.exactly[order]) == sorted(whole.exactly[order])


@settings(max_examples=30, deadline=None)
@given(st.text("ACGTN", min_size=1, max_size=40))
def test_the_other_strand_is_counted_as_if_it_were_read(text):
    both = counted(text, order=2).with_other_strand()
    codes = encode(text)
    letters = "".join("ACGTN"[code] for code in reverse_complement(codes))
    expected = counted(text, letters, order=2)
    for order in range(3):
        np.testing.assert_array_equal(both[order], expected.at_least[order])


def test_only_the_targets_of_stretches_count_and_nothing_before_a_stretch_is_known():
    codes = encode("ACGTACGTACGT")
    found = count_words(stretch_blocks(codes, np.array([0, 5]), 4, np.array([1, 3])), 2)
    # Stretches ACGT and CGTA: C after A, T after ACG; G after C, A after CGT.
    assert found.n_bases == 4
    assert {int(word) for word in np.flatnonzero(found.at_least[1])} == {
        number(word) for word in ("AC", "GT", "CG", "TA")
    }
    assert sorted(found.exactly[1].tolist()) == sorted([number("AC"), number("CG")])
    assert set(np.flatnonzero(found.at_least[2])) == {number("CGT"), number("GTA")}


def test_a_hand_calculation():
    """Training AACA: after A once A, once C; after C once A. Validation AC: A from nothing, C after A."""
    train = counted("AACA", order=1)
    valid = counted("AC", order=1)
    chains = fit_chains(train.at_least, valid, pseudocounts=(1.0,))
    # Order 0: A (3 + 1) / (4 + 4), C (1 + 1) / 8; order 1: C after A (1 + 1) / (2 + 4).
    expected = [-(math.log(4 / 8) + math.log(2 / 8)) / 2, -(math.log(4 / 8) + math.log(2 / 6)) / 2]
    assert chains.cross_entropies(valid) == pytest.approx(expected, rel=1e-12)
    assert chains.best_order == 1
    for order, log_p in enumerate(chains.log_p):
        np.testing.assert_allclose(np.exp(log_p).reshape(-1, 4).sum(axis=1), 1, err_msg=str(order))


@settings(max_examples=30, deadline=None)
@given(st.text("ACGTN", min_size=8, max_size=60), st.text("ACGTN", max_size=20), st.integers(0, 3))
def test_cross_entropy_is_that_of_each_base_by_itself(train_text, valid_text, order):
    valid_text += "A"
    chains = fit_chains(counted(train_text, order=3).at_least, counted(valid_text, order=3), (0.5,))
    total, bases = 0.0, 0
    for end, letter in enumerate(valid_text):
        if letter == "N":
            continue
        context = valid_text[:end].rpartition("N")[2][-order:] if order else ""
        counts = slowly([train_text], len(context))[0]
        seen = {base: counts.get(context + base, 0) + 0.5 for base in "ACGT"}
        total -= math.log(seen[letter] / sum(seen.values()))
        bases += 1
    assert chains.cross_entropy(order, counted(valid_text, order=3)) == pytest.approx(total / bases)


def test_the_pseudocount_is_the_best_of_those_tried():
    draw = np.random.default_rng(1)
    train, valid = ("".join(draw.choice(list("ACGT"), n)) for n in (300, 3000))
    counts, seen = counted(train, order=4), counted(valid, order=4)
    tried = (0.01, 0.3, 1.0, 10.0, 100.0)
    chains = fit_chains(counts.at_least, seen, tried)
    for order in range(5):
        scores = [seen.at_least[order] @ fit_chains(counts.at_least, seen, (a,)).log_p[order] for a in tried]
        assert chains.pseudocount[order] == tried[int(np.argmax(scores))]


def second_order_genome(n_bases: int, seed: int) -> tuple[str, float]:
    """A sequence drawn from a chain of order 2 with strong preferences, and the perplexity of its source."""
    draw = np.random.default_rng(seed)
    table = draw.dirichlet([0.3] * 4, size=16) * 0.9 + 0.025
    uniform = draw.random(n_bases)
    edges = np.cumsum(table, axis=1)
    codes = [0, 1]
    for at in range(2, n_bases):
        codes.append(min(3, int(np.searchsorted(edges[4 * codes[-2] + codes[-1]], uniform[at]))))
    # The contexts visited weigh the rows: the entropy rate of what was drawn.
    contexts = np.array(codes[:-2]) * 4 + np.array(codes[1:-1])
    share = np.bincount(contexts, minlength=16) / len(contexts)
    rate = -(share[:, None] * table * np.log(table)).sum()
    return "".join("ACGT"[code] for code in codes), math.exp(rate)


def test_a_source_of_order_two_is_found_at_its_entropy_rate():
    text, perplexity = second_order_genome(60_000, seed=3)
    train, valid, test = (
        counted(text[:40_000], order=6),
        *(counted(part, order=6) for part in (text[40_000:50_000], text[50_000:])),
    )
    chains = fit_chains(train.at_least, valid)
    found = np.exp(chains.cross_entropies(test))
    assert chains.best_order == 2
    assert found[2] == pytest.approx(perplexity, rel=0.02)
    assert found[0] > found[1] > 1.05 * found[2]


def test_a_random_genome_has_nothing_to_learn():
    draw = np.random.default_rng(5)
    train, test = ("".join(draw.choice(list("ACGT"), n)) for n in (100_000, 50_000))
    seen = counted(test, order=8)
    found = np.exp(fit_chains(counted(train, order=8).at_least, seen).cross_entropies(seen))
    assert found[:4] == pytest.approx(4.0, rel=1e-3)
    assert min(found) > 3.995  # no order may find what is not there


def test_a_repeated_unit_is_known_once_the_context_tells_the_place():
    text = "ACGTTGCAAT" * 500
    seen = counted(text[:1000], order=4)
    found = np.exp(fit_chains(counted(text, order=4).at_least, seen).cross_entropies(seen))
    assert found[4] < 1.01 < 2 < found[0]
