"""A few hundred damaged files to every reader; benchmarks/fuzz.py has a million."""

import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import fuzz
import fuzz_oracles
from fuzz_binary import binary_readers
from fuzz_mutations import mutate
from fuzz_reader import Reader, Wrong
from fuzz_text import text_readers

from genome_lm.errors import UserError

SLOWER = {
    "summary.json",
    "config.yaml",
    "checkpoint, archive",
    "checkpoint, pickle",
    "checkpoint, description",
    "MATLAB 5",
}
TEXT = {*text_readers(), "safetensors"} - SLOWER


def test_every_reader_has_a_plan():
    assert {*text_readers(), *binary_readers()} == set(fuzz.PLAN)
    assert sum(fuzz.PLAN.values()) >= 1000
    assert set(fuzz.PLAN) >= fuzz.GUIDED | fuzz.CONTAINED


@cache
def made(name: str) -> tuple[Reader, list[bytes]]:
    reader = fuzz.reader_of(name)
    return reader, reader.seeds()


def check(name: str, draw) -> None:
    """One mutated input: refused in one line, or read rightly."""
    reader, seeds = made(name)
    data = mutate(draw.choice(seeds), draw, seeds, reader.words)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader.prepare(Path(folder))
        path = Path(folder) / reader.file
        path.write_bytes(reader.wrap(data))
        message = ""
        try:
            reader.read(path, data)
        except UserError as error:
            message = str(error)
        assert "\n" not in message


@pytest.mark.parametrize("name", sorted(TEXT))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.randoms(use_true_random=False))
def test_text(name, draw):
    check(name, draw)


@pytest.mark.parametrize("name", sorted(SLOWER))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.randoms(use_true_random=False))
def test_binary(name, draw):
    check(name, draw)


@pytest.mark.parametrize("name", sorted(TEXT | SLOWER))
def test_seeds_are_sound(name, tmp_path):
    """So that what is refused above is refused for its damage."""
    reader, seeds = made(name)
    reader.prepare(tmp_path)
    for seed in seeds:
        (tmp_path / reader.file).write_bytes(reader.wrap(seed))
        reader.read(tmp_path / reader.file, seed)


@pytest.mark.parametrize(
    ("name", "data", "broken"),
    [
        ("BED", b"chr1\t5\t9\n", {"bed": lambda data, lengths: [("chr1", 5, 8, [])]}),
        ("FASTA", b">a\nAC\n", {"fasta": lambda data: {"a": [0, 2]}}),
        ("FASTA", b">a\nAC\n", {"fasta": lambda data: None}),
    ],
)
def test_a_wrong_answer_would_be_noticed(tmp_path, monkeypatch, name, data, broken):
    """The oracle disagrees on purpose."""
    for function, replacement in broken.items():
        monkeypatch.setattr(fuzz_oracles, function, replacement)
    (tmp_path / "input").write_bytes(data)
    with pytest.raises(Wrong):
        made(name)[0].read(tmp_path / "input", data)
