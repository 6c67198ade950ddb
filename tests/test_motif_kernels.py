"""DanQ's kernels out of JASPAR: what they find, where they stand, and a checkpoint that needs no pyjaspar."""

import sys

import numpy as np
import pytest
import torch
from small_run import run_command, run_folders
from torch.nn.functional import conv1d

from genome_lm.build import network_with_weights
from genome_lm.checkpoint import read_checkpoint
from genome_lm.dna import encode
from genome_lm.encoders import danq_jaspar
from genome_lm.encoders.danq_jaspar import DanQJasparEncoder
from genome_lm.encoders.jaspar import vertebrate_motifs
from genome_lm.errors import UserError

CTCF = "TGGCCACCAGGGGGCGCTA"  # the commonest bases of MA0139.1, motif 98 of 519 by id


def encoder_of(seed: int = 0, **arguments) -> DanQJasparEncoder:
    torch.manual_seed(seed)
    encoder = DanQJasparEncoder(4, 60, lstm_size=2, hidden_size=3, **arguments)
    encoder.load_sources()
    return encoder


@pytest.fixture(scope="module")
def motifs() -> dict[str, np.ndarray]:
    return vertebrate_motifs("JASPAR2016")


@pytest.fixture(scope="module")
def encoder() -> DanQJasparEncoder:
    return encoder_of()


def place_of(kernel: torch.Tensor, motif: np.ndarray) -> int:
    """Where the frequencies minus 0.25 begin in a kernel."""
    size = motif.shape[1]
    found = [
        start
        for start in range(kernel.shape[1] - size + 1)
        if np.allclose(kernel[:, start : start + size].detach(), motif - 0.25, atol=1e-6)
    ]
    assert len(found) == 1
    return found[0]


def bases_of(sequence: str) -> torch.Tensor:
    return torch.eye(5, 4)[torch.from_numpy(encode(sequence).astype(np.int64))]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_kernel_of_ctcf_finds_ctcf(encoder, motifs, reverse):
    """Its highest score is where the consensus lies; the reverse complement has a kernel of its own."""
    kernel = 519 + 2 if reverse else 98  # second kernels: Gata1, REST, CTCF, ...
    motif = motifs["MA0139.1"]
    start = place_of(encoder.scan.weight[kernel], motif[::-1, ::-1] if reverse else motif)
    consensus = CTCF[::-1].translate(str.maketrans("ACGT", "TGCA")) if reverse else CTCF
    rng = np.random.default_rng(1)
    for position in (40, 137):
        background = "".join(rng.choice(list("ACGT"), 300))
        sequence = background[:position] + consensus + background[position + len(CTCF) :]
        scores = conv1d(bases_of(sequence).T[None], encoder.scan.weight)[0]
        assert int(scores[kernel].argmax()) + start == position


def test_the_numbers_of_a_motif(motifs):
    """The first column of MA0139.1: 87, 291, 76 and 459 of 913 sites; A, C, G, T."""
    assert "".join("ACGT"[base] for base in motifs["MA0139.1"].argmax(0)) == CTCF
    np.testing.assert_allclose(motifs["MA0139.1"][:, 0], np.array([87, 291, 76, 459]) / 913, rtol=1e-6)
    assert list(motifs) == sorted(motifs)
    assert list(motifs)[98] == "MA0139.1"


def test_motifs_and_random_kernels(encoder, motifs):
    """Every motif of 2016, six of them twice, 3 or more bases from either end; the others as they were."""
    weight, bias = encoder.scan.weight.detach(), encoder.scan.bias.detach()
    twice = [motif[::-1, ::-1] for name, motif in motifs.items() if name[:6] in encoder.both_orientations]
    assert (len(motifs), len(twice)) == (519, 6)
    starts = []
    for kernel, motif in enumerate([*motifs.values(), *twice]):
        size = motif.shape[1]
        start = place_of(weight[kernel], motif)
        assert 3 <= start <= 30 - 3 - size
        starts.append(start)
        rest = torch.cat([weight[kernel, :, :start], weight[kernel, :, start + size :]], dim=1)
        assert rest.abs().max() <= 0.05
    assert min(starts) == 3
    assert max(starts) > 18  # short motifs stand anywhere
    assert ((bias[:525] <= 0) & (bias[:525] >= -1)).all()
    assert -0.55 < bias[:525].mean() < -0.45
    assert weight[525:].abs().max() <= 0.05
    assert not bias[525:].any()


def test_the_seed_decides():
    first, same, other = encoder_of(3), encoder_of(3), encoder_of(4)
    assert torch.equal(first.scan.weight, same.scan.weight)
    assert torch.equal(first.scan.bias, same.scan.bias)
    assert not torch.equal(first.scan.bias, other.scan.bias)


def test_motifs_that_do_not_fit(monkeypatch):
    """24 just keeps the margin of 3; longer ones are centred; those longer than the kernel are left out."""
    rng = np.random.default_rng(0)
    made = [rng.dirichlet(np.ones(4), size).T.astype(np.float32) for size in (5, 24, 25, 31, 26, 30)]
    monkeypatch.setattr(danq_jaspar, "vertebrate_motifs", lambda _: dict(zip("abcdef", made, strict=True)))
    weight = encoder_of(both_orientations=["b"]).scan.weight
    kept = [motif for motif in made if motif.shape[1] <= 30]
    assert [place_of(weight[kernel], motif) for kernel, motif in enumerate(kept[1:], 1)] == [3, 2, 2, 0]
    assert place_of(weight[5], made[1][::-1, ::-1]) == 3
    assert weight[6:].abs().max() <= 0.05


def test_more_motifs_than_kernels_for_them(monkeypatch):
    """A random choice, in their order."""
    rng = np.random.default_rng(0)
    made = [rng.dirichlet(np.ones(4), 20).T.astype(np.float32) for _ in range(60)]
    named = {f"{number:02}": motif for number, motif in enumerate(made)}
    monkeypatch.setattr(danq_jaspar, "vertebrate_motifs", lambda _: named)
    weight = encoder_of(motif_kernels=20).scan.weight
    numbers = []
    for kernel in weight[:20]:
        sums = np.array(
            [conv1d(kernel[None], torch.tensor(motif - 0.25)[None]).amax().item() for motif in made]
        )
        energy = np.array([((motif - 0.25) ** 2).sum() for motif in made])
        numbers.append(int((sums / energy).argmax()))
        place_of(kernel, made[numbers[-1]])
    assert numbers == sorted(set(numbers)) != list(range(20))
    assert weight[20:].abs().max() <= 0.05


def test_what_cannot_be(monkeypatch):
    with pytest.raises(UserError, match="one-hot bases, 4 features a token, and got 2"):
        DanQJasparEncoder(2, 60)
    with pytest.raises(UserError, match="motif_kernels is 9; expected 0 to channels = 8"):
        DanQJasparEncoder(4, 60, channels=8, motif_kernels=9)
    with pytest.raises(UserError, match=r"release is JASPAR1999; pyjaspar has JASPAR2014, .*JASPAR2026"):
        vertebrate_motifs("JASPAR1999")
    monkeypatch.setitem(sys.modules, "pyjaspar", None)
    with pytest.raises(UserError, match=r'pip install "genome-lm\[motifs\]"'):
        vertebrate_motifs("JASPAR2016")


def test_a_training_starts_from_motifs_and_its_checkpoint_needs_no_pyjaspar(
    small_file, motifs, tmp_path, monkeypatch, capsys
):
    settings = (
        "model=danq_jaspar",
        "model.encoder.lstm_size=4",
        "model.encoder.hidden_size=4",
        "data.context_bp=60",
        f"data.path={small_file}",
        f"runs_dir={tmp_path}",
        "trainer.accelerator=cpu",
        "trainer.threads=1",
        "trainer.limit_train_batches=1",
        "trainer.limit_val_batches=1",
    )
    assert run_command("train", *settings, "trainer.max_epochs=1") == 0
    (first,) = run_folders(tmp_path)
    checkpoint = first / "checkpoints" / "last.ckpt"

    monkeypatch.setitem(sys.modules, "pyjaspar", None)
    motif = motifs["MA0139.1"]
    network = network_with_weights(read_checkpoint(checkpoint), ["genome_lm"])
    kernel = network.encoder.scan.weight[98].detach().numpy()
    overlaps = [(kernel[:, at : at + 19] * (motif - 0.25)).sum() for at in range(3, 9)]
    assert max(overlaps) > 0.9 * ((motif - 0.25) ** 2).sum()
    assert run_command("train", *settings, "trainer.max_epochs=2", f"ckpt_path={checkpoint}") == 0
    capsys.readouterr()
    assert run_command("train", *settings, "trainer.max_epochs=1") == 2
    assert 'pip install "genome-lm[motifs]"' in capsys.readouterr().err
