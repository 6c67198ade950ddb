"""The wheel holds what it needs, and trains where nothing else is installed."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed without a word on warnings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the sources, so that nothing is left behind in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, source)
    for name in ("genome_lm", "hydra_plugins", "conf"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source, cwd=out)
    (path,) = out.glob("genome_lm-*.whl")
    return path


def test_contents(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
    assert {name.partition("/")[0] for name in names} == {"genome_lm", "hydra_plugins", info}
    sources = {
        str(path.relative_to(ROOT))
        for package in ("genome_lm", "hydra_plugins")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    configuration = {
        f"genome_lm/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")
    }
    assert "genome_lm/assets/hg19_chr20.h5" in sources
    assert "genome_lm/conf/train.yaml" in configuration
    assert {name for name in names if not name.startswith(info)} == sources | configuration
    assert f"{info}/entry_points.txt" in names
    assert wheel.stat().st_size < 12_000_000


def test_the_installed_wheel_trains_in_an_empty_folder(wheel, tmp_path):
    environment, folder = tmp_path / "venv", tmp_path / "empty"
    folder.mkdir()
    venv.create(environment, with_pip=False, symlinks=True)
    (site,) = environment.glob("lib/python*/site-packages")
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        environment,
        "install",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=folder,
    )
    # Dependencies are those of these tests; a plain path, so that no editable install is found through it.
    (site / "dependencies.pth").write_text(
        f"import sys; sys.path.append({sysconfig.get_path('purelib')!r})\n"
    )
    program = environment / "bin" / "genome-lm"
    python = environment / "bin" / "python"
    where = run(python, "-c", "import genome_lm; print(genome_lm.__file__)", cwd=folder)
    assert Path(where.strip()).is_relative_to(environment)
    tiny = (
        "trainer.limit_train_batches=2",
        "trainer.limit_val_batches=1",
        "trainer.max_epochs=1",
        "trainer.threads=1",
        "data.batch_size=8",
        "data.context_bp=100",
        "model.encoder.hidden_size=4",
    )
    shown = run(program, "train", *tiny, cwd=folder)
    assert "hg19_chr20.h5 (hg19): 37,492 train and 6,510 valid windows" in shown
    assert len(list(folder.glob("runs/*_bigru/checkpoints/best.ckpt"))) == 1
    assert {path.name for path in folder.iterdir()} == {"runs"}
