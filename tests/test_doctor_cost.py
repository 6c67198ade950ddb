"""Memory and time as the doctor tells them, from known figures and from memory really taken."""

import sys

import numpy as np
import pytest
import torch

from genome_lm.doctor.cost import Growth, Speed, Weights, check_memory, check_speed, duration
from genome_lm.doctor.finding import Level
from genome_lm.doctor.peak import peak_growth

MB = 10**6
WEIGHTS = Weights(1_000_000, averaged=True)


def test_a_line_through_two_measurements():
    line = Growth.through((10, 150), (20, 200))
    assert (line.fixed, line.per_window) == (100, 5)
    assert line.of(40) == 300
    assert line.largest(300) == 40
    assert line.largest(50) == 0
    assert Growth.through((10, 100), (20, 300)) == Growth(
        0, 15
    )  # never below nothing, through the larger one
    assert Growth.through((10, 100), (20, 50)) == Growth(50, 0)
    assert Growth.through((1, 70), (1, 70)) == Growth(70, 0)


@pytest.mark.parametrize(
    ("available", "level", "remedy"),
    [
        (2_000 * MB, Level.ok, ""),
        (1_200 * MB, Level.advice, "data.batch_size=86"),
        (1_000 * MB, Level.problem, "data.batch_size=70"),
        (100 * MB, Level.problem, "a smaller model, or data.context_bp"),
    ],
)
def test_memory_against_what_there_is(available, level, remedy):
    found = check_memory(Growth(100 * MB, 10 * MB), 50, 100, available, WEIGHTS, 7 * MB, "the machine")
    assert (found.level, found.remedy) == (level, remedy)
    assert found.text.startswith("a batch of 100 would take (measured up to 50) 1.10 GB of the")
    assert "10.0 MB a window and 0.10 GB beside" in found.text
    assert "weights 4.0 MB, gradients 4.0 MB, Adam's states 8.0 MB, their average 4.0 MB" in found.text
    assert "holds 7.0 MB" in found.text


def test_memory_that_is_not_known():
    for growth, available in ((None, 1), (Growth(1, 1), None)):
        found = check_memory(growth, 4, 4, available, Weights(1, averaged=False), 1, "the machine")
        assert found.level is Level.ok
        assert "is not measured" in found.text
        assert "average" not in found.text


def test_time_of_an_epoch_and_of_the_whole():
    found = check_speed(Speed(50, 100, 200, 32), n_train=6_000, n_valid=2_000, epochs=3, max_time=None)
    assert found.level is Level.ok
    assert found.text == (
        "100 windows/s (50 in the first epoch) in batches of 32: an epoch of 6,000 windows and 2,000 of "
        "validation takes 70.0 s, 3 epochs 4.5 min"  # 130 + 2 * 70 s
    )
    days = Speed(1, 1, None, 32)
    assert check_speed(days, 100_000, 1, 5, None).level is Level.advice
    assert check_speed(days, 100_000, 1, 5, "00:01:00:00").level is Level.ok
    assert [duration(each) for each in (90, 600, 7_200, 400_000)] == [
        "90.0 s",
        "10.0 min",
        "2.0 h",
        "4.6 days",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets the high-water mark")
def test_the_peak_of_memory_is_that_of_the_work():
    def work(n_mb: int) -> None:
        taken = np.ones(n_mb << 20, dtype=np.uint8)
        del taken

    cpu = torch.device("cpu")
    for n_mb in (256, 128):  # the smaller one after the larger one too
        grown = peak_growth(lambda n_mb=n_mb: work(n_mb), cpu)
        assert grown is not None
        assert n_mb << 20 <= grown + (4 << 20) <= (n_mb + 24) << 20
