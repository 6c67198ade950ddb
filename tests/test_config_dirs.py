"""Folders of configuration by others: what would run code is refused before Hydra sees it, the rest works."""

import gc
from pathlib import Path

import pytest
from small_run import run_command

from genome_lm.config_dirs import check_config_dirs
from genome_lm.errors import UserError

EMPTIED = """\
# @package _global_
hydra:
  job_logging:
    version: 1
    handlers:
      evil: {{class: logging.FileHandler, filename: "{victim}", mode: w}}
"""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_harm_that_hydra_itself_would_do(tmp_path, capsys, monkeypatch):
    """Hydra 1.3.8 refuses to call os.system; it still opens any file for a log, and empties it."""
    victim = tmp_path / "victim"
    victim.write_text("dear")
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "nice.yaml").write_text(EMPTIED.format(victim=victim))
    # A setting that ends the run early.
    arguments = ("--config-dir", str(tmp_path / "conf"), "experiment=nice", f"runs_dir={tmp_path}", "seed=-5")
    assert run_command("train", *arguments) == 2
    assert "nice.yaml sets hydra.job_logging, which can run code" in capsys.readouterr().err
    assert victim.read_text() == "dear"
    monkeypatch.setattr("genome_lm.cli.check_config_dirs", lambda arguments: None)
    run_command("train", *arguments)
    assert victim.read_text() == "", "the trap is a real one"
    gc.collect()  # of the log that nobody closes, while the warning is expected


REFUSED = {
    "hydra/callbacks/x.yaml": "x:\n  _target_: os.system\n",
    "hydra/launcher/x.yaml": "_target_: os.system\n",
    "model/a.yaml": "# @package hydra.callbacks.x\n_target_: os.system\n",
    "model/b.yaml": "# @package _global_.hydra.callbacks.x\n_target_: os.system\n",
    "model/c.yaml": "# @package ${where}\n_target_: os.system\n",
    "model/d.yaml": "defaults:\n  - evil@hydra.callbacks.x\n",
    "model/e.yaml": "defaults:\n  - override /hydra/launcher: submitit_local\n",
    "model/f.yaml": "defaults:\n  - /hydra/callbacks: evil\n",
    "model/g.yaml": "defaults:\n  - evil@_global_.hydra.callbacks.x\n",
    "model/h.yaml": "defaults:\n  - evil@${where}\n",
    "train.yaml": "hydra:\n  searchpath: [file:///tmp]\n",
    "own.yaml": "hydra:\n  job: {env_set: {LD_PRELOAD: /tmp/x.so}}\n",
    "sub/a.yaml": "hydra:\n  launcher: {setup: [rm -rf /]}\n",
    "sub/b.yaml": "hydra: ${other}\nother: {callbacks: {}}\n",
    "sub/c.yaml": "hydra:\n  sweeper: {_target_: os.system}\n",
    "sub/d.yaml": "hydra:\n  sweeper: {params: {+hydra.callbacks.x._target_: os.system}}\n",
    "sub/e.yaml": "tune:\n  space: {allowed_packages: 'choice([os])'}\n",
    "sub/f.yaml": "allowed_packages: [os]\n",
    "sub/g.yaml": "run_name: ${oc.env:SECRET}\n",
    "sub/h.yaml": 'run_name: "${oc.\\x65nv:SECRET}"\n',
    "sub/i.yaml": "run_name: ${oc.${which}:SECRET}\nwhich: env\n",
    "sub/j.yaml": "a: [\n",
    "sub/k.yaml": "a: !!python/object/apply:os.system [true]\n",
    "sub/l.yml": "hydra.job_logging: {}\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_run_code_is_refused(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(REFUSED[name])
    for flag in (["--config-dir", str(tmp_path)], [f"-cd={tmp_path}"], [f"--config-path={tmp_path}"]):
        with pytest.raises(UserError, match=path.name) as caught:
            check_config_dirs([*flag, "seed=1"])
        assert "\n" not in str(caught.value)


def test_ordinary_files_pass(tmp_path):
    for name, text in {
        "model/wide.yaml": "name: wide\nencoder:\n  _target_: genome_lm.encoders.minimal.MinimalEncoder\n",
        "experiment/grid.yaml": "# @package _global_\ndefaults:\n  - override /model: wide\nhydra:\n"
        "  sweeper: {params: {seed: '0,1'}}\n  sweep: {dir: there}\nrun_name: ${model.name}_x\n",
        "tune/mine.yaml": "space:\n  optimizer.learning_rate: interval(1e-4,1e-2)\n",
        "empty.yaml": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    check_config_dirs(["--config-dir", str(tmp_path)])
    check_config_dirs(["hydra/launcher=submitit_local", "--cfg", "job"])  # what is typed is trusted


def test_links_in_a_circle_and_odd_files(tmp_path):
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "fine.yaml").write_text("a: 1\n")
    check_config_dirs(["--config-dir", str(tmp_path)])
    (tmp_path / "device.yaml").symlink_to(Path("/dev/zero"))
    with pytest.raises(UserError, match="is no ordinary file"):
        check_config_dirs(["--config-dir", str(tmp_path)])
