"""Which bases a token has read, and words that start from the vectors of a file."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from models import compose_model, description_of
from small_run import TINY, run_command, run_folders

from genome_lm.build import network_from, network_with_weights
from genome_lm.checkpoint import read_checkpoint
from genome_lm.errors import UserError
from genome_lm.tokenizers import CharacterTokenizer, KmerTokenizer, OneHotTokenizer, Tokenizer
from genome_lm.word_vectors import read_word_vectors

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


def changed_tokens(tokenizer: Tokenizer, codes: np.ndarray, place: int) -> list[list[int]]:
    """Indices of the tokens that change when the base at `place` becomes 0, 1, ..., 4."""
    variants = np.repeat(codes[None], 6, axis=0)
    variants[:5, place] = np.arange(5)
    with torch.no_grad():
        tokens = tokenizer(torch.from_numpy(variants))
    return [torch.nonzero((each != tokens[5]).any(dim=1)).flatten().tolist() for each in tokens[:5]]


@settings(deadline=None, max_examples=50)
@given(**SHAPES, canonical=st.booleans(), data=st.data())
def test_a_token_reads_every_base_of_its_span_and_no_other(
    k, stride, words_per_token, length_bp, canonical, data
):
    assume(length_bp >= k)
    tokenizer = numbered(KmerTokenizer(k, stride, words_per_token, width=3, canonical=canonical))
    codes = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 4, length_bp, dtype=np.uint8)
    place = data.draw(st.integers(0, length_bp - 1))
    starts, ends = tokenizer.token_spans(length_bp)
    assert starts.dtype == ends.dtype == np.int64
    assert len(starts) == tokenizer(torch.from_numpy(codes)[None]).shape[1]
    inside = np.flatnonzero((starts <= place) & (place < ends)).tolist()
    # Other letters may give the same words again (canonical, or in a bag); N, the unknown word, never does.
    *letters, unknown = changed_tokens(tokenizer, codes, place)
    assert set().union(*letters, unknown) <= set(inside)
    if stride <= k:
        assert unknown == inside


@pytest.mark.parametrize("canonical", [False, True])
def test_a_letter_changes_the_tokens_that_read_it(canonical):
    """No change here turns a word into its reverse complement, so it shows in all tokens that read it."""
    tokenizer = numbered(KmerTokenizer(5, 2, 3, width=3, canonical=canonical))
    codes = np.random.default_rng(5).integers(0, 4, 40, dtype=np.uint8)
    starts, ends = tokenizer.token_spans(40)
    for place in range(40):
        changed = changed_tokens(tokenizer, codes, place)[(codes[place] + 1) % 4]
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
        assert changed_tokens(tokenizer, codes, place)[3] == [place]
    with pytest.raises(UserError, match="a sequence of 0 bp has no tokens"):
        tokenizer.token_spans(0)


def test_a_sequence_shorter_than_a_word_has_no_spans():
    with pytest.raises(UserError, match=r"sequence of 3 bp is shorter than one word.*tokenizer\.k = 4 bp"):
        KmerTokenizer(k=4, width=1).token_spans(3)


SMALL = {"AC": [0.5, -1, 2], "gt": [1.5, 3, 0], "TT": [7, 8, 9], "AN": [1, 1, 1], "ACG": [4, 4, 4]}


def vector_file(path: Path, vectors: dict[str, list[float]], header: str | None = None) -> Path:
    """The vectors as gensim writes them."""
    lines = [header or f"{len(vectors)} {len(next(iter(vectors.values())))}"]
    lines += [" ".join([word, *map(str, vector)]) for word, vector in vectors.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def loaded(**arguments) -> tuple[torch.Tensor, torch.Tensor]:
    """Table of the words before and after `load_sources`."""
    tokenizer = KmerTokenizer(**arguments)
    before = tokenizer.embedding.weight.detach().clone()
    tokenizer.load_sources()
    return before, tokenizer.embedding.weight.detach()


def test_words_of_the_file_start_from_it_and_others_at_random(tmp_path, caplog):
    """AC is word 1 of the 2-mers, GT 11, TT 15; words of other lengths or with an N are passed over."""
    path = vector_file(tmp_path / "words.w2v", SMALL)
    with caplog.at_level(logging.INFO):
        before, after = loaded(k=2, width=3, embedding_file=str(path))
    assert after[1].tolist() == [0.5, -1, 2]
    assert after[11].tolist() == [1.5, 3, 0]
    assert after[15].tolist() == [7, 8, 9]
    others = [word for word in range(18) if word not in (1, 11, 15)]
    assert torch.equal(before[others], after[others])
    assert f"3 of 16 2-mers start from {path}, 13 and the unknown word at random" in caplog.text


def test_canonical_words_start_from_the_mean_of_both_strands(tmp_path, caplog):
    """AC and GT are one word; of AA and TT only TT is in the file."""
    path = vector_file(tmp_path / "words.w2v", SMALL)
    with caplog.at_level(logging.INFO):
        before, after = loaded(k=2, width=3, canonical=True, embedding_file=str(path))
    assert after[0].tolist() == [7, 8, 9]  # AA
    assert after[1].tolist() == [1, 1, 1]  # AC
    assert torch.equal(before[2:], after[2:])
    assert "2 of 10 2-mers start from" in caplog.text


@settings(deadline=None, max_examples=30)
@given(k=st.integers(1, 3), canonical=st.booleans(), seed=st.integers(0, 99))
def test_a_token_of_a_loaded_word_is_the_vector_of_its_letters(tmp_path_factory, k, canonical, seed):
    random = np.random.default_rng(seed)
    words = ["".join("ACGT"[word // 4**place % 4] for place in range(k)) for word in range(4**k)]
    vectors = {word: random.normal(size=2).astype(np.float32) for word in words}
    path = vector_file(tmp_path_factory.mktemp("words") / "all", {w: v.tolist() for w, v in vectors.items()})
    tokenizer = KmerTokenizer(k, width=2, canonical=canonical, embedding_file=str(path))
    tokenizer.load_sources()
    for word in words:
        codes = torch.tensor([["ACGT".index(letter) for letter in word]], dtype=torch.uint8)
        other = "".join("TGCA"["ACGT".index(letter)] for letter in reversed(word))
        expected = (vectors[word] + vectors[other]) / 2 if canonical else vectors[word]
        np.testing.assert_allclose(tokenizer(codes)[0, 0].detach(), expected, atol=1e-6)


@pytest.mark.parametrize("freeze", [False, True])
def test_frozen_words_are_not_trained(freeze):
    tokenizer = KmerTokenizer(k=2, width=3, freeze_embedding=freeze)
    assert tokenizer.embedding.weight.requires_grad is not freeze


FINE = "2 3\nAC 1 2 3\nGT 4 5 6\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin with the number of words"),
        ("AC 1 2 3\nGT 4 5 6\n", "does not begin with the number of words"),
        (FINE.replace("2 3\n", "2 4\n", 1), r"vectors of 4 numbers and tokenizer\.width is 3; set"),
        (FINE.replace("2 3\n", "3 3\n", 1), "ends after 2 of 3 words; it is truncated"),
        (FINE.replace("2 3\n", "1 3\n", 1), "line 3: more lines than the 1 words"),
        (FINE[:-3], r"line 3: 2 numbers; expected a word and 3 numbers"),
        (FINE[:-1], "line 3: the line has no end; the file may be truncated"),
        (FINE.replace("5", "nan"), "line 3: the vector of GT has numbers that are not finite"),
        (FINE.replace("5", "1e39"), "line 3: the vector of GT has numbers that are not finite"),
        (FINE.replace("5", "five"), "line 3: the vector of GT is not all numbers"),
        (FINE.replace("GT", "LE"), "line 3: the word 'LE' is no DNA"),
        (FINE.replace("GT", "ac"), "line 3: ac stands in the file twice"),
        (
            FINE.replace("AC", "ACG").replace("GT", "T"),
            r"no words of tokenizer\.k = 2 letters .* there: 1, 3\)",
        ),
        (FINE.replace("\nGT", "\n\nGT"), "line 3: 0 numbers"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "words.w2v"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        KmerTokenizer(k=2, width=3, embedding_file=str(path)).load_sources()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_are_missing_or_no_text(tmp_path):
    with pytest.raises(UserError, match=r"embedding_file .*none\.w2v cannot be read: No such file"):
        read_word_vectors(tmp_path / "none.w2v", 2, 3)
    (tmp_path / "binary").write_bytes(b"2 3\nAC " + np.float32([1, -2, 3]).tobytes())
    with pytest.raises(UserError, match=r"is no text; .* save it with binary=False"):
        read_word_vectors(tmp_path / "binary", 2, 3)


def test_the_end_of_a_sentence_is_no_word(tmp_path):
    """Mikolov's program writes it first; its lines end with a space."""
    path = tmp_path / "words.w2v"
    path.write_text("2 1\n</s> 9 \nGT 4 \n")
    values, vectors = read_word_vectors(path, 2, 1)
    assert values.tolist() == [11]
    assert vectors.tolist() == [[4]]


def test_only_a_training_reads_the_file(small_file, tmp_path):
    """Frozen words are those of the file to the end; the checkpoint loads where the file is gone."""
    random = np.random.default_rng(0)
    words = ["".join("ACGT"[word // 4**place % 4] for place in (2, 1, 0)) for word in range(64)]
    vectors = random.normal(size=(64, 4)).astype(np.float32)
    path = vector_file(tmp_path / "w.w2v", dict(zip(words, vectors.tolist(), strict=True)))
    settings = [*TINY, f"data.path={small_file}", f"runs_dir={tmp_path / 'runs'}", "trainer.max_epochs=1"]
    frozen = ["tokenizer.freeze_embedding=true", f"tokenizer.embedding_file={path}"]
    assert run_command("train", *settings, *frozen) == 0
    path.unlink()
    (run,) = run_folders(tmp_path / "runs")
    saved = read_checkpoint(run / "checkpoints" / "best.ckpt")
    assert saved.description.tokenizer["embedding_file"] == str(path)
    table = network_with_weights(saved, ["genome_lm"]).tokenizer.embedding.weight
    np.testing.assert_array_equal(table[:64].detach(), vectors)
    again = [f"ckpt_path={saved.path}", "trainer.max_epochs=2"]
    assert run_command("train", *settings, *frozen, *again) == 0  # going on needs no file
    assert run_command("train", *settings, *frozen) == 2  # a fresh training does


def test_building_a_network_reads_no_file():
    config = compose_model("bigru", "tokenizer=kmer", "tokenizer.embedding_file=nowhere.w2v")
    network = network_from(description_of(config), ["genome_lm"])
    with pytest.raises(UserError, match=r"nowhere\.w2v cannot be read"):
        network.load_sources()
