"""Poolings by hand, the two heads' agreement, and the network that they complete."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from genome_lm.choices import HeadKind, NormKind, PoolingKind
from genome_lm.encoders.recurrent import RecurrentEncoder
from genome_lm.errors import UserError
from genome_lm.heads import MultitaskHead, Pooling
from genome_lm.network import Network
from genome_lm.tokenizers import CharacterTokenizer

STATES = torch.tensor([[[1.0, -4.0], [3.0, 2.0], [-1.0, 5.0]]])
FINAL = torch.tensor([[7.0, 8.0]])
RATES = torch.tensor([0.5, 0.01, 0.9, 0.2], dtype=torch.float64)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["last"], [7, 8]),
        (["mean"], [1, 1]),
        (["max"], [3, 5]),
        (["max", "last", "mean"], [3, 5, 7, 8, 1, 1]),
    ],
)
def test_poolings_by_hand(kinds, expected):
    pooling = Pooling(kinds, 2)
    assert pooling.width == len(expected)
    assert pooling(STATES, FINAL).tolist() == [expected]
    assert not list(pooling.parameters())


def test_attention_without_a_preference_is_the_mean():
    pooling = Pooling([PoolingKind.attention], 2)
    torch.nn.init.zeros_(pooling.score[2].weight)
    torch.testing.assert_close(pooling(STATES, FINAL), STATES.mean(dim=1))


def test_attention_by_hand():
    pooling = Pooling([PoolingKind.attention], 2)
    with torch.no_grad():
        pooling.score[0].weight.copy_(torch.eye(2))
        pooling.score[0].bias.zero_()
        pooling.score[2].weight.copy_(torch.tensor([[2.0, 0.0]]))  # score = 2 tanh(first feature)
    weights = torch.exp(2 * torch.tanh(STATES[0, :, 0]))
    weights /= weights.sum()
    torch.testing.assert_close(pooling(STATES, FINAL)[0], weights @ STATES[0])


@pytest.mark.parametrize("kind", list(PoolingKind))
def test_pooling_does_not_mix_sequences(kind):
    torch.manual_seed(0)
    pooling, states, final = Pooling([kind], 3), torch.randn(4, 5, 3), torch.randn(4, 3)
    torch.testing.assert_close(pooling(states, final)[2:3], pooling(states[2:3], final[2:3]))


@pytest.mark.parametrize("kinds", [[], ["last", "last"], ["median"]])
def test_wrong_poolings(kinds):
    with pytest.raises(UserError, match=r"head\.pooling is .*expected one or more, each once, of last, mean"):
        Pooling(kinds, 2)


def test_the_two_way_softmax_is_the_one_logit():
    """The cross-entropy over two classes equals the binary one on the difference, and so do gradients."""
    torch.manual_seed(0)
    head = MultitaskHead(3, RATES, HeadKind.two_way_softmax)
    pooled, labels = torch.randn(5, 3), torch.randint(0, 2, (5, 4))
    classes, logits = head.class_logits(pooled), head(pooled)
    assert (classes.shape, logits.shape) == ((5, 4, 2), (5, 4))
    torch.testing.assert_close(torch.softmax(classes, dim=-1)[..., 1], torch.sigmoid(logits))
    two = cross_entropy(classes.flatten(0, 1), labels.flatten())
    one = binary_cross_entropy_with_logits(logits, labels.float())
    torch.testing.assert_close(two, one)
    for first, second in zip(
        torch.autograd.grad(two, list(head.parameters()), retain_graph=True),
        torch.autograd.grad(one, list(head.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(first, second)

    single = MultitaskHead(3, RATES, HeadKind.one_logit)
    with torch.no_grad():
        rows = head.linear.weight.view(4, 2, 3)
        single.linear.weight.copy_(rows[:, 1] - rows[:, 0])
    torch.testing.assert_close(single(pooled), logits)


@pytest.mark.parametrize("kind", list(HeadKind))
def test_an_untrained_head_predicts_the_prior(kind):
    head = MultitaskHead(3, RATES, kind)
    torch.nn.init.zeros_(head.linear.weight)
    torch.testing.assert_close(torch.sigmoid(head(torch.randn(2, 3)).double()), RATES.expand(2, -1))


def test_rates_of_nothing_and_everything_stay_finite():
    head = MultitaskHead(1, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(
        torch.sigmoid(head.linear.bias.double()), torch.tensor([1e-7, 1 - 1e-7]).double()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "three_way"}, "head.kind is 'three_way'; expected one_logit or two_way_softmax"),
        ({"dropout": 1.0}, "head.dropout is 1.0; expected 0 <= dropout < 1"),
        ({"dropout": -0.5}, "head.dropout is -0.5"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UserError, match=message):
        MultitaskHead(2, RATES, **arguments)


def test_a_network_predicts_each_sequence_alone_and_drops_only_in_training():
    torch.manual_seed(0)
    encoder = RecurrentEncoder(2, "lstm", 4)
    pooling = Pooling([PoolingKind.last, PoolingKind.attention], encoder.width)
    head = MultitaskHead(pooling.width, RATES, dropout=0.5)
    network = Network(CharacterTokenizer(2), encoder, pooling, head, input_dropout=0.5)
    codes = torch.randint(0, 5, (3, 12), dtype=torch.uint8)
    assert not torch.equal(network(codes), network(codes))
    network.eval()
    assert network(codes).shape == (3, 4)
    torch.testing.assert_close(network(codes)[1:2], network(codes[1:2]))


def test_batch_norm_standardises_and_a_batch_of_one_does_not_break_it():
    torch.manual_seed(0)
    head = MultitaskHead(3, RATES, norm=NormKind.batch)
    pooled = 100 + 5 * torch.randn(64, 3)
    standard = (pooled - pooled.mean(dim=0)) / (pooled.var(dim=0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(head(pooled), head.linear(standard), rtol=1e-4, atol=1e-4)
    before = {name: value.clone() for name, value in head.named_buffers()}
    alone = head(pooled[:1])
    assert alone.isfinite().all()
    assert all(torch.equal(value, before[name]) for name, value in head.named_buffers())
    torch.testing.assert_close(alone, head.eval()(pooled[:1]))
    torch.testing.assert_close(head(pooled)[:1], alone)


def test_an_unknown_norm():
    with pytest.raises(UserError, match=r"head\.norm is 'layer'; expected none or batch"):
        MultitaskHead(3, RATES, norm="layer")
