"""The dataset file: round trip, access, and refusal of everything that is not whole."""

import hashlib
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from small_genome import contents

from genome_lm.dataset.format import (
    FORMAT_VERSION,
    SPLITS,
    Dataset,
    Header,
    Piece,
    Source,
    TaskTable,
    open_dataset,
    write_dataset,
)
from genome_lm.dataset.tasks import choose_tasks
from genome_lm.errors import UserError

HEADER = Header(genome_build="toy1", window_bp=10, bin_bp=4, recipe={"bin_bp": 4, "test": ["a:0-5"]})
SOURCES = [Source("genome.fa", "ab" * 32, 123)]


def task_table(n_tasks: int) -> TaskTable:
    draw = np.random.default_rng(n_tasks)
    texts = {
        name: tuple(f"{name} é{index}" for index in range(n_tasks))
        for name in ("id", "cell", "target", "source_file", "accession")
    }
    scores = draw.random(n_tasks)
    scores[0] = np.nan
    return TaskTable(
        **texts,
        treatment=("",) * n_tasks,
        group=tuple("tf" if index % 2 else "histone" for index in range(n_tasks)),
        selects_bins=draw.random(n_tasks) < 0.5,
        n_peaks=draw.integers(0, 99, n_tasks),
        reference={"danq_auroc": scores},
    )


def pieces(n_tasks: int, seed: int = 0) -> tuple[list[Piece], np.ndarray]:
    """Two chromosomes and the labels of both, uint8 [windows, tasks]."""
    draw = np.random.default_rng(seed)
    made, labels = [], []
    for name, n_windows in (("chrA", 7), ("chrB", 5)):
        start = np.arange(n_windows) * 6 + 100
        rows = (draw.random((n_windows, n_tasks)) < 0.4).astype(np.uint8)
        made.append(
            Piece(
                chromosome=name,
                sequence=draw.integers(0, 5, n_windows * 6 + 4, dtype=np.uint8),
                offset=start - 100,
                start=start,
                split=np.arange(n_windows, dtype=np.uint8) % 3,
                packed_labels=np.packbits(rows, axis=1, bitorder="little"),
            )
        )
        labels.append(rows)
    return made, np.concatenate(labels)


@pytest.fixture
def path(tmp_path):
    write_dataset(tmp_path / "toy.h5", HEADER, task_table(11), pieces(11)[0], SOURCES)
    return tmp_path / "toy.h5"


@pytest.fixture
def dataset(path) -> Dataset:
    return open_dataset(path)


@pytest.mark.parametrize("n_tasks", [1, 8, 11])
def test_round_trip(tmp_path, n_tasks):
    made, labels = pieces(n_tasks)
    tasks = task_table(n_tasks)
    checksum = write_dataset(tmp_path / "toy.h5", HEADER, tasks, made, SOURCES)
    dataset = open_dataset(tmp_path / "toy.h5")
    assert dataset.checksum == checksum
    assert (dataset.genome_build, dataset.window_bp, dataset.bin_bp) == ("toy1", 10, 4)
    assert dataset.recipe == HEADER.recipe
    assert dataset.chromosomes == ("chrA", "chrB")
    assert dataset.chromosome.tolist() == [0] * 7 + [1] * 5
    for name in ("id", "cell", "target", "treatment", "group", "source_file", "accession"):
        assert getattr(dataset.tasks, name) == getattr(tasks, name)
    np.testing.assert_array_equal(dataset.tasks.selects_bins, tasks.selects_bins)
    np.testing.assert_array_equal(dataset.tasks.n_peaks, tasks.n_peaks)
    np.testing.assert_array_equal(dataset.tasks.reference["danq_auroc"], tasks.reference["danq_auroc"])
    every = np.arange(dataset.n_windows)
    np.testing.assert_array_equal(dataset.labels(every), labels)
    expected = [piece.sequence[at : at + 10] for piece in made for at in piece.offset]
    np.testing.assert_array_equal(dataset.bases(every, 10), expected)


def test_the_checksum_depends_on_contents_alone(tmp_path):
    made, _ = pieces(11)
    tasks = task_table(11)

    def checksum(header=HEADER, tasks=tasks, made=made, sources=SOURCES, level=4):
        return write_dataset(tmp_path / "x.h5", header, tasks, made, sources, level)

    first = checksum()
    assert checksum() == checksum(level=9) == first
    first_bytes = (tmp_path / "x.h5").read_bytes()
    checksum(level=9)
    assert (tmp_path / "x.h5").read_bytes() == first_bytes
    changed = made[0].packed_labels.copy()
    changed[0, 0] ^= 1
    others = [
        checksum(header=replace(HEADER, genome_build="toy2")),
        checksum(header=replace(HEADER, recipe={})),
        checksum(tasks=replace(tasks, cell=("other", *tasks.cell[1:]))),
        checksum(tasks=replace(tasks, reference={})),
        checksum(made=[replace(made[0], packed_labels=changed), made[1]]),
        checksum(made=made[::-1]),
        checksum(sources=[]),
    ]
    assert len({first, *others}) == 1 + len(others)


def test_access(dataset):
    windows = np.array([9, 2, 2])
    whole = dataset.bases(windows, 10)
    np.testing.assert_array_equal(dataset.bases(windows, 4), whole[:, 3:7])
    np.testing.assert_array_equal(dataset.bases(windows, 4, shift=-3), whole[:, :4])
    moved = dataset.bases(windows, 6, shift=np.array([2, -2, 0]))
    np.testing.assert_array_equal(moved, [whole[0, 4:], whole[1, :6], whole[2, 2:8]])
    tasks = np.array([10, 0, 3])
    np.testing.assert_array_equal(dataset.labels(windows, tasks), dataset.labels(windows)[:, tasks])
    for code, split in enumerate(SPLITS):
        chosen = dataset.windows_of(split)
        assert set(dataset.split[chosen]) == {code}
        np.testing.assert_allclose(dataset.positive_rate(split), dataset.labels(chosen).mean(axis=0))
    some = dataset.tasks.subset([3, 1])
    assert some.id == (dataset.tasks.id[3], dataset.tasks.id[1])
    assert len(some) == 2
    np.testing.assert_array_equal(some.reference["danq_auroc"], dataset.tasks.reference["danq_auroc"][[3, 1]])


def test_an_odd_rest_is_left_out_on_the_right(dataset):
    """10 bp windows, 7 bp of context: one base is left out before it and two behind."""
    windows = np.arange(dataset.n_windows)
    whole = dataset.bases(windows, 10)
    np.testing.assert_array_equal(dataset.bases(windows, 7), whole[:, 1:8])
    np.testing.assert_array_equal(dataset.bases(windows, 7, shift=-1), whole[:, 0:7])


@pytest.mark.parametrize(
    ("context_bp", "shift", "message"),
    [
        (11, 0, "context of 11 bp does not fit the stored windows of 10 bp"),
        (12, 0, "does not fit"),
        (0, 0, "does not fit"),
        (7, 2, "choose at most 1"),
        (4, 4, "shift of 4 bp leaves .* choose at most 3"),
        (4, np.array([0, -4]), "shift of 4 bp leaves"),
        (10, 1, "choose at most 0"),
    ],
)
def test_context_and_shift_must_fit(dataset, context_bp, shift, message):
    with pytest.raises(UserError, match=message):
        dataset.bases(np.array([0, 1]), context_bp, shift)


def test_unknown_split(dataset):
    with pytest.raises(UserError, match="split 'training' does not exist; choose one of train, valid, test"):
        dataset.windows_of("training")


def test_choose_tasks(dataset):
    rate = dataset.positive_rate("train")
    every = np.arange(len(dataset.tasks))
    np.testing.assert_array_equal(choose_tasks(dataset, 0.0), every)
    np.testing.assert_array_equal(choose_tasks(dataset, 0.4), every[rate >= 0.4])
    tf = np.array([group == "tf" for group in dataset.tasks.group])
    np.testing.assert_array_equal(choose_tasks(dataset, 0.3, groups=["tf"]), every[tf & (rate >= 0.3)])
    # Named tasks come along whatever their rate.
    named = [dataset.tasks.id[int(np.argmin(rate))]]
    np.testing.assert_array_equal(choose_tasks(dataset, 1.0, ids=named), [np.argmin(rate)])
    with pytest.raises(UserError, match=r"task id 'id é33' does not exist in .*; did you mean id é"):
        choose_tasks(dataset, 0.0, ids=["id é33"])
    with pytest.raises(UserError, match=r"group 'histon' does not exist in .*; did you mean histone"):
        choose_tasks(dataset, 0.0, groups=["histon"])
    with pytest.raises(UserError, match=r"group 'xyz' does not exist in .*; it has histone, tf"):
        choose_tasks(dataset, 0.0, groups=["xyz"])
    with pytest.raises(UserError, match="expected a share from 0 to 1"):
        choose_tasks(dataset, 1.5)
    rare = replace(dataset, packed_labels=np.zeros_like(dataset.packed_labels))
    with pytest.raises(UserError, match=r"no task has 1\.00% positives in train \(11 looked at\)"):
        choose_tasks(rare, 0.01)


def test_not_ours(tmp_path, path):
    with pytest.raises(UserError, match="does not exist"):
        open_dataset(tmp_path / "none.h5")
    with pytest.raises(UserError, match="does not exist"):
        open_dataset(tmp_path)
    (tmp_path / "text.h5").write_text("no HDF5 at all")
    with pytest.raises(UserError, match="truncated, damaged or no HDF5 file"):
        open_dataset(tmp_path / "text.h5")
    (tmp_path / "empty.h5").write_bytes(b"")
    with pytest.raises(UserError, match="no HDF5 file"):
        open_dataset(tmp_path / "empty.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(UserError, match="no dataset of ours"):
        open_dataset(tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = FORMAT_VERSION + 1
    with pytest.raises(UserError, match=r"format version 2, this program reads up to 1; upgrade"):
        open_dataset(path)


def test_truncated_anywhere(tmp_path, path):
    whole = path.read_bytes()
    for size in (1, 8, 100, len(whole) // 2, len(whole) - 1):
        cut = tmp_path / "cut.h5"
        cut.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"cut\.h5") as caught:
            open_dataset(cut)
        assert "\n" not in str(caught.value)


def redo(file: h5py.File, name: str, values: np.ndarray, **how) -> None:
    """Replace a dataset and give the new one a right digest of its own."""
    digest = open_digest(values)
    del file[name]
    file.create_dataset(name, data=values, **how).attrs["sha256"] = digest


def open_digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def edit(name, change):
    return lambda file: redo(file, name, change(file[name][...]))


def bomb(file: h5py.File) -> None:
    tail = file["labels"].shape[1:]
    for name in ("windows/offset", "windows/chromosome", "windows/start", "windows/split", "labels"):
        dtype = file[name].dtype
        del file[name]
        shape = (10**12, *tail) if name == "labels" else (10**12,)
        chunks = (1 << 16, *tail) if name == "labels" else (1 << 16,)
        file.create_dataset(name, shape, dtype, chunks=chunks, compression="gzip")


def link_out(file: h5py.File) -> None:
    del file["windows"]
    file["windows"] = h5py.ExternalLink("/etc/hostname", "/")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.__delitem__("sequence"), "sequence is missing"),
        (lambda file: file.__delitem__("tasks"), "tasks.* is missing"),
        (lambda file: file.attrs.__delitem__("window_bp"), "attribute window_bp .* is missing"),
        (lambda file: file.attrs.__setitem__("bin_bp", 11), "bins of 11 bp in windows of 10 bp"),
        (lambda file: file.attrs.__setitem__("recipe", "[1]"), "recipe of type list"),
        (lambda file: file.attrs.__setitem__("recipe", "{"), "damaged"),
        (lambda file: file.attrs.__setitem__("recipe", "[" * 50_000), "damaged"),
        (lambda file: file.attrs.__setitem__("genome_build", "toy2"), "do not agree with the content digest"),
        (
            lambda file: file["windows/start"].__setitem__(0, 99),
            "windows/start do not agree with their digest",
        ),
        (edit("windows/start", lambda values: values + 1), "do not agree with the content digest"),
        (edit("sequence", lambda values: values.astype(np.int8)), "sequence has type int8, expected uint8"),
        (edit("sequence", lambda values: values[:9]), "9 bases for 12 windows"),
        (edit("sequence", lambda values: np.tile(values, 9)), "bases for 12 windows"),
        (edit("labels", lambda values: values[:, :1]), r"labels has shape \(12, 1\), expected \(12, 2\)"),
        (edit("windows/split", lambda values: values[:-1]), r"windows/split has shape \(11,\)"),
        (edit("tasks/cell", lambda values: values[:-1]), "tasks/cell has shape"),
        (edit("tasks/id", lambda values: np.arange(11.0)), "expected text of fixed length"),
        (edit("sources/bytes", lambda values: np.append(values, 1)), "sources/bytes has shape"),
        (bomb, r"claims .* bytes and stores 0"),
        (link_out, "windows/offset is missing"),
    ],
)
def test_damaged_files(path, damage, message):
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(UserError, match=message) as caught:
        open_dataset(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequence": np.full(46, 5, dtype=np.uint8)}, "base code 5"),
        ({"offset": np.arange(7) * 6 + 100}, "a window lies outside the stored bases"),
        ({"offset": np.arange(7) * 6 - 1}, "a window lies outside the stored bases"),
        ({"split": np.full(7, 3, dtype=np.uint8)}, "split code 3"),
        ({"packed_labels": np.full((7, 2), 255, dtype=np.uint8)}, "label bits beyond the last task"),
        ({"start": np.arange(7)[::-1].copy()}, "not in genome order"),
        ({"chromosome": "chrB"}, "chromosome names are empty or not unique"),
    ],
)
def test_files_with_right_digests_and_wrong_contents(tmp_path, change, message):
    made, _ = pieces(11)
    write_dataset(tmp_path / "toy.h5", HEADER, task_table(11), [replace(made[0], **change), made[1]])
    with pytest.raises(UserError, match=message):
        open_dataset(tmp_path / "toy.h5")


def test_repeated_task_ids(tmp_path):
    tasks = replace(task_table(2), id=("same", "same"))
    write_dataset(tmp_path / "toy.h5", HEADER, tasks, pieces(2)[0])
    with pytest.raises(UserError, match="task ids are empty or not unique"):
        open_dataset(tmp_path / "toy.h5")


def test_failed_writing_leaves_the_old_file(tmp_path, path):
    before = path.read_bytes()

    def failing():
        yield pieces(11)[0][0]
        raise UserError("the source broke off")

    with pytest.raises(UserError, match="broke off"):
        write_dataset(path, HEADER, task_table(11), failing())
    with pytest.raises(UserError, match="no windows to write"):
        write_dataset(path, HEADER, task_table(11), [])
    assert path.read_bytes() == before
    assert contents(tmp_path) == {"toy.h5"}


def test_a_copy_elsewhere_has_the_same_checksum(tmp_path, path, dataset):
    shutil.copy(path, tmp_path / "copy.h5")
    assert open_dataset(tmp_path / "copy.h5").checksum == dataset.checksum
