"""Search spaces: Hydra's grammar as distributions, and what cannot be searched is refused."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from genome_lm.errors import UserError
from genome_lm.tuning.space import Dimension, read_space


def only(text: str) -> Dimension:
    (dimension,) = read_space({"key": text}, ()).dimensions
    return dimension


@pytest.mark.parametrize(
    ("written", "distribution", "extremes"),
    [
        ("interval(0.5, 12)", FloatDistribution(0.5, 12.0), ["0.5", "12.0"]),
        ("tag(log, interval(1e-4, 1e-2))", FloatDistribution(1e-4, 1e-2, log=True), ["0.0001", "0.01"]),
        ("int(interval(8, 64))", IntDistribution(8, 64), ["8", "64"]),
        ("tag(log, int(interval(8, 64)))", IntDistribution(8, 64, log=True), ["8", "64"]),
        ("range(4, 8)", IntDistribution(4, 7), ["4", "7"]),
        ("range(0, 51, 10)", IntDistribution(0, 50, step=10), ["0", "50"]),
        ("range(5, 0, -2)", IntDistribution(1, 5, step=2), ["1", "5"]),
        ("range(0.0, 0.5, 0.1)", FloatDistribution(0.0, 0.4, step=0.1), ["0.0", "0.4"]),
        ("choice(kmer, kmer_bag)", CategoricalDistribution(("kmer", "kmer_bag")), ["kmer", "kmer_bag"]),
        ("gru,lstm", CategoricalDistribution(("gru", "lstm")), ["gru", "lstm"]),
        (
            "choice([max], [max, mean])",
            CategoricalDistribution(("[max]", "[max,mean]")),
            ["[max]", "[max,mean]"],
        ),
    ],
)
def test_every_form_of_the_grammar(written, distribution, extremes):
    dimension = only(written)
    assert dimension.distribution == distribution
    assert dimension.written == written
    assert dimension.extremes() == [f"key={each}" for each in extremes]


@settings(deadline=None)
@given(st.floats(1e-30, 1e30))
def test_a_number_drawn_reads_back_from_its_override_as_the_same(value):
    override = only("interval(1e-30, 1e30)").override(value)
    assert OverridesParser.create().parse_override(override).value() == value


def test_steps_that_do_not_add_up_in_binary_are_written_as_the_range_has_them():
    assert only("range(0.0, 1.0, 0.1)").text(0.1 + 0.2) == "0.3"


def test_the_command_line_fixes_replaces_and_adds():
    entries = {"a": "range(0, 3)", "b": "choice(x, y)", "c": 5, "d": True}
    space = read_space(entries, ["b=x", "a=interval(1, 2)", "model=gru,lstm", "+e=1"])
    assert [each.key for each in space.dimensions] == ["a", "model"]
    assert space.dimensions[0].distribution == FloatDistribution(1.0, 2.0)
    assert space.fixed == ("c=5", "d=true", "b=x", "+e=1")
    overrides = space.overrides({"a": 1.25, "model": "lstm"})
    assert overrides == ["c=5", "d=true", "b=x", "+e=1", "a=1.25", "model=lstm"]


@pytest.mark.parametrize(
    ("entries", "arguments", "message"),
    [
        ({"a": "interval(3, 1)"}, (), r"a=interval\(3, 1\): expected interval\(START, END\), both finite"),
        ({"a": "interval(0, inf)"}, (), "both finite"),
        ({"a": "interval(nan, 1)"}, (), "both finite"),
        ({"a": "tag(log, interval(0, 1))"}, (), "more than 0 for log"),
        ({"a": "tag(lg, interval(1, 2))"}, (), "the tag lg is unknown; expected log"),
        ({"a": "tag(log, range(1, 3))"}, (), "a range is drawn from evenly"),
        ({"a": "range(3, 3)"}, (), "is empty; expected START before STOP"),
        ({"a": "range(1, nan)"}, (), "expected finite numbers"),
        ({"a": "range(0, inf)"}, (), "expected finite numbers"),
        ({"a": "range(1, 5, 0)"}, (), "a step other than 0"),
        ({"a": "range(0.5, 1.5, 0.0)"}, (), "a step other than 0"),
        ({"a": "range(0, 1e9)"}, (), "more than 10,000 values"),
        ({}, ("a=range(1,4),2",), "cannot"),
        ({"a": "choice(1, 1)"}, (), "one or more different options"),
        ({"a": "interval(1"}, (), r"cannot read 'a=interval\(1'"),
        ({"a": "interval(x, y)"}, (), "cannot read"),
        ({"a": ["max"]}, (), r"a is \['max'\]; expected a text"),
        ({"a": None}, (), "a is None; expected a text"),
        ({"a": 3}, (), "searches nothing"),
        ({}, (), "searches nothing"),
        ({}, ("a=1,2", "a=3,4"), "a is given twice"),
    ],
)
def test_what_cannot_be_searched_is_refused(entries, arguments, message):
    with pytest.raises(UserError, match=message):
        read_space(entries, arguments)
