"""The benchmark of the GPU path: its networks are those of conf/, its data have a signal, no Hydra."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from models import compose_model
from omegaconf import OmegaConf

from genome_lm.metrics import auroc

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PARTS = ("tokenizer", "stem", "window_features", "head")


@pytest.fixture
def script(monkeypatch):
    """Imports a script of the folder by name; those that it brings along leave with it."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["bigru", "bigru_light", "mingru", "bimingru", "report"])
def test_networks_are_those_of_the_configuration(name, script):
    benchmarked = script("gpu_models").MODELS[name]
    if name == "report":
        with initialize_config_dir(str(BENCHMARKS.parent / "conf"), version_base="1.3"):
            composed = compose("train", ["experiment=poster"])
    else:
        composed = compose_model(name)
    composed = OmegaConf.to_container(composed, resolve=True, enum_to_str=True)
    expected = {part: composed[part] for part in PARTS} | {"encoder": composed["model"]["encoder"]}
    assert benchmarked.parts == expected
    assert benchmarked.strands == composed["data"]["reverse_complement"]


def test_the_plain_optimizer_is_that_of_the_report(script):
    plain = script("gpu_loops").PLAIN_ADAM
    with initialize_config_dir(str(BENCHMARKS.parent / "conf"), version_base="1.3"):
        composed = OmegaConf.to_container(
            compose("train", ["experiment=poster"]), resolve=True, enum_to_str=True
        )
    assert {key: getattr(plain, key) for key in composed["optimizer"]} == composed["optimizer"]


@pytest.mark.parametrize("signal", [False, True])
def test_simulated_data(script, signal):
    data = script("gpu_data").simulated(1500, 100, 100, 13, signal=signal)
    assert (len(data.windows_of("train")), len(data.windows_of("valid"))) == (1500, 100)
    assert data.packed_labels.shape == (1600, 2)
    assert not (data.packed_labels[:, 1] >> 5).any()  # bits beyond the last task
    assert 0.02 < data.labels(data.windows_of("train")).mean() < 0.2
    windows = data.bases(np.arange(data.n_windows), 100)
    value = sum(windows[:, at : at + 97].astype(int) * 4 ** (3 - at) for at in range(4))
    counts = np.stack([np.bincount(row, minlength=256) for row in value]) > 0
    best = [np.nanmax(auroc(np.repeat(present[:, None].astype(float), 13, 1), data.labels(np.arange(1600))))
            for present in counts.T]  # fmt: skip
    assert (max(best) > 0.68) == signal


def test_runs_without_hydra_omegaconf_and_wandb(tmp_path):
    """As on a bare GPU machine; their import fails here."""
    blocked = ["hydra", "omegaconf", "wandb"]
    output = tmp_path / "gpu.json"
    arguments = ["gpu.py", "--models", "report", "--batches", "8", "--windows", "64", "--seconds", "2"]
    arguments += ["--threads", "1", "--output", str(output)]
    program = (
        f"import sys, runpy; sys.modules.update(dict.fromkeys({blocked}));"
        f"sys.path.insert(0, {str(BENCHMARKS)!r}); sys.argv = {arguments};"
        f"runpy.run_path({str(BENCHMARKS / 'gpu.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| report | 100 | 8 |" in done.stdout
    (speed,) = json.loads(output.read_text())["speed"]
    assert speed["own"]["windows_per_second"] > 0
    assert speed["plain"]["windows_per_second"] > 0
    assert 0 < speed["own"]["busy"] <= 1.1
