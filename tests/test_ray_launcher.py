"""The launcher on Ray where Ray itself is not needed; benchmarks/launchers.py runs it in earnest."""

import builtins
import logging
import math
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from small_run import TINY, run_command

from genome_lm.errors import UserError
from genome_lm.sweeping import ray_launcher


class RayError(Exception):
    """As ray.exceptions has it."""


def fake(answer) -> SimpleNamespace:
    return SimpleNamespace(get=answer, init=answer, exceptions=SimpleNamespace(RayError=RayError))


def test_a_job_whose_process_dies_leaves_its_reason_and_the_others_go_on(tmp_path, caplog):
    def dead(_):
        raise RayError("The worker died\nunexpectedly")

    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path), "subdir": "3_gru"}}})
    with caplog.at_level(logging.ERROR):
        result = ray_launcher._result(fake(dead), object(), config)
    assert math.isnan(result.return_value)
    assert (tmp_path / "3_gru/error.txt").read_text() == "RayError: The worker died unexpectedly\n"
    assert "job 3_gru failed: The worker died unexpectedly" in caplog.text
    done = JobReturn(status=JobStatus.COMPLETED)
    assert ray_launcher._result(fake(lambda _: done), object(), config) is done


def test_its_own_ray_is_small_and_a_cluster_is_taken_as_it_is():
    given = []
    ray = fake(lambda **arguments: given.append(arguments))
    ray_launcher._start(ray, {"address": None, "num_cpus": 2})
    ray_launcher._start(ray, {"address": "auto", "num_cpus": None})
    assert given[0]["num_cpus"] == 2
    assert given[0]["object_store_memory"] == ray_launcher.OBJECT_STORE_BYTES
    assert given[1] == {"address": "auto", "num_cpus": None}


def test_a_cluster_that_does_not_answer_is_one_line():
    def refused(**_):
        raise ConnectionError("Could not find any running Ray instance.\nStart one")

    with pytest.raises(
        UserError, match=r"Could not find any running Ray instance\.; check hydra\.launcher\.init"
    ):
        ray_launcher._start(fake(refused), {"address": "auto"})


def test_without_ray_one_line_says_what_to_install(small_file, tmp_path, monkeypatch, capsys):
    original = builtins.__import__

    def absent(name, *more):
        if name == "ray":
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
        return original(name, *more)

    monkeypatch.setattr(builtins, "__import__", absent)
    shared = (*TINY, f"data.path={small_file}", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert run_command("train", "-m", *shared, "hydra/launcher=ray", "seed=0,1") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'genome-lm[sweeps]'" in line
