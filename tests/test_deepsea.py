"""prepare source=deepsea: pairs folded and verified, tasks named, subsets repeatable, the whole way on."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_deepsea import (
    TASKS,
    WINDOW_BP,
    Made,
    mirrored,
    windows,
    write_hdf5,
    write_mat5,
    write_names,
    write_three,
)
from small_run import TINY, run_command, run_folders

from genome_lm.choices import PairPolicy
from genome_lm.dataset.contents import SPLITS
from genome_lm.dataset.deepsea import pairs, stored
from genome_lm.dataset.deepsea.pairs import draw
from genome_lm.dataset.deepsea.prepare import prepare_deepsea
from genome_lm.dataset.deepsea.settings import DeepseaSettings
from genome_lm.dataset.reading import open_dataset
from genome_lm.errors import UserError
from genome_lm.evaluation.blocks import genome_blocks

BIN_BP = 20
FLANK_BP = (WINDOW_BP - BIN_BP) // 2


@pytest.fixture
def folder(tmp_path):
    """Three files and the names of their tasks."""
    write_three(tmp_path)
    write_names(tmp_path / "names.tsv")
    return tmp_path


def how(folder, **changes):
    paths = {split: folder / f"{split}.mat" for split in SPLITS}
    return DeepseaSettings(
        **{**paths, "genome_build": "hg19", "task_names": folder / "names.tsv", "bin_bp": BIN_BP, **changes}
    )


def made_of(folder, **changes):
    """The dataset, and the summary."""
    summary = prepare_deepsea(folder / "out.h5", how(folder, **changes))
    return open_dataset(folder / "out.h5"), summary


def holds(dataset, split, made, rows=slice(None)):
    chosen = dataset.windows_of(split)
    np.testing.assert_array_equal(dataset.bases(chosen, WINDOW_BP), made.codes[rows])
    np.testing.assert_array_equal(dataset.labels(chosen), made.labels[rows])


def test_pairs_are_folded(tmp_path):
    three = write_three(tmp_path)
    write_names(tmp_path / "names.tsv")
    dataset, summary = made_of(tmp_path)
    for split, made in zip(SPLITS, three, strict=True):
        holds(dataset, split, made)
    assert (dataset.window_bp, dataset.bin_bp, dataset.genome_build) == (WINDOW_BP, BIN_BP, "hg19")
    assert dataset.recipe["pairs"] == "fold"
    assert summary.samples == (80, 20, 28)
    assert summary.windows == (40, 10, 14)
    np.testing.assert_array_equal(summary.positives, [made.labels.sum(axis=0) for made in three])
    assert "pairs folded, all verified, 0 no mirror images" in summary.text()


def test_places_are_a_bin_apart_in_file_order(folder, monkeypatch):
    """Blocks of the bootstrap are then windows in a row: 5 bins of 20 bp make 100 bp."""
    monkeypatch.setattr(pairs, "PIECE_WINDOWS", 15)
    dataset, _ = made_of(folder)
    assert dataset.chromosomes == ("train_0000", "train_0001", "train_0002", "valid_0000", "test_0000")
    for split, n in zip(SPLITS, (40, 10, 14), strict=True):
        chosen = dataset.windows_of(split)
        np.testing.assert_array_equal(dataset.start[chosen] + FLANK_BP, np.arange(n) * BIN_BP)
    blocks = genome_blocks(dataset, dataset.windows_of("train"), 5 * BIN_BP)
    np.testing.assert_array_equal(blocks.of_window, np.arange(40) // 5)


def spoiled(folder, split, change):
    """Write a split anew after `change` to its samples, forward and reverse-complement."""
    n, seed = {"train": (40, 0), "valid": (10, 1), "test": (14, 2)}[split]
    made = mirrored(windows(n, seed))
    change(made)
    if split == "train":
        write_hdf5(folder / "train.mat", split, made, chunks=(7, 2, 9))
    else:
        write_mat5(folder / f"{split}.mat", split, made)
    return made


@settings(max_examples=20, deadline=None)
@given(
    split=st.sampled_from(SPLITS),
    sample=st.floats(0, 1, exclude_max=True),
    at=st.integers(0, WINDOW_BP - 1),
    task=st.none() | st.integers(0, TASKS - 1),
)
def test_any_mismatch_is_found(tmp_path_factory, split, sample, at, task):
    """One base or one label of one sample, in either half of any file."""
    folder = tmp_path_factory.getbasetemp() / "mismatch"
    folder.mkdir(exist_ok=True)
    write_three(folder)
    write_names(folder / "names.tsv")

    def change(made):
        row = int(sample * len(made.codes))
        if task is None:
            made.codes[row, at] = (made.codes[row, at] + 1) % 5
        else:
            made.labels[row, task] ^= 1

    made = spoiled(folder, split, change)
    half = len(made.codes) // 2
    pair = int(sample * len(made.codes)) % half
    what = "sequences are no reverse complements" if task is None else "labels differ"
    with pytest.raises(
        UserError, match=rf"{split}\.mat .*samples {pair} and {half + pair} are no pair.*{what}"
    ):
        made_of(folder)
    assert not (folder / "out.h5").exists()


def test_mismatches_are_kept_when_asked_for(folder, caplog):
    def change(made):
        made.codes[3, 5] ^= 1
        made.labels[30, 2] ^= 1

    made = spoiled(folder, "train", change)
    dataset, summary = made_of(folder, pairs=PairPolicy.forward)
    holds(dataset, "train", made, slice(40))
    assert summary.mismatched == (2, 0, 0)
    assert "2 + 0 + 0 pairs" in caplog.text
    assert dataset.recipe["pairs"] == "forward"


def test_every_sample_by_itself_when_asked_for(folder):
    made = spoiled(folder, "train", lambda made: made.codes.__setitem__((3, 5), 0))
    dataset, summary = made_of(folder, pairs=PairPolicy.all)
    holds(dataset, "train", made)
    assert summary.windows == (80, 20, 28)
    assert "pairs not looked for" in summary.text()


def test_an_odd_number_of_samples(folder):
    write_mat5(folder / "valid.mat", "valid", windows(7, 1))
    with pytest.raises(UserError, match=r"7 samples make no pairs.*source\.pairs=all"):
        made_of(folder)
    assert made_of(folder, pairs=PairPolicy.all)[1].windows[1] == 7


def test_the_contents_do_not_depend_on_blocks(folder, monkeypatch):
    """Nor on how the files are stored; the same seed draws the same windows."""
    monkeypatch.setattr(pairs, "PIECE_WINDOWS", 16)
    made = mirrored(windows(40, 0))
    found = set()
    for chunks, slab in ((None, 2000), ((4, 1, 80), 1 << 26), ((60, 4, 3), 900), ((7, 2, 9), 3000)):
        monkeypatch.setattr(stored, "_SLAB_BYTES", slab)
        monkeypatch.setattr(stored, "_BLOCK_BYTES", 2 * slab)
        write_hdf5(folder / "train.mat", "train", made, chunks=chunks)
        for subset in ((None, None, None), (11, 4, 5)):
            dataset, _ = made_of(folder, subset=subset, seed=3)
            columns = (dataset.sequence, dataset.start, dataset.offset, dataset.split, dataset.packed_labels)
            found.add((subset, dataset.chromosomes, *(column.tobytes() for column in columns)))
    assert len(found) == 2


def test_a_subset(folder):
    subset = (11, 4, 5)
    three = [windows(n, seed) for seed, n in enumerate((40, 10, 14))]
    rows = {}
    for seed in (0, 0, 1):
        dataset, summary = made_of(folder, subset=subset, seed=seed)
        assert summary.windows == subset
        assert dataset.recipe["subset"] == {"train": 11, "valid": 4, "test": 5}
        assert dataset.recipe["seed"] == seed
        for code, split in enumerate(SPLITS):
            # Places are those of the whole file.
            chosen = (dataset.start[dataset.windows_of(split)] + FLANK_BP) // BIN_BP
            holds(dataset, split, three[code], chosen)
            rows.setdefault((seed, split), []).append(chosen.tolist())
    for code, split in enumerate(SPLITS):
        first, again = rows[0, split]
        assert first == again == draw((40, 10, 14)[code], subset[code], 0, code).tolist()
    assert rows[0, "train"] != rows[1, "train"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subset": (41, None, None)}, r"source\.subset\.train=41: .*has 40 pairs"),
        ({"subset": (None, 0, None)}, r"source\.subset\.valid=0: expected at least 1"),
        ({"bin_bp": 61}, "bin_bp of at most the window"),
        ({"bin_bp": 21}, "even number of flanking bases"),
        ({"bin_bp": 0}, "bin_bp=0: expected at least 1"),
        ({"seed": -1}, "seed=-1: expected at least 0"),
        ({"genome_build": " "}, "the name of the assembly"),
        ({"task_names": None}, r"12 tasks, DeepSEA has 919; give their names with source\.task_names"),
    ],
)
def test_what_is_refused(folder, changes, message):
    with pytest.raises(UserError, match=message):
        made_of(folder, **changes)
    assert not (folder / "out.h5").exists()


def test_files_that_do_not_belong_together(folder):
    write_mat5(folder / "test.mat", "test", mirrored(windows(5, 0, window_bp=40)))
    with pytest.raises(
        UserError, match=r"test\.mat .*windows of 40 bp and 12 tasks, .*train\.mat .*60 bp and 12"
    ):
        made_of(folder)
    shutil.copy(folder / "valid.mat", folder / "test.mat")
    with pytest.raises(UserError, match=r"test\.mat: no variable testxdata and testdata"):
        made_of(folder)


def test_the_draw_is_what_it_was():
    """PCG64's stream is promised to stay; these are its windows."""
    assert draw(20, 6, 0, 0).tolist() == [1, 2, 3, 11, 13, 15]
    assert sorted({len(draw(50, size, 1, 2)) for size in (0, 1, 50)}) == [0, 1, 50]
    assert draw(50, 50, 1, 2).tolist() == list(range(50))
    # Every window is as likely as any other: 400 draws of half of them.
    counts = np.bincount(np.concatenate([draw(40, 20, seed, 0) for seed in range(400)]), minlength=40)
    assert abs(counts - 200).max() < 50  # 5 standard deviations
    with pytest.raises(ValueError, match="21 of 20"):
        draw(20, 21, 0, 0)


def test_the_command(folder, capsys, monkeypatch):
    """With groups, and the keys that a source has no use for."""
    monkeypatch.chdir(folder)
    given = ["source=deepsea", "source.folder=.", "source.task_names=names.tsv", "bin_bp=20", "output=a.h5"]
    assert run_command("prepare", *given) == 0
    assert "64 windows of 60 bp" in "".join(capsys.readouterr())
    assert open_dataset(folder / "a.h5").n_windows == 64
    assert run_command("prepare", *given) == 2
    assert "a.h5 exists" in capsys.readouterr().err
    assert run_command("prepare", *given, "overwrite=true", "min_coverage=0.2") == 2
    assert "min_coverage has no effect with source=deepsea" in capsys.readouterr().err
    assert (
        run_command("prepare", "source.folder=x", "fasta=a", "manifest=b", "output=c", "genome_build=d") == 2
    )
    assert "source=deepsea" in capsys.readouterr().err
    given[0] = "source=deepsea_poster"
    assert run_command("prepare", *given, "overwrite=true") == 2
    assert "source.subset.train=80000: " in capsys.readouterr().err
    assert run_command("prepare", "source=deepsea", "output=b.h5") == 2
    assert "source.folder must be given" in capsys.readouterr().err


def test_the_whole_way(tmp_path):
    """prepare, train, evaluate, report, compare on a dataset without coordinates."""
    sizes = {"train": 400, "valid": 200, "test": 400}
    for seed, (split, n) in enumerate(sizes.items()):
        codes = windows(n, seed).codes
        labels = np.stack([(codes == task % 4).sum(axis=1) > 15 + task // 4 for task in range(TASKS)], axis=1)
        write = write_hdf5 if split == "train" else write_mat5
        write(tmp_path / f"{split}.mat", split, mirrored(Made(codes, labels.astype(np.uint8))))
    write_names(tmp_path / "names.tsv")
    prepare_deepsea(tmp_path / "out.h5", how(tmp_path))
    runs = tmp_path / "runs"
    train = (*TINY, "data.max_shift_bp=0", f"data.path={tmp_path / 'out.h5'}", f"runs_dir={runs}")
    assert run_command("train", *train) == 0
    (run,) = run_folders(runs)
    resampling = (
        "bootstrap.block_bp=[1000,2000]",
        "bootstrap.resamples=100",
        "bootstrap.test_resamples=1000",
    )
    quick = ("baseline.contexts_bp=[60]", "evaluate.threads=1", "evaluate.accelerator=cpu")
    assert run_command("evaluate", f"runs_dir={runs}", *quick, *resampling) == 0
    summary = json.loads((run / "evaluation" / "summary.json").read_text())
    assert summary["bootstrap"]["n_blocks"] == {"1000": 8, "2000": 4}  # 50 and 100 windows in a row
    assert summary["dataset"]["positions"] == "invented: number in the file times bin_bp"
    assert "invented: number in the file" in (run / "evaluation" / "summary.md").read_text()
    assert "invented: number in the file" in (run / "evaluation" / "report.html").read_text()
    tasks = (run / "evaluation" / "tasks.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in tasks[1:]] == [
        *(f"task{n}" for n in range(10)), "deepsea_0010", "deepsea_0011"
    ]  # fmt: skip
    assert run_command("compare", str(runs)) == 0
