"""What the doctor says of datasets with planted faults."""

from dataclasses import replace

import numpy as np
import pytest
from planted import WINDOW_BP, Chromosome, planted, random_codes, spread

from genome_lm.dataset.contents import Dataset
from genome_lm.dna import N_CODE, reverse_complement
from genome_lm.doctor.assemblies import LENGTHS, known_assembly
from genome_lm.doctor.finding import Finding, Level
from genome_lm.doctor.genome import check_assembly, check_genome, check_names
from genome_lm.doctor.splits import check_splits, fingerprints, shared_bases
from genome_lm.doctor.tasks import check_tasks, equal_columns
from genome_lm.doctor.windows import check_unknown_bases


def half(n_windows: int, n_tasks: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (n_windows, n_tasks), dtype=np.uint8)


def named(findings: list[Finding], name: str) -> Finding:
    (found,) = (each for each in findings if each.name == name)
    return found


@pytest.fixture
def clean(tmp_path) -> Dataset:
    return planted(tmp_path / "clean.h5", [Chromosome("chr1", spread(200, 100, 100))], half(400))


def test_nothing_is_the_matter_with_a_clean_dataset(clean):
    findings = [*check_genome(clean), *check_splits(clean, WINDOW_BP), check_unknown_bases(clean, WINDOW_BP)]
    findings += check_tasks(clean, np.arange(4), 0.01)
    assert {each.level for each in findings} == {Level.ok}, findings
    assert named(findings, "windows").text == "200 train, 100 valid, 100 test"


def test_shared_bases_are_counted(tmp_path):
    """Train covers 1,000 to 1,160 and 2,000 to 2,040; valid 1,150 to 1,190 and 2,039 to 2,119; test none."""
    windows = Chromosome(
        "chr1",
        ["train"] * 4 + ["valid"] + ["train"] + ["valid"] * 2 + ["test"],
        starts=[1_000, 1_040, 1_080, 1_120, 1_150, 2_000, 2_039, 2_079, 3_000],
    )
    dataset = planted(tmp_path / "leak.h5", [windows], half(9))
    assert shared_bases(dataset, "train", "valid") == 10 + 1
    assert shared_bases(dataset, "valid", "train") == 11
    assert shared_bases(dataset, "train", "test") == shared_bases(dataset, "valid", "test") == 0
    found = named(check_splits(dataset, WINDOW_BP), "shared bases")
    assert found.level is Level.problem
    assert "11 bp of train and valid" in found.text
    assert "test" not in found.text


def test_equal_coordinates_on_two_chromosomes_are_not_shared(tmp_path):
    dataset = planted(
        tmp_path / "two.h5",
        [Chromosome("chr1", spread(5, 0, 0)), Chromosome("chr2", spread(0, 5, 5))],
        half(15),
    )
    assert shared_bases(dataset, "train", "valid") == 0


@pytest.mark.parametrize(("n_test", "level"), [(200, Level.advice), (100, Level.problem)])
def test_repeated_windows_are_counted_on_either_strand(tmp_path, n_test, level):
    word = random_codes(WINDOW_BP, seed=99)
    edit = {3: word, 260: word, 310: reverse_complement(word)}  # train, valid, test
    split = spread(200, 100, n_test)
    dataset = planted(tmp_path / "twice.h5", [Chromosome("chr1", split)], half(len(split)), edit=edit)
    findings = check_splits(dataset, WINDOW_BP)
    valid, test = named(findings, "valid windows in train"), named(findings, "test windows in train")
    assert valid.text.startswith("1 of 100 (1.00%)")
    assert valid.level is Level.advice
    assert test.text.startswith(f"1 of {n_test}")
    assert test.level is Level.advice
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genome_lm.doctor.splits.MUCH", 0.007)
        found = named(check_splits(dataset, WINDOW_BP), "test windows in train")
        assert found.level is level


def test_only_the_bases_that_are_read_count(tmp_path):
    word, other = random_codes(WINDOW_BP, seed=99), random_codes(WINDOW_BP, seed=99)
    other[0] = (other[0] + 1) % 4
    dataset = planted(
        tmp_path / "middle.h5", [Chromosome("chr1", spread(9, 9, 9))], half(27), edit={3: word, 12: other}
    )
    assert named(check_splits(dataset, WINDOW_BP), "valid windows in train").level is Level.ok
    assert named(check_splits(dataset, WINDOW_BP - 2), "valid windows in train").level is Level.problem


def test_fingerprints_differ_for_different_windows_and_agree_for_both_strands(clean):
    windows = np.arange(clean.n_windows)
    found = fingerprints(clean, windows, WINDOW_BP)
    assert len(np.unique(found)) == clean.n_windows
    codes = reverse_complement(clean.bases(windows, WINDOW_BP)).reshape(-1)
    other = replace(clean, sequence=codes, offset=windows * WINDOW_BP)
    np.testing.assert_array_equal(fingerprints(other, windows, WINDOW_BP), found)


def test_missing_splits(tmp_path):
    dataset = planted(tmp_path / "a.h5", [Chromosome("chr1", spread(9, 0, 9))], half(18))
    found = check_splits(dataset, WINDOW_BP)[0]
    assert (found.level, found.text) == (Level.problem, "9 train, 0 valid, 9 test: none to valid on")
    dataset = planted(tmp_path / "b.h5", [Chromosome("chr1", spread(9, 9, 0))], half(18))
    assert check_splits(dataset, WINDOW_BP)[0].level is Level.advice
    dataset = planted(tmp_path / "c.h5", [Chromosome("chr1", spread(0, 9, 9))], half(18))
    assert [each.level for each in check_splits(dataset, WINDOW_BP)] == [Level.problem, Level.ok]


def test_tasks_that_cannot_be_scored_or_learned(tmp_path):
    labels = half(300, 6)
    labels[100:200, 1] = 0  # no positives in valid
    labels[200:, 2] = 1  # no negatives in test
    labels[:100, 3] = 0  # none in train
    labels[100:200, 4] = 0
    labels[100:107, 4] = 1  # seven in valid
    dataset = planted(tmp_path / "tasks.h5", [Chromosome("chr1", spread(100, 100, 100))], labels)
    findings = check_tasks(dataset, np.arange(6), 0.01)
    train, valid, test = (named(findings, f"tasks in {split}") for split in ("train", "valid", "test"))
    assert (train.level, train.text[:35]) == (Level.advice, "1 without positives (task3): there ")
    assert (valid.level, valid.text[:28]) == (Level.advice, "1 without positives (task1):")
    assert (test.level, test.text[:28]) == (Level.advice, "1 without negatives (task2):")
    assert "1 tasks have fewer than 30 positives in valid" in named(findings, "thresholds").text
    assert named(findings, "thresholds").text.endswith(": task4")
    rare = named(findings, "rare tasks")
    assert rare.text.startswith(
        "6 of 6 are trained on; 1 have fewer than 1.00% positives in train, 1 of them none"
    )
    assert rare.level is Level.ok
    assert named(check_tasks(dataset, np.arange(2), 0.6), "rare tasks").level is Level.advice


def test_tasks_of_equal_labels_are_named(tmp_path):
    labels = half(60, 6)
    labels[:, 4] = labels[:, 1]
    labels[:, 5] = labels[:, 1]
    labels[:, 2:4] = 0  # two without positives are no copies of each other
    dataset = planted(tmp_path / "equal.h5", [Chromosome("chr1", spread(20, 20, 20))], labels)
    assert equal_columns(dataset, np.arange(6)) == [[1, 4, 5]]
    assert equal_columns(dataset, np.array([0, 1])) == []
    found = named(check_tasks(dataset, np.array([0, 1, 4, 5]), 0.01), "equal tasks")
    assert found.level is Level.advice
    assert found.text == "2 repeat the labels of another: task1 = task4 = task5"


def test_density_of_the_labels(tmp_path):
    labels = np.zeros((40, 5), dtype=np.uint8)
    labels[:20, 0] = 1  # 20% of train
    labels[20:25, :4] = 1  # 40% of valid
    labels[30:, :2] = 1  # 40% of test
    dataset = planted(tmp_path / "d.h5", [Chromosome("chr1", spread(20, 10, 10))], labels)
    found = named(check_tasks(dataset, np.arange(5), 0.0), "labels")
    assert found.text.startswith(
        "20.00% of train, 40.00% of valid, 40.00% of test labels are positive; 12.5% of"
    )
    assert found.level is Level.ok
    labels[20:30, :] = 1
    dataset = planted(tmp_path / "e.h5", [Chromosome("chr1", spread(20, 10, 10))], labels)
    assert named(check_tasks(dataset, np.arange(5), 0.0), "labels").level is Level.advice


def test_unknown_bases(tmp_path):
    mixed = random_codes(WINDOW_BP, 5)
    mixed[:10] = N_CODE
    edit = {0: np.full(WINDOW_BP, N_CODE, dtype=np.uint8), 1: mixed}
    dataset = planted(tmp_path / "n.h5", [Chromosome("chr1", spread(10, 10, 5))], half(25), edit=edit)
    found = check_unknown_bases(dataset, WINDOW_BP)
    assert found.level is Level.advice
    assert found.text == "5.000% of all bases are N; 2 of 25 windows have more than 10%, 1 nothing else"
    assert check_unknown_bases(dataset, 10).text.startswith(
        "4.000% of all"
    )  # the middle of the second is known


def test_coordinates_beyond_the_assembly_that_is_named(tmp_path):
    dataset = planted(
        tmp_path / "a.h5",
        [Chromosome("chr20", spread(9, 9, 9), first=63_100_000)],
        half(27),
        build="GRCh37.p13",
    )
    _, found = check_genome(dataset)
    assert found.level is Level.problem
    assert (
        "chr20 has labels up to 63,101,064, in hg19 it ends at 63,025,520; the coordinates fit hg38"
        in found.text
    )
    assert check_assembly("hg38", {"chr20": 63_100_000}).level is Level.ok
    assert check_assembly("mm10", {"20": 100}).text.startswith(
        "20 has labels up to 100, in mm10 it does not exist"
    )
    assert check_assembly("danRer11", {"chr1": 10**9}).level is Level.ok
    assert check_assembly(" ", {"chr1": 5}).level is Level.advice
    assert check_assembly("hg19", {"chrUn_gl000211": 10**9}).level is Level.ok
    # The window may be padded with N beyond the end; its labelled bin may not.
    end = LENGTHS["hg19"]["chr20"]
    assert check_assembly("hg19", {"chr20": end}).level is Level.ok
    assert check_assembly("hg19", {"chr20": end + 1}).level is Level.problem


def test_chromosome_names():
    assert check_names(("chr1", "chrUn_gl000211")).text.endswith(", with chr")
    assert check_names(("1", "X")).text.endswith(", without chr")
    assert check_names(("scaffold_1",)).text.endswith(", by names of their own")
    assert check_names(("chr1", "2")).level is Level.problem


def test_windows_without_coordinates_are_not_held_against_an_assembly(tmp_path):
    """As from DeepSEA's files: end to end, under invented names."""
    dataset = planted(
        tmp_path / "a.h5",
        [Chromosome("train.mat", spread(9, 9, 9), starts=list(range(0, 1080, 40)))],
        half(27),
    )
    (found,) = check_genome(dataset)
    assert (found.level, found.text) == (Level.ok, "hg19; the windows have no coordinates")


def test_assemblies_by_their_other_names():
    assert [known_assembly(name) for name in ("hg19", "GRCh38.p14", "b37", "mm39", "T2T-CHM13", "")] == [
        "hg19", "hg38", "hg19", "mm39", None, None
    ]  # fmt: skip
    # UCSC's and Ensembl's pages of these assemblies give these totals of the chromosomes listed.
    totals = {name: sum(lengths.values()) for name, lengths in LENGTHS.items()}
    assert totals["hg19"] == 3_095_677_412
    assert totals["hg38"] == 3_088_269_832
