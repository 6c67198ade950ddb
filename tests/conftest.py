"""Fixtures shared by the tests: a small real dataset, and one tiny run trained and evaluated on it."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tensors are tiny: threads would only wait for each other

import pytest
from small_run import SLICE, TINY, run_command, run_folders

from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.prepare import prepare
from genome_lm.dataset.reading import open_dataset
from genome_lm.dataset.settings import PrepareSettings


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Which files were checked is remembered here, not in the user's own folder."""
    os.environ["GENOME_LM_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real slice as a dataset file: 669 train, 144 valid and 560 test windows, 21 tasks."""
    path = tmp_path_factory.mktemp("small") / "small.h5"
    how = PrepareSettings("hg19", test=("chr20:0-500,000",), valid=("chr20:500,000-900,000",))
    prepare(SLICE / "chr20_47Mb_49Mb.fa.gz", SLICE / "tracks.tsv", path, how)
    return path


@pytest.fixture(scope="session")
def small(small_file: Path) -> Dataset:
    return open_dataset(small_file)


@pytest.fixture(scope="session")
def run(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run of two epochs; tests read it and leave it as it is."""
    runs = tmp_path_factory.mktemp("runs")
    assert run_command("train", *TINY, f"data.path={small_file}", f"runs_dir={runs}") == 0
    (folder,) = run_folders(runs)
    return folder


@pytest.fixture(scope="session")
def checkpoint(run: Path) -> Path:
    return run / "checkpoints" / "best.ckpt"
