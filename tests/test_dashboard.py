"""The dashboard of docs/dashboards: all that it shows is logged, and its definition is the one checked in."""

import warnings
from typing import Any

import pytest
from small_run import TINY, run_command, run_folders
from small_tracking import DASHBOARDS, finished_run, script

panels = script("panels")
offline_runs = script("offline_runs")


@pytest.fixture(scope="module")
def logged_run(small_file, tmp_path_factory) -> Any:
    """A run logged to W&B offline, trained and evaluated by the commands themselves."""
    runs = tmp_path_factory.mktemp("dashboard")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        assert run_command("train", *TINY, "logger=wandb", f"data.path={small_file}", f"runs_dir={runs}") == 0
        few = ("bootstrap.resamples=100", "bootstrap.test_resamples=1000", "baseline.contexts_bp=[]")
        assert run_command("evaluate", "evaluate.accelerator=cpu", *few, f"runs_dir={runs}") == 0
    (folder,) = run_folders(runs)
    return finished_run(folder)


def test_every_key_of_the_dashboard_is_logged(logged_run):
    assert logged_run.parts == 2
    assert panels.all_keys() - logged_run.logged == set()


def test_the_picture_is_drawn_from_the_files_of_the_runs(logged_run, tmp_path):
    draw = script("draw")
    path = tmp_path / "dashboard.png"
    draw.draw([logged_run], path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(ValueError, match="no run has what the panel"):
        draw.draw([offline_runs.OfflineRun(name="empty", config={"model": {"name": "none"}})], path)


@pytest.fixture(scope="module")
def workspace():
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # pydantic 1 validators in wandb-workspaces 0.4.13
        return script("workspace")


def test_the_definition_checked_in_is_what_is_built(workspace):
    built = workspace.definition(workspace.build("ENTITY", "PROJECT"))
    assert built == (DASHBOARDS / "workspace.json").read_text()


def test_the_workspace_names_the_same_keys(workspace):
    """Bars and curves by their key, points as summary figures; the table's key is inside its expression."""
    built = workspace.definition(workspace.build("ENTITY", "PROJECT"))
    for key in panels.all_keys():
        assert f'"{key}"' in built or f'"summary:{key}"' in built


def test_a_folder_without_an_offline_run_is_told(tmp_path):
    with pytest.raises(ValueError, match="holds no offline W&B run"):
        offline_runs.read_run(tmp_path)
