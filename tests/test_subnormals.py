"""Numbers below float32's full precision: zeros while a training runs, and as they were afterwards."""

import subprocess
import sys

import pytest
import torch
from interrupted import training

from genome_lm.module import MultitaskModule
from genome_lm.subnormals import subnormals_as_zeros

TINY = torch.finfo(torch.float32).tiny  # the smallest number of full precision

pytestmark = pytest.mark.skipif(
    not torch.set_flush_denormal(False),
    reason="this processor has no such switch",
)


def half_of_the_smallest() -> float:
    return (torch.tensor([TINY]) / 2).item()


def test_zeros_inside_and_put_back_afterwards():
    assert half_of_the_smallest() == TINY / 2
    with subnormals_as_zeros():
        assert half_of_the_smallest() == 0
        assert (torch.tensor([TINY]) * 2).item() == TINY * 2
        with subnormals_as_zeros():
            pass
        assert half_of_the_smallest() == 0
    assert half_of_the_smallest() == TINY / 2


def test_put_back_after_an_exception():
    with pytest.raises(ZeroDivisionError), subnormals_as_zeros():
        raise ZeroDivisionError
    assert half_of_the_smallest() == TINY / 2


def test_in_all_threads_of_an_operation():
    """In a process of its own, whose threads are not started yet."""
    program = (
        "import torch; from genome_lm.subnormals import subnormals_as_zeros; torch.set_num_threads(4)\n"
        "with subnormals_as_zeros():\n"
        f"    print((torch.full((4_000_000,), {TINY!r}) / 2).count_nonzero().item())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_a_training_takes_them_as_zeros(small_file, tmp_path, monkeypatch):
    seen = []
    plain = MultitaskModule.on_after_backward

    def looked_at(self):
        seen.append(half_of_the_smallest())
        return plain(self)

    monkeypatch.setattr(MultitaskModule, "on_after_backward", looked_at)
    assert training(small_file, tmp_path / "run") == 0
    assert seen
    assert set(seen) == {0}
    assert half_of_the_smallest() == TINY / 2
