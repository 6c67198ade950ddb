"""The shipped dataset, and its exact agreement with a real slice prepared anew from the fixture."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from genome_lm.dataset.embedded import SETTINGS, main
from genome_lm.dataset.format import SPLITS, embedded_dataset_path, open_dataset
from genome_lm.dataset.prepare import prepare
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.dataset.tasks import choose_tasks

SLICE = Path(__file__).parent / "data" / "slice"
SLICE_START, SLICE_END = 47_000_000, 49_000_000


@pytest.fixture(scope="module")
def embedded():
    return open_dataset(embedded_dataset_path())


def test_counts(embedded):
    assert [len(embedded.windows_of(split)) for split in SPLITS] == [37_492, 6_510, 9_091]
    assert len(embedded.tasks) == 560
    assert embedded.tasks.selects_bins.sum() == 383
    assert len(choose_tasks(embedded, 0.01)) == 374
    assert np.count_nonzero(embedded.tasks.n_peaks == 0) == 7
    assert np.count_nonzero(np.isfinite(embedded.tasks.reference["deepsea_index"])) == 261
    assert (embedded.genome_build, embedded.window_bp, embedded.bin_bp) == ("hg19", 1000, 200)
    assert embedded.recipe == SETTINGS.as_recipe()


def test_it_is_small_and_names_no_machine(embedded):
    assert embedded.path.stat().st_size < 10_000_000
    with h5py.File(embedded.path) as file:
        names = [name.decode() for name in file["sources/name"][:]]
        texts = [str(value) for value in file.attrs.values()]
    assert names[0] == "chr20.fa.gz"
    assert len(names) == 561
    assert not any("/" in name for name in [*names, *embedded.tasks.source_file])
    assert not any("/" in text for text in texts)


def test_bins_regions_and_leaks(embedded):
    core = embedded.start + 400
    assert not np.any(core % 200)
    for split, left, right in (("test", 40_000_000, 48_000_000), ("valid", 48_000_000, 53_000_000)):
        inside = (core >= left) & (core + 200 <= right)
        np.testing.assert_array_equal(np.flatnonzero(inside), embedded.windows_of(split))
    change = np.diff(embedded.split.astype(int)) != 0
    assert np.all(np.diff(embedded.start)[change] >= 1_000)  # windows of two splits share no base
    selecting = np.flatnonzero(embedded.tasks.selects_bins)
    assert np.all(embedded.labels(np.arange(embedded.n_windows), selecting).any(axis=1))
    assert not np.any(embedded.bases(np.arange(embedded.n_windows), 200) == 4)


def test_the_slice_prepared_anew_is_the_embedded_one(embedded, tmp_path):
    """Same bases, splits and labels, window by window; tests/data/README.md says why it must be so."""
    how = PrepareSettings("hg19", test=("chr20:0-1,000,000",), valid=("chr20:1,000,000-2,000,000",))
    prepare(SLICE / "chr20_47Mb_49Mb.fa.gz", SLICE / "tracks.tsv", tmp_path / "slice.h5", how)
    piece = open_dataset(tmp_path / "slice.h5")
    tasks = np.array([embedded.tasks.id.index(task) for task in piece.tasks.id])
    assert len(tasks) == 21
    table = embedded.tasks.subset(tasks)
    for column in ("id", "cell", "target", "treatment", "group", "source_file", "accession"):
        assert getattr(piece.tasks, column) == getattr(table, column)
    np.testing.assert_array_equal(piece.tasks.selects_bins, table.selects_bins)
    for name, scores in table.reference.items():
        np.testing.assert_array_equal(piece.tasks.reference[name], scores)

    inside = np.flatnonzero((embedded.start >= SLICE_START) & (embedded.start + 1_000 <= SLICE_END))
    selected = embedded.labels(inside, tasks[table.selects_bins]).any(axis=1)
    theirs, ours = inside[selected], np.arange(piece.n_windows)
    assert len(theirs) > 1_300
    np.testing.assert_array_equal(piece.start + SLICE_START, embedded.start[theirs])
    np.testing.assert_array_equal(piece.split, embedded.split[theirs])
    assert set(piece.split) == {SPLITS.index("valid"), SPLITS.index("test")}
    np.testing.assert_array_equal(piece.labels(ours), embedded.labels(theirs, tasks))
    np.testing.assert_array_equal(piece.bases(ours, 1_000), embedded.bases(theirs, 1_000))


def test_the_recipe_as_a_command(tmp_path, capsys):
    assert main([]) == 2
    assert "SOURCE_FOLDER" in capsys.readouterr().err
    assert main([str(tmp_path), str(tmp_path / "out.h5")]) == 2
    assert capsys.readouterr().err.startswith("error: cannot read ")
    assert list(tmp_path.iterdir()) == []
