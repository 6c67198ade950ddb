"""The published convolutional networks: parameter counts, lengths, and each layer calculated by hand."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import compose_model, description_of
from torch import nn
from torch.nn.functional import conv1d

from genome_lm.build import network_from
from genome_lm.convolution import Convolution
from genome_lm.encoders.basset import BassetEncoder
from genome_lm.encoders.danq import DanQEncoder
from genome_lm.encoders.deepbind import DeepBindEncoder
from genome_lm.encoders.deepsea import DeepSeaEncoder
from genome_lm.encoders.lengths import least_length, length_after
from genome_lm.errors import UserError
from genome_lm.network import Network, reverse_complement

CONTEXT = {"deepsea": 1000, "basset": 600, "danq": 1000, "danq_jaspar": 1000, "deepbind": 101}


SMALL = {
    "deepsea": {"channels": [8, 9, 10], "hidden_size": 12},
    "basset": {"channels": [8, 9, 10], "hidden_sizes": [11, 12]},
    "danq": {"channels": 8, "lstm_size": 5, "hidden_size": 12},
    "danq_jaspar": {"channels": 8, "motif_kernels": 4, "lstm_size": 5, "hidden_size": 12},
    "deepbind": {"detectors": 8, "hidden_size": 12},
}

composed = cache(compose_model)


def network_of(
    name: str, encoder: dict[str, object], *overrides: str, n_tasks: int = 5, context_bp: int | None = None
) -> Network:
    """`model=NAME` with other arguments of its encoder."""
    description = description_of(composed(name, *overrides), n_tasks, context_bp)
    return network_from(replace(description, encoder=description.encoder | encoder), ["genome_lm"])


def outline(name: str, encoder: dict[str, object], n_tasks: int = 5) -> Network:
    """The network without memory for its weights: shapes and counts only."""
    with torch.device("meta"):
        return network_of(name, encoder, n_tasks=n_tasks)


def one_hot(batch: int, length: int, unknown: float = 0.0) -> torch.Tensor:
    bases = torch.eye(4)[torch.randint(4, (batch, length))]
    return bases * (torch.rand(batch, length, 1) >= unknown)


@pytest.mark.parametrize(
    ("name", "n_tasks", "published", "second_biases"),
    [
        ("deepsea", 919, 52_843_119, 0),
        ("basset", 164, 4_135_064, 0),
        ("danq", 919, 46_926_479, 2 * 4 * 320),
        ("danq_jaspar", 919, 67_892_175, 2 * 4 * 512),
    ],
)
def test_parameters_as_published(name, n_tasks, published, second_biases):
    """At the published length and tasks; torch's LSTM has one bias more for each gate of each direction."""
    network = outline(name, {}, n_tasks)
    assert sum(parameter.numel() for parameter in network.parameters()) == published + second_biases


@pytest.mark.parametrize(
    ("average", "hidden", "published"), [(False, None, 1569), (False, 32, 2129), (True, None, 1585)]
)
def test_a_single_deepbind(average, hidden, published):
    """The forms that the authors calibrate, and the parameter file of a model with average pooling."""
    form = {"detectors": 16, "average_pooling": average, "hidden_size": hidden}
    network = outline("deepbind", form, n_tasks=1)
    assert sum(parameter.numel() for parameter in network.parameters()) == published


@pytest.mark.parametrize(
    ("name", "convolved", "pooled", "flat"),
    [
        ("deepsea", [993, 241, 53], [248, 60], 53 * 960),
        ("basset", [582, 184, 40], [194, 46, 10], 2000),
        ("danq", [975], [75], 75 * 640),
        ("danq_jaspar", [971], [64], 64 * 1024),
    ],
)
def test_lengths_at_the_published_length(name, convolved, pooled, flat):
    network = outline(name, {}).eval()
    lengths: dict[type, list[int]] = {Convolution: [], nn.MaxPool1d: [], nn.Linear: []}
    for layer in network.encoder.modules():
        if isinstance(layer, Convolution | nn.MaxPool1d):
            layer.register_forward_hook(lambda layer, _, out: lengths[type(layer)].append(out.shape[2]))
        elif isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda layer, given, _: lengths[nn.Linear].append(given[0].shape[1]))
    network.encoder(torch.zeros(1, CONTEXT[name], 4, device="meta"))
    assert lengths[Convolution] == convolved
    assert lengths[nn.MaxPool1d] == pooled
    assert lengths[nn.Linear][0] == flat


@pytest.mark.parametrize("name", CONTEXT)
@pytest.mark.parametrize("context_bp", [200, 437])
def test_other_lengths(name, context_bp):
    """Any window from the shortest on; the batch and its order do not matter in evaluation."""
    torch.manual_seed(0)
    network = network_of(name, SMALL[name], context_bp=context_bp).eval()
    codes = torch.randint(5, (3, context_bp), dtype=torch.uint8)
    states, final = network.encoder(network.tokenizer(codes))
    assert states.shape == (3, 1, network.encoder.width)
    assert torch.equal(states[:, 0], final)
    torch.testing.assert_close(network(codes[1:2]), network(codes)[1:2])


@pytest.mark.parametrize(("name", "least"), [("deepsea", 163), ("basset", 168), ("danq", 38)])
def test_too_short(name, least):
    """Counted by hand from the last layer, DeepSEA's: 1 -> 8 -> 32 + 7 = 39 -> 156 + 7 = 163."""
    assert network_of(name, SMALL[name], context_bp=least).encoder.min_length == least
    with pytest.raises(UserError, match=f"{least - 1} tokens a window; it needs at least {least}"):
        network_of(name, SMALL[name], context_bp=least - 1)


def test_a_window_of_another_length():
    network = network_of("danq", SMALL["danq"], context_bp=200)
    with pytest.raises(UserError, match="built for 200 tokens a window and got 201"):
        network(torch.zeros(1, 201, dtype=torch.uint8))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), min_size=1, max_size=4), st.integers(0, 60))
def test_lengths(stages, more):
    least = least_length(stages)
    assert length_after(least, stages) == 1
    assert length_after(least - 1, stages) < 1
    left = torch.zeros(1, 1, least + more)
    for kernel, pool in stages:
        left = nn.functional.max_pool1d(left[..., kernel - 1 :], pool)
    assert length_after(least + more, stages) == left.shape[2]


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (DeepSeaEncoder, {"channels": []}, r"channels is \[\]"),
        (DeepSeaEncoder, {"pool_size": 0}, "pool_size is 0"),
        (DeepSeaEncoder, {"dropout": 1.0}, "dropout is 1.0; expected 0 <= dropout < 1"),
        (BassetEncoder, {"kernel_sizes": [19, 11]}, "3 channels, 2 kernel_sizes and 3 pool_sizes"),
        (BassetEncoder, {"hidden_sizes": [0]}, r"hidden_sizes is \[0\]"),
        (DanQEncoder, {"lstm_dropout": -0.1}, "lstm_dropout is -0.1"),
    ],
)
def test_arguments_out_of_range(kind, arguments, message):
    with pytest.raises(UserError, match=message):
        kind(4, 600, **arguments)


def test_deepbind_reads_bases():
    with pytest.raises(UserError, match="one-hot bases, 4 features a token, and got 2"):
        network_of("deepbind", {}, "tokenizer=character")


def test_deepsea_by_hand():
    torch.manual_seed(0)
    encoder = DeepSeaEncoder(4, 60, [5, 6, 7], 3, 2, 8).eval()
    values = tokens = one_hot(2, 60)
    values = values.transpose(1, 2)
    convolutions = [layer for layer in encoder.convolutions if isinstance(layer, nn.Conv1d)]
    for layer, pool in zip(convolutions, (2, 2, 1), strict=True):
        values = conv1d(values, layer.weight, layer.bias)
        values = torch.where(values > 0, values, 1e-6)
        values = values[..., : values.shape[2] // pool * pool].unflatten(2, (-1, pool)).amax(3)
    dense = encoder.hidden[0]
    final = values.flatten(1) @ dense.weight.T + dense.bias
    torch.testing.assert_close(encoder(tokens)[1], torch.where(final > 0, final, 1e-6))


def test_basset_by_hand():
    """Normalisation comes before the ReLU, pooling after it; in training it is that of the batch."""
    torch.manual_seed(0)
    encoder = BassetEncoder(4, 60, [5, 6], [5, 3], [3, 2], [8, 7], dropout=0.0)
    values = tokens = one_hot(6, 60)
    values = values.transpose(1, 2)
    for layer, pool in zip([encoder.convolutions[0], encoder.convolutions[4]], (3, 2), strict=True):
        values = conv1d(values, layer.weight, layer.bias)
        spread = values.var(dim=(0, 2), correction=0, keepdim=True)
        values = (values - values.mean(dim=(0, 2), keepdim=True)) / (spread + 1e-5).sqrt()
        values = values.relu()[..., : values.shape[2] // pool * pool].unflatten(2, (-1, pool)).amax(3)
    values = values.flatten(1)
    for layer in (encoder.hidden[0], encoder.hidden[4]):
        values = values @ layer.weight.T + layer.bias
        values = (values - values.mean(0)) / (values.var(0, correction=0) + 1e-5).sqrt()
        values = values.relu()
    torch.testing.assert_close(encoder(tokens)[1], values)


def test_basset_trains_on_a_last_batch_of_one():
    encoder = BassetEncoder(4, 60, [5, 6], [5, 3], [3, 2], [8, 7])
    assert encoder(one_hot(1, 60))[1].isfinite().all()


def test_danq_by_hand():
    """Each direction's LSTM step by step, with Keras' single bias a gate; ReLU before the pooling."""
    torch.manual_seed(0)
    encoder = DanQEncoder(4, 60, 5, 4, 3, 6, 8).eval()
    tokens = one_hot(2, 60)
    values = conv1d(tokens.transpose(1, 2), encoder.scan.weight, encoder.scan.bias).relu()
    values = values[..., :57].unflatten(2, (19, 3)).amax(3)
    weights = dict(encoder.recurrence.named_parameters())
    both = []
    for suffix, order in (("", range(19)), ("_reverse", reversed(range(19)))):
        state = cell = torch.zeros(2, 6)
        states = {}
        for position in order:
            gates = values[..., position] @ weights[f"weight_ih_l0{suffix}"].T
            gates = gates + state @ weights[f"weight_hh_l0{suffix}"].T + weights[f"bias_ih_l0{suffix}"]
            enter, keep, new, leave = gates.chunk(4, dim=1)
            cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
            states[position] = state = leave.sigmoid() * cell.tanh()
        both.append(torch.stack([states[position] for position in range(19)], dim=1))
    final = torch.cat(both, dim=2).flatten(1) @ encoder.hidden.weight.T + encoder.hidden.bias
    torch.testing.assert_close(encoder(tokens)[1], final.relu())


def test_danq_starts_as_keras_has_it():
    torch.manual_seed(0)
    encoder = DanQEncoder(4, 100, channels=50, lstm_size=20)
    assert 0.049 < encoder.scan.weight.abs().max() <= 0.05
    for name, weights in encoder.recurrence.named_parameters():
        if name.startswith("bias"):
            expected = torch.zeros(80)
            expected[20:40] = float(name.startswith("bias_ih"))
            assert torch.equal(weights, expected)
        elif name.startswith("weight_hh"):
            for gate in weights.chunk(4):
                torch.testing.assert_close(gate @ gate.T, 1.1**2 * torch.eye(20), atol=1e-5, rtol=0)
        else:
            bound = (6 / (20 + 50)) ** 0.5
            assert 0.99 * bound < weights.abs().max() <= bound


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("hidden", [None, 5])
def test_deepbind_by_hand(average, hidden):
    """As the authors' scoring program: position by position, 0.25 for N and beyond the ends."""
    torch.manual_seed(0)
    encoder = DeepBindEncoder(4, 3, 4, average, hidden, both_strands=False).eval()
    tokens = one_hot(2, 11, unknown=0.2)
    detectors, thresholds = encoder.scan.weight.detach().numpy(), encoder.scan.bias.detach().numpy()
    expected = []
    for window in tokens.numpy():
        ends = np.full((3, 4), 0.25)
        bases = np.where(window.any(axis=1, keepdims=True), window, 0.25)
        bases = np.concatenate([ends, bases, ends])
        scores = np.array(
            [[(detector.T * bases[at : at + 4]).sum() for at in range(14)] for detector in detectors]
        )
        scores = np.maximum(scores + thresholds[:, None], 0)
        expected.append(np.concatenate([scores.max(1), *([scores.mean(1)] if average else [])]))
    values = torch.tensor(np.array(expected), dtype=torch.float32)
    if hidden:
        values = (values @ encoder.hidden[0].weight.T + encoder.hidden[0].bias).relu()
    torch.testing.assert_close(encoder(tokens)[1], values)


@pytest.mark.parametrize("average", [False, True])
def test_deepbind_takes_the_better_strand(average):
    torch.manual_seed(0)
    form = SMALL["deepbind"] | {"average_pooling": average}
    network = network_of("deepbind", form).eval()
    single = network_of("deepbind", form | {"both_strands": False}).eval()
    single.load_state_dict(network.state_dict())
    codes = torch.randint(5, (6, 101), dtype=torch.uint8)
    other = reverse_complement(codes)
    torch.testing.assert_close(network(codes), network(other))
    assert not torch.allclose(single(codes), single(other))
    pooled = []
    for encoder in (network.encoder, single.encoder):
        encoder.hidden = nn.Identity()
        pooled.append([encoder(network.tokenizer(strand))[1][:, :8] for strand in (codes, other)])
    torch.testing.assert_close(pooled[0][0], torch.maximum(*pooled[1]))
