"""minGRU and minLSTM are the recurrences of Feng et al. (2024), step by step, in float32 and in bf16."""

import pytest
import torch
from torch import Tensor, nn

from genome_lm.encoders import minimal
from genome_lm.encoders.minimal import MinimalEncoder
from genome_lm.encoders.scan import gated_scan
from genome_lm.errors import UserError

CELLS = pytest.mark.parametrize("cell", ["mingru", "minlstm"])


def layer_by_steps(layer: nn.Module, read: Tensor, reverse: bool) -> Tensor:
    """A layer as the paper writes it, over [batch, length, features], one step after the other."""
    state = torch.zeros(len(read), layer.candidate.out_features, dtype=read.dtype)
    states = [state] * read.shape[1]
    for step in range(read.shape[1])[::-1] if reverse else range(read.shape[1]):
        token = read[:, step]
        taken = torch.sigmoid(layer.input_gate(token))
        kept = 1 - taken
        if layer.forget_gate is not None:
            forget = torch.sigmoid(layer.forget_gate(token))
            taken, kept = taken / (taken + forget), forget / (taken + forget)
        state = kept * state + taken * layer.candidate(token)
        states[step] = state
    return torch.stack(states, dim=1)


def encoder_by_steps(encoder: MinimalEncoder, tokens: Tensor) -> Tensor:
    """Windows over the tokens, layers, norms and residual connections, written out plainly."""
    batch, length, _ = tokens.shape
    nothing = torch.zeros_like(tokens[:, :1])
    states = torch.zeros(batch, length, encoder.width)
    for number in range(len(encoder.forward_layers)):
        parts = []
        directions = [(encoder.forward_layers, False)]
        if encoder.bidirectional:
            directions.append((encoder.backward_layers, True))
        for layers, reverse in directions:
            if number == 0:
                shifts = range(encoder.kernel_size) if reverse else range(1 - encoder.kernel_size, 1)
                rows = [
                    [tokens[:, [t + by]] if 0 <= t + by < length else nothing for by in shifts]
                    for t in range(length)
                ]
                read = torch.cat([torch.cat(row, dim=2) for row in rows], dim=1)
            else:
                read = encoder.norms[number - 1](states)
            parts.append(layer_by_steps(layers[number], read, reverse))
        new = torch.cat(parts, dim=2)
        states = states + new if number and encoder.residual else new
    assert states.shape == (batch, length, encoder.width)
    return states


def shaken(encoder: MinimalEncoder) -> MinimalEncoder:
    """Larger weights than at the start, so that the gates move."""
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return encoder.eval()


@CELLS
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 1, "kernel_size": 1},
        {"num_layers": 3},
        {"num_layers": 2, "kernel_size": 6, "norm": "rms"},
        {"num_layers": 2, "norm": "none", "residual": False},
    ],
)
def test_states_and_gradients_are_those_of_the_steps(cell, bidirectional, options):
    """To 1e-5 of the largest value in float32, over 23 tokens."""
    torch.manual_seed(0)
    encoder = shaken(MinimalEncoder(5, cell, 6, bidirectional=bidirectional, **options))
    tokens = torch.randn(3, 23, 5, requires_grad=True)
    weight = torch.randn(3, 23, encoder.width)
    expected = encoder_by_steps(encoder, tokens)
    states, final = encoder(tokens)
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(final[:, :6], states[:, -1, :6])
    if bidirectional:
        torch.testing.assert_close(final[:, 6:], states[:, 0, 6:])
    wanted = [tokens, *encoder.parameters()]
    there = torch.autograd.grad((expected * weight).sum(), wanted)
    here = torch.autograd.grad((states * weight).sum(), wanted)
    for found, right in zip(here, there, strict=True):
        assert (found - right).abs().max() <= 1e-5 * right.abs().max()


@CELLS
def test_a_thousand_tokens_in_float32_and_under_autocast(cell):
    """float32 within 1e-5 of float64; bf16 products (8 bits of precision) within 2% of the largest state.

    A recurrence that ran in bf16 would lose a weight of 1/1000 beside 1 altogether.
    """
    torch.manual_seed(1)
    encoder = MinimalEncoder(4, cell, 16, num_layers=2, bidirectional=True, memory=1000).eval()
    tokens = nn.functional.one_hot(torch.randint(4, (2, 1000)), 4).float()
    exact = encoder_by_steps(encoder.double(), tokens.double()).detach()
    plain = encoder.float()(tokens)[0]
    assert (plain - exact).abs().max() <= 1e-5 * exact.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder(tokens)[0]
    assert mixed.dtype == torch.float32
    error = (mixed - exact).abs().max() / exact.abs().max()
    assert 1e-5 < error <= 0.02  # more than nothing: the products were bf16


@CELLS
def test_the_way_of_other_devices_gives_the_same(cell, monkeypatch):
    """Off the CPU the scan works at once instead of in blocks."""
    torch.manual_seed(2)
    encoder = shaken(MinimalEncoder(4, cell, 8, bidirectional=True))
    tokens = torch.randn(2, 90, 4)
    expected = encoder(tokens)[0]

    def at_once(gates, candidates, *, reverse):
        return gated_scan(gates, candidates, reverse=reverse, in_blocks=False)

    monkeypatch.setattr(minimal, "gated_scan", at_once)
    torch.testing.assert_close(encoder(tokens)[0], expected, rtol=1e-5, atol=5e-6)


def test_extreme_gates_of_minlstm_are_finite():
    """Both gates 0 in float32: their ratio still decides."""
    encoder = MinimalEncoder(1, "minlstm", 1, num_layers=1, kernel_size=1)
    (layer,) = encoder.forward_layers
    with torch.no_grad():
        for linear, bias in ((layer.forget_gate, -200.0), (layer.input_gate, -200.0), (layer.candidate, 3.0)):
            linear.weight.zero_()
            linear.bias.fill_(bias)
    states, final = encoder(torch.zeros(1, 4, 1))
    assert states.flatten().tolist() == [1.5, 2.25, 2.625, 2.8125]  # equal gates: half of either
    final.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.parametrize(("cell", "parts"), [("mingru", 2), ("minlstm", 3)])
@pytest.mark.parametrize("directions", [1, 2])
def test_parameter_count(cell, parts, directions):
    """The paper's count, O(2 d_h d_x) for minGRU and O(3 d_h d_x) for minLSTM, with biases and norms."""
    encoder = MinimalEncoder(7, cell, 5, 2, directions == 2, kernel_size=3)
    width = 5 * directions
    first, second, norm = parts * width * (7 * 3 + 1), parts * width * (width + 1), 2 * width
    assert sum(parameter.numel() for parameter in encoder.parameters()) == first + second + norm


@CELLS
@pytest.mark.parametrize("memory", [2, 32, 1000])
def test_memories_at_the_start(cell, memory):
    """Without input a feature forgets with the time constants asked for, from 2 to `memory`, log-spaced."""
    encoder = MinimalEncoder(3, cell, 9, num_layers=1, kernel_size=1, memory=memory).double()
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.endswith("weight"):
                parameter.zero_()
            elif "candidate" in name:
                parameter.fill_(1.0)
        first = encoder(torch.zeros(1, 1, 3, dtype=torch.float64))[1][0]  # the weight of one new token
    spaced = [2 * (memory / 2) ** (feature / 8) for feature in range(9)]
    torch.testing.assert_close(1 / first, torch.tensor(spaced, dtype=torch.float64), rtol=1e-4, atol=0)


def seen_by(state: Tensor, tokens: Tensor) -> list[bool]:
    (gradient,) = torch.autograd.grad(state.sum(), tokens, retain_graph=True)
    return (gradient[0].abs().sum(dim=1) > 0).tolist()


@CELLS
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (3, False), (1, True)])
def test_causal_states_see_one_side_only(cell, layers, bidirectional):
    torch.manual_seed(3)
    encoder = MinimalEncoder(3, cell, 4, layers, bidirectional, kernel_size=3)
    tokens = torch.randn(1, 7, 3, requires_grad=True)
    states = encoder.causal_states(tokens)
    for t in range(7):
        assert seen_by(states.forward[0, t], tokens) == [place <= t for place in range(7)]
        if bidirectional:
            assert seen_by(states.backward[0, t], tokens) == [place >= t for place in range(7)]
    assert (states.backward is None) is not bidirectional
    assert states.forward.shape == (1, 7, 4)


def test_two_directions_and_two_layers_are_no_language_model():
    with pytest.raises(UserError, match=r"cannot be trained as a language model.*num_layers=1 or model"):
        MinimalEncoder(3, num_layers=2, bidirectional=True).causal_states(torch.zeros(1, 4, 3))


def test_dropout_is_between_layers_and_only_in_training():
    torch.manual_seed(4)
    tokens = torch.randn(2, 9, 3)
    one, two = (MinimalEncoder(3, num_layers=layers, dropout=0.5) for layers in (1, 2))
    assert torch.equal(one(tokens)[0], one(tokens)[0])
    assert not torch.equal(two(tokens)[0], two(tokens)[0])
    assert torch.equal(two.eval()(tokens)[0], two(tokens)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "gru"}, "cell is 'gru'; expected mingru or minlstm"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"kernel_size": 0}, "kernel_size is 0"),
        ({"memory": 1}, "memory is 1; expected at least 2"),
        ({"norm": "batch"}, "norm is 'batch'; expected layer, rms or none"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UserError, match=message):
        MinimalEncoder(4, **arguments)
