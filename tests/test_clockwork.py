"""The clockwork recurrence against a step-by-step reference that computes everything and masks."""

import pytest
import torch
from models import network_of
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from genome_lm.encoders.clockwork import Clockwork, ClockworkEncoder
from genome_lm.errors import UserError

CONNECTIVITIES = ("slower", "faster", "full", "diagonal")
# Whether module i receives from module j, modules sorted by period.
RECEIVES = {
    "slower": lambda i, j: j >= i,
    "faster": lambda i, j: j <= i,
    "full": lambda i, j: True,
    "diagonal": lambda i, j: i == j,
}


def dense_recurrence(clockwork: Clockwork, connectivity: str) -> Tensor:
    """All recurrent weights as one matrix, [units, units], zero where there is no connection."""
    modules, size = range(len(clockwork.periods)), clockwork.module_size
    rows = []
    for i in modules:
        blocks = iter(clockwork.recurrent_weights[i].split(size, dim=1))
        row = [next(blocks) if RECEIVES[connectivity](i, j) else torch.zeros(size, size) for j in modules]
        assert next(blocks, None) is None
        rows.append(torch.cat(row, dim=1))
    return torch.cat(rows)


def masked_steps(clockwork: Clockwork, connectivity: str, tokens: Tensor) -> Tensor:
    """Equations 1 to 4 of the paper, all units at every step; those of idle modules are thrown away."""
    recurrence = dense_recurrence(clockwork, connectivity)
    inputs, biases = torch.cat(list(clockwork.input_weights)), torch.cat(list(clockwork.biases))
    periods = torch.tensor(clockwork.periods).repeat_interleave(clockwork.module_size)
    state, states = tokens.new_zeros(len(tokens), len(biases)), []
    for step in range(tokens.shape[1]):
        new = torch.tanh(tokens[:, step] @ inputs.T + state @ recurrence.T + biases)
        state = torch.where(step % periods == 0, new, state)
        states.append(state)
    return torch.stack(states, dim=1)


@pytest.fixture(autouse=True)
def double_precision():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("periods", "length"),
    [(None, 9), (None, 13), (None, 32), ([1, 3, 4, 5], 17), ([1, 2, 3, 7], 8), ([1, 10, 11, 12], 14)],
)
def test_states_and_gradients_are_those_of_the_reference(connectivity, bidirectional, periods, length):
    encoder = ClockworkEncoder(3, 2, 4, periods, connectivity, bidirectional)
    tokens = torch.randn(2, length, 3, requires_grad=True)
    states, final = encoder(tokens)
    expected = masked_steps(encoder.forward_clockwork, connectivity, tokens)
    expected_final = expected[:, -1]
    if bidirectional:
        backward = masked_steps(encoder.backward_clockwork, connectivity, tokens.flip(1)).flip(1)
        expected_final = torch.cat([expected_final, backward[:, 0]], dim=-1)
        expected = torch.cat([expected, backward], dim=-1)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(final, expected_final)
    weighting = torch.randn_like(states)
    wanted = [tokens, *encoder.parameters()]
    ours = torch.autograd.grad((states * weighting).sum() + final.sum(), wanted)
    theirs = torch.autograd.grad((expected * weighting).sum() + expected_final.sum(), wanted)
    torch.testing.assert_close(ours, theirs)
    assert all(gradient.any() for gradient in ours)


def test_a_module_holds_its_state_between_its_ticks():
    encoder = ClockworkEncoder(3, 2, 3, [1, 3, 4])
    states = encoder(torch.randn(1, 13, 3))[0][0]
    changes = (states[1:] != states[:-1]).view(12, 3, 2).all(dim=2)
    for module, period in enumerate((1, 3, 4)):
        expected = [step % period == 0 for step in range(1, 13)]
        assert changes[:, module].tolist() == expected


def test_parameter_count_by_hand():
    """8 periods of 8 units, one input, one output: 64 input weights, 36 blocks of 64, 64 biases, 64 + 1."""
    model = nn.ModuleDict({"encoder": ClockworkEncoder(1, 8, 8), "output": nn.Linear(64, 1)})
    assert sum(weights.numel() for weights in model.parameters()) == 64 + 36 * 64 + 64 + 65 == 2_497


@pytest.mark.parametrize(
    ("connectivity", "blocks"), [("slower", 10), ("faster", 10), ("full", 16), ("diagonal", 4)]
)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_weights_that_connect_nothing_do_not_exist(connectivity, blocks, bidirectional):
    encoder = ClockworkEncoder(5, 3, 4, None, connectivity, bidirectional)
    one_direction = 12 * 5 + blocks * 9 + 12
    assert sum(weights.numel() for weights in encoder.parameters()) == (1 + bidirectional) * one_direction
    assert encoder.width == 12 * (1 + bidirectional)
    assert not list(encoder.buffers())


def products(encoder: ClockworkEncoder, length: int) -> int:
    """Multiplications and additions of the matrix products that read one sequence."""
    tokens = torch.randn(1, length, 7)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(tokens)
    return counter.get_total_flops()


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_idle_modules_cost_nothing(connectivity):
    """Rows of ticking modules only, cut after the last module that any of them receives from."""
    length, size, n = 130, 4, 8
    expected = 0
    for step in range(length):
        ticking = [i for i in range(n) if step % 2**i == 0]
        expected += 2 * len(ticking) * size * 7
        if step:
            sources = max(j for i in ticking for j in range(n) if RECEIVES[connectivity](i, j)) + 1
            expected += 2 * len(ticking) * size * sources * size
    assert products(ClockworkEncoder(7, size, n, None, connectivity), length) == expected
    dense = 2 * length * (n * size) * (7 + n * size)
    assert expected < 0.27 * dense  # about 2 of 8 modules tick at a step


def test_a_module_that_hardly_ticks_hardly_costs():
    """Beside the module that always ticks, one that does so twice in 1,001 steps."""
    with_slow = products(ClockworkEncoder(7, 4, 2, [1, 1000], "faster"), 1001)
    alone = products(ClockworkEncoder(7, 4, 1), 1001)
    assert with_slow - alone == 2 * (2 * 4 * 7) + 2 * (8 * 8 - 4 * 4)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_causal_states_see_one_side(bidirectional):
    encoder = ClockworkEncoder(3, 2, 3, None, "full", bidirectional)
    tokens = torch.randn(1, 11, 3, requires_grad=True)
    found = encoder.causal_states(tokens)
    assert (found.backward is not None) == bidirectional
    for place in range(11):
        (seen,) = torch.autograd.grad(found.forward[0, place].sum(), tokens, retain_graph=True)
        assert seen[0].any(dim=1).tolist() == [step <= place for step in range(11)]
        if bidirectional:
            (seen,) = torch.autograd.grad(found.backward[0, place].sum(), tokens, retain_graph=True)
            assert seen[0].any(dim=1).tolist() == [step >= place for step in range(11)]


def test_the_longest_period_is_shorter_than_the_sequence():
    encoder = ClockworkEncoder(2, 2, 4)
    assert encoder.min_length == 9
    assert encoder(torch.randn(1, 9, 2))[0].shape == (1, 9, 8)
    for read in (encoder, encoder.causal_states):
        with pytest.raises(
            UserError, match=r"8 tokens is too short .* longest period, 8; expected at least 9"
        ):
            read(torch.randn(1, 8, 2))
    with pytest.raises(UserError, match=r"leaves 8 tokens for this encoder; it needs at least 17"):
        network_of("clockwork", "tokenizer=kmer", "tokenizer.k=4", "tokenizer.stride=4", context_bp=32)


@pytest.mark.parametrize(("name", "width"), [("clockwork", 80), ("biclockwork", 160)])
def test_the_default_context_is_long_enough(name, width):
    torch.set_default_dtype(torch.float32)
    network = network_of(name)
    assert network.encoder.width == width
    assert network(torch.zeros(2, 500, dtype=torch.uint8)).shape == (2, 5)


def test_under_autocast_the_states_stay_close():
    torch.set_default_dtype(torch.float32)
    encoder = ClockworkEncoder(4, 8, 4, None, "slower", bidirectional=True)
    tokens = torch.randn(2, 40, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states, final = encoder(tokens)
    torch.testing.assert_close(states.float(), encoder(tokens)[0], atol=0.03, rtol=0)
    final.float().sum().backward()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"module_size": 0}, r"model\.encoder\.module_size is 0"),
        ({"num_modules": 0}, r"model\.encoder\.num_modules is 0"),
        ({"connectivity": "up"}, "connectivity is 'up'; expected slower, faster, full or diagonal"),
        ({"periods": [1, 2]}, r"periods has 2 periods and num_modules is 5; .* set num_modules=2"),
        ({"num_modules": 2, "periods": [2, 4]}, r"periods is \[2, 4\]; .* the first of them 1"),
        ({"num_modules": 3, "periods": [1, 4, 4]}, r"periods is \[1, 4, 4\]; .* ascending"),
        ({"num_modules": 2, "periods": [1, 2.5]}, r"periods is \[1, 2\.5\]; expected whole numbers"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UserError, match=message):
        ClockworkEncoder(3, **arguments)
