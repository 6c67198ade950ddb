"""The language network: which bases it predicts, that it has not seen them, its loss and its perplexity."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from models import MODELS, network_of

from genome_lm.encoders.recurrent import RecurrentEncoder
from genome_lm.errors import UserError
from genome_lm.language.module import LanguageModule, next_base_loss
from genome_lm.language.network import LanguageNetwork, Prediction
from genome_lm.metrics.next_base import NextBaseCrossEntropy
from genome_lm.optimizer import OptimizerSettings
from genome_lm.spaced_words import SpacedWordTokenizer
from genome_lm.stems import ConvStem, NoStem
from genome_lm.tokenizers import OneHotTokenizer

LENGTH = 50

TOKENIZERS = {
    "onehot": ("tokenizer=onehot",),
    "character": ("tokenizer=character",),
    "words": ("tokenizer=kmer", "tokenizer.width=8"),
    "bags": ("tokenizer=kmer_bag", "tokenizer.width=8"),
    "spaced": ("tokenizer=spaced_bag", "tokenizer.width=8"),
    "overlapping": ("tokenizer=kmer", "tokenizer.k=4", "tokenizer.stride=2", "tokenizer.width=8"),
    "gaps": ("tokenizer=kmer", "tokenizer.k=2", "tokenizer.stride=5", "tokenizer.width=8"),
}


def language_network(model: str, *overrides: str) -> LanguageNetwork:
    parts = network_of(model, *overrides, context_bp=LENGTH)
    torch.manual_seed(0)
    return LanguageNetwork(parts.tokenizer, parts.stem, parts.encoder).eval()


PAIRS = ("tokenizer=kmer", "tokenizer.k=2", "tokenizer.stride=2", "tokenizer.width=8")


def causal_models() -> list[str]:
    """Models that can be trained as language models; the contract test says which must be."""
    names = []
    for name in MODELS:
        try:
            language_network(name, *PAIRS)
        except UserError:
            continue
        names.append(name)
    return names


CAUSAL = causal_models()


def random_codes(batch: int = 3, length: int = LENGTH, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 4, (batch, length), dtype=np.uint8))


def check_that_nothing_leaks(network: LanguageNetwork) -> None:
    """Other letters from a predicted base on leave its logits as they are; those before it do not."""
    codes = random_codes()
    other = (codes + 1 + random_codes(seed=1) % 3) % 4  # another letter everywhere
    ahead, back = network(codes)
    starts, ends = network.tokenizer.token_spans(LENGTH)
    places = ends[ends < LENGTH]
    assert network.forward_targets(LENGTH).tolist() == places.tolist()
    torch.testing.assert_close(ahead.targets, codes[:, places])
    later = logits_where(network, 0, [torch.cat([codes[:, :at], other[:, at:]], dim=1) for at in places])
    earlier = logits_where(network, 0, [torch.cat([other[:, :at], codes[:, at:]], dim=1) for at in places])
    for number in range(len(places)):
        upto = slice(number + 1)
        torch.testing.assert_close(later[number][:, upto], ahead.logits[:, upto], rtol=0, atol=1e-5)
        assert not torch.allclose(earlier[number][:, number], ahead.logits[:, number], rtol=0, atol=1e-5)
    if back is None:
        return
    places = starts[starts > 0] - 1
    torch.testing.assert_close(back.targets, codes[:, places])
    changed = [torch.cat([other[:, : at + 1], codes[:, at + 1 :]], dim=1) for at in places]
    for number, logits in enumerate(logits_where(network, 1, changed)):
        torch.testing.assert_close(logits[:, number:], back.logits[:, number:], rtol=0, atol=1e-5)


def test_a_long_word_before_short_ones_shows_no_base_either():
    """The token of the last 11 bp word reads to the end; those of the 6 bp words after it do not."""
    torch.manual_seed(0)
    tokenizer = SpacedWordTokenizer(["111111", "11100000111"], words_per_token=2, width=4)
    encoder = RecurrentEncoder(4, "gru", 5, 1, False, 0.0)
    network = LanguageNetwork(tokenizer, NoStem(tokenizer.width), encoder).eval()
    assert network.forward_targets(20).tolist() == [12, 14, 16, 18]
    codes = torch.randint(0, 4, (3, 20), dtype=torch.uint8)
    ahead = network(codes)[0]
    torch.testing.assert_close(ahead.targets, codes[:, [12, 14, 16, 18]])
    for number, place in enumerate((12, 14, 16, 18)):
        changed = codes.clone()
        changed[:, place:] = (changed[:, place:] + 1) % 4
        torch.testing.assert_close(network(changed)[0].logits[:, : number + 1], ahead.logits[:, : number + 1])


def logits_where(network: LanguageNetwork, direction: int, changed: list[torch.Tensor]):
    """Logits of one direction for each of many batches, run as one."""
    with torch.no_grad():
        return network(torch.cat(changed))[direction].logits.split(len(changed[0]))


@pytest.mark.parametrize("model", CAUSAL)
def test_no_base_that_is_predicted_was_seen(model):
    check_that_nothing_leaks(language_network(model, *PAIRS))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("model", ["bigru", "lstm"])
def test_no_tokenizer_shows_the_base(model, tokenizer):
    check_that_nothing_leaks(language_network(model, *TOKENIZERS[tokenizer], "model.encoder.hidden_size=8"))


def test_which_models_can_be_language_models():
    assert {"rnn", "gru", "lstm", "birnn", "bigru", "bilstm"} <= set(CAUSAL)
    assert language_network("gru").backward_head is None
    assert language_network("bigru").backward_head is not None
    stacked = network_of("bigru", "model.encoder.num_layers=2")
    with pytest.raises(UserError, match=r"cannot be trained as a language model.*num_layers=1"):
        LanguageNetwork(stacked.tokenizer, stacked.stem, stacked.encoder)
    tokenizer = OneHotTokenizer()
    stem = ConvStem(4, channels=4)
    with pytest.raises(UserError, match=r"ConvStem cannot be trained as a language model.*use stem=none"):
        LanguageNetwork(tokenizer, stem, RecurrentEncoder(4))


@pytest.mark.parametrize("model", sorted({*MODELS} - {*CAUSAL}))
def test_the_others_say_why_not(model):
    parts = network_of(model, n_tasks=1)
    with pytest.raises(UserError, match="cannot be trained as a language model"):
        LanguageNetwork(parts.tokenizer, parts.stem, parts.encoder)


def test_the_loss_by_hand():
    logits = torch.tensor([[[1.0, 0, 0, 0], [0, 2.0, 0, 0], [3.0, 0, 0, 0]]], requires_grad=True)
    targets = torch.tensor([[0, 2, 4]], dtype=torch.uint8)  # the last one is unknown
    expected = (math.log(math.e + 3) - 1 + math.log(math.e**2 + 3)) / 2
    loss = next_base_loss(Prediction(logits, targets))
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert torch.equal(logits.grad[0, 2], torch.zeros(4))
    metric = NextBaseCrossEntropy()
    metric.update(logits[:, :2], targets[:, :2])
    metric.update(logits[:, 2:], targets[:, 2:])
    assert metric.compute().item() == pytest.approx(expected, rel=1e-6)
    assert next_base_loss(Prediction(logits[:, 2:], targets[:, 2:])).item() == 0
    with pytest.raises(ValueError, match="do not agree"):
        metric.update(logits, targets[:, :2])


def test_a_step_averages_both_directions_and_validation_reports_each(monkeypatch):
    torch.manual_seed(0)
    network = LanguageNetwork(OneHotTokenizer(), NoStem(4), RecurrentEncoder(4, hidden_size=8, num_layers=1))
    module = LanguageModule(network, OptimizerSettings(), {"prior": math.log(4), "markov": math.log(3.5)}, {})
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: float(value.detach())}))
    codes = random_codes()
    codes[0, 5] = 4
    ahead, back = module.network(codes)
    nats = [
        -torch.log_softmax(each.logits, -1)[each.targets < 4]
        .gather(1, each.targets[each.targets < 4].long()[:, None])
        .mean()
        .item()
        for each in (ahead, back)
    ]
    loss = module.training_step(SimpleNamespace(codes=codes), 0)
    assert loss.item() == pytest.approx(sum(nats) / 2, rel=1e-6)
    module.validation_step(SimpleNamespace(codes=codes[:1]), 0)
    module.validation_step(SimpleNamespace(codes=codes[1:]), 1)
    module.on_validation_epoch_end()
    assert logged["valid/perplexity"] == pytest.approx(math.exp(nats[0]), rel=1e-5)
    assert logged["train/perplexity"] == pytest.approx(math.exp(nats[0]), rel=1e-5)
    assert logged["valid/backward_perplexity"] == pytest.approx(math.exp(nats[1]), rel=1e-5)
    assert logged["valid/both_perplexity"] == pytest.approx(math.exp(sum(nats) / 2), rel=1e-5)
    assert logged["valid/markov_perplexity"] == pytest.approx(3.5)
    assert logged["valid/skill"] == pytest.approx(1 - nats[0] / math.log(4), rel=1e-4)
