"""Where a run comes from: the command repeats it, the code version names the commit and changes to it."""

import json
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_run import TINY, run_command, run_folders

from genome_lm import __version__
from genome_lm import provenance as module
from genome_lm.provenance import code_version, command_line, library_versions


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A repository with a package and its configuration, all committed."""
    for name in ("package/__init__.py", "conf/train.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def version_in(checkout: Path) -> str:
    return code_version(checkout / "package", checkout / "conf")


def test_a_clean_checkout_has_its_commit(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    version, found = version_in(checkout).split("+")
    assert version == __version__
    assert len(found) >= 12
    assert commit.startswith(found)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("package/__init__.py", True),
        ("package/new.py", True),
        ("conf/train.yaml", True),
        ("notes.txt", False),  # a run does not depend on it
    ],
)
def test_changes_that_a_run_depends_on_are_told(checkout, name, changed):
    (checkout / name).write_text("two\n")
    assert version_in(checkout).endswith("+changed") is changed


def test_a_package_inside_another_project_has_not_its_commit(checkout):
    installed = checkout / "venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert code_version(installed, checkout / "conf") == __version__


def test_without_a_checkout_or_git_it_is_the_version_alone(checkout, tmp_path_factory, monkeypatch):
    assert code_version(tmp_path_factory.mktemp("plain"), checkout / "conf") == __version__
    monkeypatch.setenv("PATH", "")
    assert version_in(checkout) == __version__


def test_a_git_that_hangs_is_given_up(checkout, tmp_path, monkeypatch):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))
    monkeypatch.setattr(module, "GIT_SECONDS", 0.1)
    assert version_in(checkout) == __version__


def test_the_repository_of_a_commit_hook_is_not_taken_for_ours(checkout, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "--quiet")
    expected = version_in(checkout)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert version_in(checkout) == expected


def test_versions_are_those_installed():
    versions = library_versions()
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    for name in ("torch", "lightning", "numpy"):
        assert versions[name] == metadata.version(name)


def test_versions_need_no_heavy_import():
    code = """
import sys
from genome_lm.provenance import provenance
provenance("genome-lm train")
print({"torch", "numpy", "wandb"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@given(st.lists(st.text(st.characters(exclude_characters="\0"))), st.lists(st.text(min_size=1), max_size=2))
def test_a_shell_reads_the_command_back(overrides, folders):
    words = shlex.split(command_line("train", overrides, folders))
    assert words[:2] == ["genome-lm", "train"]
    assert words[2:] == [word for folder in folders for word in ("--config-dir", folder)] + overrides


def test_the_command_names_another_root_only():
    assert command_line("train", ["seed=1"], config_name="train") == "genome-lm train seed=1"
    assert command_line("train", [], config_name="mine") == "genome-lm train --config-name mine"


def test_the_recorded_command_repeats_the_job_of_a_sweep(small_file, tmp_path):
    """Settings of a folder of the user's own and values with spaces included."""
    mine = tmp_path / "my conf" / "model" / "narrow.yaml"
    mine.parent.mkdir(parents=True)
    gru = (module.config_dir() / "model" / "gru.yaml").read_text()
    mine.write_text(gru.replace("name: gru", "name: narrow"))
    before = datetime.now(UTC) - timedelta(seconds=1)
    common = (*TINY, "trainer.max_epochs=1", f"data.path={small_file}")
    arguments = (
        "--config-dir", str(mine.parents[1]), "-m", *common, f"runs_dir={tmp_path / 'swept'}",
        "model=gru,narrow", "seed=3", "run_name='a b'",
    )  # fmt: skip
    assert run_command("train", *arguments) == 0
    swept = run_folders(tmp_path / "swept")[1]
    result = json.loads((swept / "training.json").read_text())
    assert result["model"] == "narrow"
    assert before <= datetime.fromisoformat(result["started"]) <= datetime.now(UTC)
    assert result["code_version"].startswith(__version__)
    assert result["versions"] == library_versions()

    program, command, *words = shlex.split(result["command"])
    assert program == "genome-lm"
    assert "-m" not in words
    assert run_command(command, *words, f"runs_dir={tmp_path / 'again'}") == 0
    (again,) = run_folders(tmp_path / "again")
    repeated = json.loads((again / "training.json").read_text())
    assert repeated["model"] == "narrow"
    assert repeated["valid_perplexity"] == result["valid_perplexity"]
    assert shlex.split(repeated["command"])[2:-1] == words
