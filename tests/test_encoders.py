"""The interface of the encoders, and the recurrent ones: they are what the literature describes."""

import pytest
import torch
from torch import nn

from genome_lm.encoders.base import Encoder, FixedLengthEncoder
from genome_lm.encoders.recurrent import RecurrentEncoder
from genome_lm.errors import UserError

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("cell", "gates"), GATES.items())
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_parameter_count(cell, gates, bidirectional, layers):
    """Each layer and direction: a product with the input, one with the state, and two biases, per gate."""
    directions, expected, width = 1 + bidirectional, 0, 3
    for _ in range(layers):
        expected += directions * gates * (5 * width + 5 * 5 + 2 * 5)
        width = 5 * directions
    assert count(RecurrentEncoder(3, cell, 5, layers, bidirectional)) == expected


def test_parameter_count_of_the_report():
    """Two bidirectional GRU layers of 128 over characters embedded in two dimensions."""
    first, second = 3 * 128 * (2 + 128 + 2), 3 * 128 * (256 + 128 + 2)
    assert count(RecurrentEncoder(2, "gru", 128, 2, bidirectional=True)) == 2 * (first + second) == 397_824


@pytest.mark.parametrize("cell", GATES)
def test_the_final_state_is_the_last_of_each_direction(cell):
    torch.manual_seed(1)
    encoder = RecurrentEncoder(3, cell, 4, num_layers=2, bidirectional=True).eval()
    tokens = torch.randn(2, 7, 3)
    states, final = encoder(tokens)
    torch.testing.assert_close(final[:, :4], states[:, -1, :4])  # forward: after the last token
    torch.testing.assert_close(final[:, 4:], states[:, 0, 4:])  # backward: after the first
    hidden = encoder.recurrence(tokens)[1]
    last = hidden[0] if cell == "lstm" else hidden  # of an LSTM h, not the cell state
    torch.testing.assert_close(final, torch.cat([last[-2], last[-1]], dim=1))

    forward = RecurrentEncoder(3, cell, 4, num_layers=2, bidirectional=False).eval()
    states, final = forward(tokens)
    torch.testing.assert_close(final, states[:, -1])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_which_tokens_a_state_sees(bidirectional):
    """Without a backward direction no state knows what follows."""
    torch.manual_seed(2)
    encoder = RecurrentEncoder(3, "gru", 4, num_layers=2, bidirectional=bidirectional)
    tokens = torch.randn(1, 6, 3, requires_grad=True)
    encoder(tokens)[0][0, 2].sum().backward()
    seen = tokens.grad[0].abs().sum(dim=1) > 0
    assert seen.tolist() == [True] * 3 + [bidirectional] * 3


def seen_by(state: torch.Tensor, tokens: torch.Tensor) -> list[bool]:
    """Which tokens of a single sequence a state depends on."""
    (gradient,) = torch.autograd.grad(state.sum(), tokens, retain_graph=True)
    return (gradient[0].abs().sum(dim=1) > 0).tolist()


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (3, False), (1, True)])
def test_causal_states_see_one_side_only(cell, layers, bidirectional):
    torch.manual_seed(4)
    encoder = RecurrentEncoder(3, cell, 4, layers, bidirectional)
    tokens = torch.randn(1, 6, 3, requires_grad=True)
    states = encoder.causal_states(tokens)
    assert states.forward.shape == (1, 6, 4)
    for t in range(6):
        assert seen_by(states.forward[0, t], tokens) == [place <= t for place in range(6)]
    if not bidirectional:
        assert states.backward is None
        return
    assert states.backward.shape == (1, 6, 4)
    for t in range(6):
        assert seen_by(states.backward[0, t], tokens) == [place >= t for place in range(6)]


def test_what_cannot_be_a_language_model_says_so():
    class Centred(RecurrentEncoder):
        causal_states = Encoder.causal_states

    tokens = torch.randn(1, 4, 3)
    with pytest.raises(UserError, match=r"2 layers cannot .*set model\.encoder\.num_layers=1"):
        RecurrentEncoder(3, "gru", 4, 2, bidirectional=True).causal_states(tokens)
    with pytest.raises(UserError, match="Centred cannot be trained as a language model"):
        Centred(3).causal_states(tokens)


class Flattened(FixedLengthEncoder):
    """The smallest encoder of a fixed length: one dense layer."""

    def __init__(self, input_width: int, length: int, units: int = 2) -> None:
        super().__init__(length, min_length=3)
        self.width = units
        self.dense = nn.Linear(input_width * length, units)

    def forward(self, tokens):
        self.check_length(tokens)
        final = self.dense(tokens.flatten(1))
        return final[:, None], final


def test_an_encoder_of_a_fixed_length_refuses_others():
    encoder = Flattened(3, 5)
    assert encoder(torch.randn(2, 5, 3))[0].shape == (2, 1, 2)
    assert (encoder.length, encoder.min_length) == (5, 3)
    for length in (4, 6):
        with pytest.raises(UserError, match=f"built for 5 tokens a window and got {length}"):
            encoder(torch.randn(2, length, 3))
    with pytest.raises(UserError, match=r"gets 2 tokens .* at least 3: raise data\.context_bp"):
        Flattened(3, 2)


def test_a_gru_step_by_hand():
    torch.manual_seed(3)
    encoder = RecurrentEncoder(2, "gru", 3, num_layers=1, bidirectional=False)
    kernel, tokens, state = encoder.recurrence, torch.randn(4, 2), torch.zeros(3)
    expected = []
    for token in tokens:
        reset_in, update_in, new_in = (kernel.weight_ih_l0 @ token + kernel.bias_ih_l0).chunk(3)
        reset_h, update_h, new_h = (kernel.weight_hh_l0 @ state + kernel.bias_hh_l0).chunk(3)
        update = torch.sigmoid(update_in + update_h)
        candidate = torch.tanh(new_in + torch.sigmoid(reset_in + reset_h) * new_h)
        state = (1 - update) * candidate + update * state
        expected.append(state)
    torch.testing.assert_close(encoder(tokens[None])[0][0], torch.stack(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "gruu"}, r"model\.encoder\.cell is 'gruu'; expected rnn, gru or lstm"),
        ({"hidden_size": 0}, "hidden_size 0"),
        ({"num_layers": 0}, "num_layers 0"),
        ({"dropout": 1.0}, "dropout is 1.0; expected 0 <= dropout < 1"),
        ({"dropout": -0.1}, "dropout is -0.1"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UserError, match=message):
        RecurrentEncoder(2, **arguments)


def test_dropout_between_layers_is_kept():
    assert RecurrentEncoder(2, dropout=0.3, num_layers=2).recurrence.dropout == 0.3
    assert RecurrentEncoder(2, dropout=0.3, num_layers=1).recurrence.dropout == 0.0
