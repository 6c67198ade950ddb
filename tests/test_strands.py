"""Reverse complements: a network of shared strands gives both strands the same logits, and is run once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from models import MODELS, compose_model, description_of
from omegaconf import OmegaConf
from small_run import TINY, run_command, run_folders
from torch import nn

from genome_lm.build import network_from, network_with_weights
from genome_lm.checkpoint import Description, read_checkpoint
from genome_lm.choices import PoolingKind, StrandEncoding
from genome_lm.config_files import config_dir
from genome_lm.dna import reverse_complement as reverse_complement_array
from genome_lm.encoders.base import Encoder
from genome_lm.evaluation.predict import predict_codes
from genome_lm.network import Network, average_strands, reverse_complement
from genome_lm.parts import class_from

TOKENIZERS = {
    path.stem: OmegaConf.to_container(OmegaConf.load(path))
    for path in sorted((config_dir() / "tokenizer").glob("*.yaml"))
}
# The other strand is cut into other words, as by `kmer`, and here the last bag of it holds other ones, too.
TOKENIZERS["uneven"] = {
    "_target_": "genome_lm.tokenizers.KmerTokenizer", "k": 4, "words_per_token": 7, "width": 8
}  # fmt: skip
HEAD = {
    "pooling": [kind.value for kind in PoolingKind],
    "centre": 0.5,
    "norm": "batch",
    "kind": "one_logit",
    "dropout": 0.4,
    "input_dropout": 0.1,
}
CONTEXT_BP = 263  # 43 words that do not overlap, and 18 bags of 15, the last of 3


def recurrent() -> list[str]:
    """Models of recurrent encoders, which are those with states that see one side of their token."""
    names = []
    for name in MODELS:
        encoder = dict(compose_model(name).model.encoder)
        if class_from("", Encoder, encoder, ["genome_lm"]).causal_states is not Encoder.causal_states:
            names.append(name)
    return names


def described(name: str, tokenizer: str, strand_encoding: str = "shared", stem: str = "none") -> Description:
    description = description_of(compose_model(name, f"stem={stem}", "window_features=none"))
    return replace(
        description,
        tokenizer=TOKENIZERS[tokenizer],
        head=HEAD,
        context_bp=CONTEXT_BP,
        strand_encoding=strand_encoding,
    )


def lively(description: Description) -> Network:
    """A network whose logits differ between sequences by much more than the tolerance."""
    torch.manual_seed(0)
    network = network_from(description, ["genome_lm"]).eval()
    with torch.no_grad():
        for module in network.tokenizer.modules():
            if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
                module.weight.normal_()
        network.head.linear.weight.normal_(std=0.3)
    return network


SEQUENCES = arrays(
    np.uint8,
    st.tuples(st.integers(1, 3), st.integers(CONTEXT_BP - 3, CONTEXT_BP + 3)),
    elements=st.integers(0, 4),
)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("name", recurrent())
def test_both_strands_have_the_same_logits(name, tokenizer):
    """Every recurrent model, tokenizer and pooling, N included; and with one strand they differ."""
    network = lively(described(name, tokenizer))
    single = lively(described(name, tokenizer, "single"))
    assert {key: value.shape for key, value in network.state_dict().items()} == {
        key: value.shape for key, value in single.state_dict().items()
    }
    random = torch.randint(0, 5, (4, CONTEXT_BP), generator=torch.Generator().manual_seed(1)).byte()

    @settings(deadline=None, max_examples=5)
    @given(codes=SEQUENCES)
    def check(codes: np.ndarray) -> None:
        with torch.no_grad():
            forward = network(torch.from_numpy(codes))
            reverse = network(torch.from_numpy(reverse_complement_array(codes).copy()))
        torch.testing.assert_close(forward, reverse, rtol=0, atol=1e-5)

    check()
    with torch.no_grad():
        assert (network(random)[0] - network(random)[1]).abs().max() > 1e-3
        assert (single(random) - single(reverse_complement(random))).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["gru", "bigru"])
def test_with_a_convolution_before_the_encoder(name):
    network = lively(described(name, "character", stem="conv"))
    codes = torch.randint(0, 5, (5, CONTEXT_BP), dtype=torch.uint8)
    network.train()(codes)  # statistics of both strands alike
    network.eval()
    torch.testing.assert_close(network(codes), network(reverse_complement(codes)), rtol=0, atol=1e-5)


def test_the_states_of_a_position_are_averaged():
    """By hand: the reverse strand's states are put back in order before the mean is taken."""
    network = lively(described("lstm", "onehot"))
    codes = torch.randint(0, 5, (2, 9), dtype=torch.uint8)
    with torch.no_grad():
        states, final = network.encoder(network.tokenizer(codes))
        other, other_final = network.encoder(network.tokenizer(reverse_complement(codes)))
        mean = torch.stack([(states[:, t] + other[:, 8 - t]) / 2 for t in range(9)], dim=1)
        by_hand = network.head(network.pooling(mean, (final + other_final) / 2))
        torch.testing.assert_close(network(codes), by_hand)


@pytest.mark.parametrize(("strand_encoding", "passes"), [("shared", 1), ("single", 2)])
def test_averaging_runs_a_network_of_shared_strands_once(strand_encoding, passes):
    network = lively(described("gru", "character", strand_encoding))
    ran = []
    network.encoder.register_forward_hook(lambda *_: ran.append(1))
    codes = torch.randint(0, 5, (3, CONTEXT_BP), dtype=torch.uint8)
    with torch.no_grad():
        averaged = average_strands(network, codes)
    assert len(ran) == passes
    expected = (network(codes) + network(reverse_complement(codes))) / 2
    torch.testing.assert_close(averaged, expected, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def shared_run(small_file, tmp_path_factory):
    runs = tmp_path_factory.mktemp("shared")
    arguments = (f"data.path={small_file}", f"runs_dir={runs}", "strand_encoding=shared")
    assert run_command("train", *TINY, *arguments, "average_strands=false", "trainer.max_epochs=1") == 0
    (folder,) = run_folders(runs)
    return folder / "checkpoints" / "best.ckpt"


def test_a_trained_one_keeps_it_through_its_checkpoint(shared_run, small):
    saved = read_checkpoint(shared_run)
    network = network_with_weights(saved, ["genome_lm"]).eval()
    assert network.strand_encoding is StrandEncoding.shared
    codes = small.bases(small.windows_of("test")[:50], 60)
    one, other, averaged = (
        predict_codes(network, bases, average_strands=average, device=torch.device("cpu"))
        for bases, average in (
            (codes, False),
            (reverse_complement_array(codes).copy(), False),
            (codes, True),
        )
    )
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert np.array_equal(one, averaged)
    assert one.std(axis=0).min() > 1e-4


def test_shared_strands_are_both_strands_whatever_is_averaged(shared_run, checkpoint):
    shared, single = (read_checkpoint(path).description for path in (shared_run, checkpoint))
    assert not shared.average_strands
    assert [shared.both_strands(average) for average in (None, True, False)] == [True, True, True]
    assert [single.both_strands(average) for average in (None, True, False)] == [True, True, False]
    assert not replace(single, average_strands=False).both_strands()


def test_a_run_goes_on_with_the_strands_it_began_with(shared_run, small_file, tmp_path, capsys):
    arguments = (f"data.path={small_file}", f"runs_dir={tmp_path}", f"ckpt_path={shared_run}")
    assert run_command("train", *TINY, *arguments) == 2
    assert "was trained with another strand_encoding than" in capsys.readouterr().err
    assert run_command("train", *TINY, *arguments, "strand_encoding=shared", "stem=conv") == 2
    assert "was trained with another stem than" in capsys.readouterr().err
