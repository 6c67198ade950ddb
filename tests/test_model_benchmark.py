"""The speed benchmark of all models reads files as Hydra does, counts rightly, compares like with like."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from models import MODELS, compose_model
from omegaconf import OmegaConf
from torch import nn

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name: str, monkeypatch):
    """A script of the folder; one of them has the name of a helper of the tests."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def files(monkeypatch):
    return load("model_files", monkeypatch)


@pytest.fixture
def steps(monkeypatch):
    return load("training_step", monkeypatch)


@pytest.fixture
def benchmark(monkeypatch):
    return load("models", monkeypatch)


@pytest.mark.parametrize("name", MODELS)
def test_files_are_read_as_hydra_composes_them(name, files):
    assert files.model_names() == MODELS
    composed = OmegaConf.to_container(compose_model(name), resolve=True, enum_to_str=True)
    expected = {group: composed[group] for group in files.GROUPS} | {"encoder": composed["model"]["encoder"]}
    assert files.configuration(name) == expected
    characters = files.configuration(name, characters=True)
    assert files.reads_characters(characters)
    assert characters == expected | {"tokenizer": characters["tokenizer"]}


@pytest.mark.parametrize(
    ("name", "width", "rival"),
    [
        ("mingru", 64, {"hidden_size": 64, "num_layers": 2, "bidirectional": False}),
        ("bimingru", 128, {"hidden_size": 64, "num_layers": 2, "bidirectional": True}),
        ("deepsea", 925, {"hidden_size": 128, "num_layers": 1, "bidirectional": False}),
    ],
)
def test_the_rival_has_the_shape_of_the_model(name, width, rival, files):
    config = files.gru_like(files.configuration(name), width, widest=128)
    assert rival.items() <= config["encoder"].items()
    network = files.network_of(config, 30, n_tasks=2)
    assert isinstance(network.encoder.recurrence, nn.GRU)
    assert network.tokens(30) == 30


def test_the_rows_name_every_model_once_and_over_bases_where_its_tokens_are_words(benchmark):
    rows, rivals = benchmark.rows_of(["mingru", "bigru_light", "kmer_bigru", "char_gru"])
    assert [row.name for row in rows] == [
        "mingru",
        "mingru, bases",
        "bigru_light",
        "bigru_light, bases",
        "kmer_bigru",
        "char_gru",
    ]
    assert {row.rival for row in rows} == set(rivals)
    assert rows[1].rival == "GRU 2 of 64"


def test_bytes_by_hand(steps):
    """100 float32 in, 100 out; a view moves nothing."""
    values = torch.ones(10, 10)
    with steps.ByteCounter() as counter:
        torch.neg(values).t()
    assert counter.total == 800


def setting_of(steps, **changes):
    settings = {
        "device": "cpu", "bf16": False, "batch": 4, "n_tasks": 3, "threads": torch.get_num_threads(),
        "seconds": 0.0, "cpu_clock": False, "count": True,
    }  # fmt: skip
    return steps.Setting(**settings | changes)


def test_a_step_is_measured(files, steps):
    """Products of a GRU of 64 over one-hot bases, forward and twice backward, and the head's."""
    config = files.gru_like(files.configuration("gru"), 64, 128)
    config["head"] = files.group_of("head", "last")
    measured = steps.measure(config, 20, setting_of(steps))
    assert measured.reason == ""
    assert measured.windows_per_second > 0
    assert measured.peak_mb > 50
    assert measured.parameters == 3 * 64 * (4 + 64 + 2) + 3 * 65
    recurrent, projected, head = 20 * 64 * 192, 20 * 4 * 192, 64 * 3
    # No gradient is wanted of the bases, and none of the state of zeros before the first of them.
    expected = 2 * 4 * (3 * recurrent + 2 * projected + 3 * head)
    assert expected - 2 * 4 * 64 * 192 <= measured.flops <= expected
    assert measured.bytes > 4 * 4 * 20 * 64


def test_a_window_too_short_has_a_reason(files, steps):
    measured = steps.measure(files.configuration("deepsea"), 40, setting_of(steps))
    assert "needs at least" in measured.reason


def made(steps, *speeds: float, **more):
    return [steps.Measured(speed, 100.0, 10, **more) for speed in speeds]


def test_the_table_by_hand(benchmark):
    """The ratio is the median of the rounds' ratios, not the ratio of the medians."""
    rows = [benchmark.Row("a", {}, "r"), benchmark.Row("b", {}, "r"), benchmark.Row("c", {}, "r")]
    found = {
        ("r", 100): made(benchmark, 1, 2, 4),
        ("a", 100): made(benchmark, 10, 2, 8, flops=1e9, bytes=4e6),
        ("b", 100): made(benchmark, 16, 16, 16, flops=1e9, bytes=4e6),
        ("c", 100): [benchmark.Measured(reason="too short")],
    }
    setting = benchmark.Setting("cpu", False, 8, 3, 1, 0.0, False, True)
    lines = benchmark.table(rows, found, 100, setting, benchmark.Roof(4e9, 1e7)).splitlines()
    assert [line.split(" | ")[0] for line in lines if line[:3] in ("| a", "| b")] == ["| b", "| a"]
    assert lines[4] == "| b | 10 | 16 | 100 | r | 2 | 8.00 | 0.002 | 50.0% | 8e-06 | 80.0% | 80.0% |"
    assert lines[5].startswith("| a | 10 | 8 | 100 | r | 2 | 2.00 |")
    assert lines[-1] == "- c: too short"


def test_growth_by_hand(benchmark):
    rows = [benchmark.Row("a", {}, "r")]
    found = {("a", 100): made(benchmark, 1000), ("r", 100): made(benchmark, 250)}
    assert benchmark.growth_table(rows, found, [100]).splitlines()[-1] == "| 100 | 1.00 | 4.00 | 4.00 |"
