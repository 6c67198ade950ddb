"""The stems: lengths, a convolution by hand, and any recurrent encoder behind one."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import compose_model, description_of, network_of

from genome_lm.build import network_from
from genome_lm.errors import UserError
from genome_lm.stems import ConvStem, NoStem


def test_nothing_is_nothing():
    tokens = torch.randn(2, 5, 3)
    stem = NoStem(3)
    assert stem(tokens) is tokens
    assert (stem.width, stem.min_length, stem.out_length(5), list(stem.parameters())) == (3, 1, 5, [])


@settings(deadline=None)
@given(length=st.integers(1, 60), half=st.integers(0, 8), pool=st.integers(1, 9))
def test_the_length_is_as_announced(length, half, pool):
    stem = ConvStem(3, channels=2, kernel_size=2 * half + 1, pool=pool).eval()
    assert stem(torch.randn(2, length, 3)).shape == (2, stem.out_length(length), 2)


def test_a_convolution_by_hand():
    """Each token: the sum over a filter's places, normalised, cut off at 0; then the maximum of a pool."""
    torch.manual_seed(0)
    stem = ConvStem(2, channels=3, kernel_size=3, pool=2)
    tokens = torch.randn(4, 5, 2)
    weight = stem.layers[0].weight
    padded = torch.nn.functional.pad(tokens, (0, 0, 1, 1))
    filtered = torch.stack(
        [torch.einsum("cwk,bkw->bc", weight, padded[:, t : t + 3]) for t in range(5)], dim=1
    )
    mean, variance = filtered.mean(dim=(0, 1)), filtered.var(dim=(0, 1), unbiased=False)
    active = ((filtered - mean) / torch.sqrt(variance + 1e-5)).clamp(min=0)
    pools = torch.stack([active[:, 0:2].amax(1), active[:, 2:4].amax(1), active[:, 4]], dim=1)
    torch.testing.assert_close(stem(tokens), pools)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "channels 0 and pool 5; expected at least 1"),
        ({"pool": 0}, "pool 0"),
        ({"kernel_size": 4}, r"stem\.kernel_size is 4; expected an odd number"),
        ({"kernel_size": -1}, r"stem\.kernel_size is -1"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UserError, match=message):
        ConvStem(4, **arguments)


@pytest.mark.parametrize("name", ["rnn", "lstm", "bigru"])
@pytest.mark.parametrize("tokenizer", ["onehot", "kmer_bag"])
def test_it_stands_before_any_recurrent_encoder(name, tokenizer):
    network = network_of(name, "stem=conv", f"tokenizer={tokenizer}", "stem.channels=7", context_bp=62)
    assert network.encoder.recurrence.input_size == 7
    assert network.tokens(62) == {"onehot": 13, "kmer_bag": 1}[tokenizer]  # 62 bases, 57 words in 4 bags
    codes = torch.randint(0, 5, (3, 62), dtype=torch.uint8)
    network(codes).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert type(network_of(name).stem) is NoStem  # off unless it is chosen


def test_mistyped_arguments_are_one_line():
    description = description_of(compose_model("bigru", "stem=conv"))
    for argument, message in (
        ({"pol": 3}, r"stem\.pol does not exist; did you mean pool\? ConvStem takes channels"),
        ({"channels": "many"}, r"stem\.channels is 'many'; expected a whole number"),
        ({"_target_": "genome_lm.heads.Pooling"}, r"stem\._target_ .* expected a concrete subclass of Stem"),
    ):
        with pytest.raises(UserError, match=message):
            network_from(replace(description, stem=description.stem | argument), ["genome_lm"])
