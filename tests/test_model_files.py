"""The files of conf/model: one word chooses a model with all it needs, and the command line still wins."""

import importlib
import inspect
import pkgutil

import pytest
import torch
from models import MODELS, compose_model, description_of, network_of
from omegaconf import DictConfig, OmegaConf

import genome_lm.encoders
from genome_lm.config_files import config_dir
from genome_lm.encoders.base import Encoder, FixedLengthEncoder
from genome_lm.parts import class_from

CHARACTERS = [f"char_{cell}" for cell in ("rnn", "gru", "lstm", "bigru", "bilstm")]


def raw(name: str):
    return OmegaConf.load(config_dir() / "model" / f"{name}.yaml")


def encoder_class(name: str) -> type[Encoder]:
    return class_from("model.encoder", Encoder, dict(raw(name).encoder), ["genome_lm"])


@pytest.mark.parametrize("name", MODELS)
def test_a_file_is_named_by_its_model_and_names_every_argument(name):
    assert raw(name).name == name
    found = encoder_class(name)
    given = ["input_width", "length"] if issubclass(found, FixedLengthEncoder) else ["input_width"]
    arguments = list(inspect.signature(found).parameters)
    assert arguments[: len(given)] == given
    assert set(raw(name).encoder) - {"_target_"} == set(arguments[len(given) :])


def test_every_encoder_of_the_package_has_a_file():
    used = {encoder_class(name) for name in MODELS}
    for module in pkgutil.iter_modules(genome_lm.encoders.__path__, "genome_lm.encoders."):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(found, Encoder) and not inspect.isabstract(found):
                assert found in used


def chosen(name: str) -> dict[str, str]:
    """The groups that a model's file chooses."""
    choices = {}
    for entry in raw(name).get("defaults", []):
        if entry != "_self_":
            ((key, choice),) = entry.items()
            choices[key.removeprefix("override /").partition("@")[0]] = choice
    return choices


def assert_holds(config: DictConfig, choices: dict[str, str]) -> None:
    """Every entry of the files chosen is in the configuration."""
    plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    for group, choice in choices.items():
        expected = OmegaConf.to_container(OmegaConf.load(config_dir() / group / f"{choice}.yaml"))
        expected.pop("defaults", None)
        assert expected.items() <= plain[group].items()


@pytest.mark.parametrize("name", [name for name in MODELS if chosen(name)])
def test_its_choices_hold_until_the_command_line_makes_others(name):
    config = compose_model(name)
    assert_holds(config, chosen(name))
    others = {}
    for group, choice in chosen(name).items():
        files = sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))
        others[group] = next(file for file in files if file != choice)
    other = compose_model(name, *(f"{group}={choice}" for group, choice in others.items()))
    assert_holds(other, others)
    assert other.model == config.model


def test_an_experiment_wins_over_the_file_of_its_model():
    poster = compose_model("bigru", "experiment=poster")
    by_name = compose_model("char_lstm", "experiment=poster")
    for group in ("data", "tokenizer", "head", "optimizer"):
        assert poster[group] == by_name[group]
    assert by_name.model.encoder.cell == "lstm"


@pytest.mark.parametrize("name", CHARACTERS)
def test_the_character_models_have_the_form_of_the_report(name):
    """Two layers of 128 over embeddings of 2, 100 bp, last states; char_bigru is the poster's network."""
    config, poster = compose_model(name), compose_model("bigru", "experiment=poster")
    assert (config.tokenizer, config.data.context_bp) == (poster.tokenizer, 100)
    assert list(config.head.pooling) == ["last"]
    encoder = config.model.encoder
    assert (encoder.hidden_size, encoder.num_layers) == (128, 2)
    if name == "char_bigru":
        assert encoder == {**poster.model.encoder, "dropout": 0.0}
        network = network_of(name)
        assert sum(parameter.numel() for parameter in network.encoder.parameters()) == 397_824
        assert (network.tokens(100), network.encoder.width) == (100, 256)


def test_the_words_of_kmer_bigru_do_not_overlap():
    network = network_of("kmer_bigru")
    assert network.tokens(500) == 500 // 6
    description = description_of(compose_model("kmer_bigru"))
    assert description.tokenizer["stride"] == description.tokenizer["k"] == 6


def test_conv_bigru_reads_pools_of_a_convolution():
    network = network_of("conv_bigru")
    assert network.tokens(500) == 100
    assert network.stem(torch.zeros(1, 500, 4)).shape == (1, 100, 128)
