"""Motif occupancy against a plain loop, and its way to the head."""

import copy

import numpy as np
import pytest
import torch
from small_run import TINY, run_command, run_folders

from genome_lm import motifs, window_features
from genome_lm.checkpoint import read_checkpoint
from genome_lm.choices import NormKind, StrandEncoding
from genome_lm.dataset.feature_rows import FeatureRows
from genome_lm.dna import N_CODE, encode, reverse_complement
from genome_lm.encoders.recurrent import RecurrentEncoder
from genome_lm.errors import UserError
from genome_lm.heads import MultitaskHead, Pooling
from genome_lm.network import Network
from genome_lm.tokenizers import OneHotTokenizer
from genome_lm.window_features import MotifOccupancy


@pytest.fixture(scope="module")
def occupancy():
    return MotifOccupancy(span_bp=60)


def naive(codes: np.ndarray, span: int) -> np.ndarray:
    """log sum over positions of exp(0.72 (score - best score)), better strand, an N as the worst base."""
    start = (len(codes) - span) // 2
    middle = codes[start : start + span].tolist()
    found = []
    for matrix in motifs.read_motifs().log_odds():
        width, total = matrix.shape[1], 0.0
        other = matrix[::-1, ::-1]
        for position in range(1 - width, span):
            scores = []
            for oriented in (matrix, other):
                score = 0.0
                for column in range(width):
                    place = position + column
                    letter = middle[place] if 0 <= place < span else N_CODE
                    score += oriented[:, column].min() if letter == N_CODE else oriented[letter, column]
                scores.append(score)
            total += np.exp(0.72 * (max(scores) - matrix.max(axis=0).sum()))
        found.append(np.log(max(total, 1e-30)))
    return np.array(found)


def test_the_shipped_matrices_are_jaspars():
    pyjaspar = pytest.importorskip("pyjaspar", reason='needs the extra "motifs", which is in dev')
    shipped = motifs.read_motifs()
    database = pyjaspar.jaspardb(release=motifs.RELEASE)
    try:
        theirs = {m.matrix_id: m for m in database.fetch_motifs(collection="CORE", tax_group=["vertebrates"])}
    finally:
        database.conn.close()
    assert list(shipped.id) == sorted(theirs)
    for name, counts in zip(shipped.id, shipped.counts, strict=True):
        expected = np.array([theirs[name].counts[base] for base in "ACGT"])
        np.testing.assert_allclose(counts, expected, atol=0.5)


def test_rebuilding_gives_the_shipped_file(tmp_path):
    pytest.importorskip("pyjaspar", reason='needs the extra "motifs", which is in dev')
    assert motifs.main([str(tmp_path / "again.npz")]) == 0
    # By content: how it is compressed depends on the zlib at hand.
    with np.load(tmp_path / "again.npz") as again, np.load(motifs.motifs_path()) as shipped:
        assert set(again) == set(shipped)
        for name in shipped:
            np.testing.assert_array_equal(again[name], shipped[name])


def test_log_odds_by_hand():
    made = motifs.Motifs(("x",), ("x",), (np.array([[9], [0], [0], [0]], dtype=np.int32),))
    (scores,) = made.log_odds()
    np.testing.assert_allclose(
        scores[:, 0], np.log(np.array([9.5, 0.5, 0.5, 0.5]) / 11 / [0.3, 0.2, 0.2, 0.3])
    )


def test_occupancy_is_that_of_a_plain_loop(occupancy):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, size=(2, 80)).astype(np.uint8)
    codes[1, 30:35] = N_CODE
    found = occupancy(torch.from_numpy(codes)).double().numpy()
    expected = np.stack([naive(row, 60) for row in codes])
    # Scores are rounded to bfloat16.
    np.testing.assert_allclose(found, expected, atol=0.3)
    assert np.abs(found - expected).mean() < 0.05


def test_processors_with_and_without_bfloat16_give_the_same(occupancy, monkeypatch):
    codes = torch.from_numpy(np.random.default_rng(3).integers(0, 5, size=(40, 90)).astype(np.uint8))
    found = []
    for fast in (False, True):
        monkeypatch.setattr(window_features, "_fast_bfloat16", lambda device, fast=fast: fast)
        found.append(occupancy(codes))
    assert torch.equal(*found)


def test_a_planted_consensus_is_found_on_either_strand_and_in_the_middle_alone(occupancy):
    known = motifs.read_motifs()
    ctcf = known.name.index("CTCF")
    consensus = known.log_odds()[ctcf].argmax(axis=0).astype(np.uint8)
    rng = np.random.default_rng(1)
    background = rng.integers(0, 4, size=(1, 140)).astype(np.uint8)

    def planted(site: np.ndarray, start: int) -> float:
        codes = background.copy()
        codes[0, start : start + len(site)] = site
        return float(occupancy(torch.from_numpy(codes))[0, ctcf])

    assert planted(consensus, 60) == pytest.approx(0, abs=0.1)  # the sum is the one site of full weight
    assert planted(reverse_complement(consensus), 60) == pytest.approx(0, abs=0.1)
    assert planted(consensus, 5) < -3


@pytest.mark.parametrize("length", [50, 90, 91])
def test_both_strands_have_the_same(occupancy, length):
    codes = np.random.default_rng(2).integers(0, 5, size=(5, length)).astype(np.uint8)
    other = torch.from_numpy(reverse_complement(codes).copy())
    torch.testing.assert_close(occupancy(torch.from_numpy(codes)), occupancy(other), atol=1e-4, rtol=0)


def test_windows_of_n_and_batches(occupancy):
    codes = torch.full((1, 100), N_CODE, dtype=torch.uint8)
    alone = occupancy(codes)
    assert torch.isfinite(alone).all()
    batch = torch.cat([codes, torch.randint(0, 4, (20, 100), dtype=torch.uint8), codes])
    assert torch.equal(occupancy(batch)[[0, -1]], alone.expand(2, -1))


@pytest.mark.parametrize("strands", list(StrandEncoding))
def test_the_head_reads_them_beside_the_pooled_states(strands, occupancy):
    torch.manual_seed(0)
    tokenizer = OneHotTokenizer()
    encoder = RecurrentEncoder(4, hidden_size=3, num_layers=1)
    pooling = Pooling(["mean"], encoder.width)
    head = MultitaskHead(pooling.width + occupancy.width, torch.full((2,), 0.1), norm=NormKind.batch)
    parts = (tokenizer, encoder, pooling, head)
    network = Network(*parts, strand_encoding=strands, window_features=occupancy).eval()
    codes = torch.from_numpy(encode("ACGTTGCA" * 12)[None].copy())
    with torch.no_grad():
        before = network(codes)
        head.linear.weight[:, pooling.width :] = 0
        assert not torch.allclose(network(codes), before)
    # Nothing of it is learned or saved.
    assert not list(occupancy.parameters())
    assert not occupancy.state_dict()


def test_too_short(occupancy):
    with pytest.raises(UserError, match="shorter than the longest motif, 33 bp"):
        occupancy(torch.zeros(1, 20, dtype=torch.uint8))
    with pytest.raises(UserError, match=r"window_features\.span_bp is 10; expected at least 33"):
        MotifOccupancy(10)


def test_other_matrices_are_refused(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"window_features\.release is JASPAR2030; .* ships JASPAR2024"):
        MotifOccupancy(60, release="JASPAR2030")
    with np.load(motifs.motifs_path()) as shipped:
        content = dict(shipped)
    content["counts"][0, 0] += 1
    np.savez(tmp_path / "other.npz", **content)
    monkeypatch.setattr(motifs, "motifs_path", lambda: tmp_path / "other.npz")
    with pytest.raises(UserError, match="holds other matrices than JASPAR2024's"):
        motifs.read_motifs.__wrapped__()


def test_kept_rows_are_those_of_the_unshifted_windows(small):
    occupancy = MotifOccupancy(span_bp=60)
    asked: list[int] = []
    occupancy.register_forward_pre_hook(lambda _, inputs: asked.append(len(inputs[0])))
    rows = FeatureRows(small, 100, occupancy, occupancy.width, keep=True)
    windows = np.array([5, 3, 5, 7])
    expected = occupancy(torch.from_numpy(small.bases(windows, 100)))
    torch.testing.assert_close(rows(windows), expected)
    torch.testing.assert_close(rows(windows[::-1]), expected.flip(0))
    rows(np.array([3, 8]))
    assert asked == [4, 3, 1]  # by this test, then each window once
    assert copy.deepcopy(rows) is rows
    anew = FeatureRows(small, 100, occupancy, occupancy.width, keep=False)
    torch.testing.assert_close(anew(windows), expected)


def test_a_training_with_kept_rows_is_one_with_computed_ones(small_file, tmp_path):
    found = []
    for cache in (0, 1024):
        runs = tmp_path / str(cache)
        settings = ("window_features=motifs", "data.max_shift_bp=20", f"data.feature_cache_mib={cache}")
        assert run_command("train", *TINY, f"data.path={small_file}", f"runs_dir={runs}", *settings) == 0
        (folder,) = run_folders(runs)
        found.append(read_checkpoint(folder / "checkpoints" / "last.ckpt").weights)
    for name, weights in found[0].items():
        torch.testing.assert_close(found[1][name], weights, atol=1e-3, rtol=1e-3)
