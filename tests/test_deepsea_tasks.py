"""Names of DeepSEA's tasks: the published 919, and tables of one's own."""

import numpy as np
import pytest

from genome_lm.dataset.deepsea.tasks import published_tasks_path, read_tasks
from genome_lm.dataset.reading import embedded_dataset_path, open_dataset
from genome_lm.errors import UserError


def test_the_published_tasks():
    tasks = read_tasks(None, 919, "train.mat")
    assert len(set(tasks.id)) == 919
    assert [tasks.group.count(group) for group in ("accessibility", "tf", "histone")] == [125, 690, 104]
    np.testing.assert_array_equal(tasks.selects_bins, np.arange(919) // 125 * (np.arange(919) < 815) > 0)
    assert (tasks.id[127], tasks.cell[127], tasks.target[127]) == (
        "deepsea_127_GM12878_CTCF",
        "GM12878",
        "CTCF",
    )
    assert (tasks.cell[918], tasks.target[918]) == ("Osteoblasts", "H3K9me3")
    assert tasks.treatment[14] == "IFNa4h"
    assert [index for index, cell in enumerate(tasks.cell) if not cell] == [576]


def test_the_published_tasks_agree_with_the_embedded_tracks():
    """Two lists of independent origin: scores tell which track of the embedded dataset a feature is."""
    embedded = open_dataset(embedded_dataset_path()).tasks
    published = read_tasks(None, 919, "train.mat")
    known = dict(zip(published.source_file, range(919), strict=True))
    both = [(task, known[name]) for task, name in enumerate(embedded.source_file) if name in known and name]
    assert len(both) > 250
    for task, feature in both:
        assert embedded.reference["deepsea_auroc"][task] == pytest.approx(
            published.reference["deepsea_auroc"][feature], abs=1e-5, nan_ok=True
        )
        assert embedded.group[task] == published.group[feature]
        assert embedded.cell[task].lower() == published.cell[feature].lower()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("task_id\na\n", "no column 'index'"),
        ("index\n12\n", r"line 2: index '12'; expected 0 to 11"),
        ("index\n-1\n", r"line 2: index '-1'"),
        ("index\n\u0662\n", "expected 0 to 11"),
        ("index\n3\n3\n", "line 3: index 3 was used on line 2"),
        ("index\ttask_id\n1\ta\n2\ta\n", "line 3: task id 'a' stands for tasks 1 and 2"),
        ("index\ttask_id\n1\tdeepsea_0002\n", "line 2: task id 'deepsea_0002' stands for tasks 1 and 2"),
        ("index\ttask_id\n1\ta/b\n", "line 2: task id 'a/b'"),
        ("index\ttask_id\n1\n", "line 2: 1 columns, the header has 2"),
        ("", "no tasks"),
    ],
)
def test_tables_of_tasks_that_are_wrong(tmp_path, table, message):
    (tmp_path / "names.tsv").write_text(table)
    with pytest.raises(UserError, match=message):
        read_tasks(tmp_path / "names.tsv", 12, "train.mat")


def test_a_table_of_tasks(tmp_path):
    (tmp_path / "names.tsv").write_text("index\ttask_id\tgroup\tscore\n7\tseven\ttf\t0.5\n2\t\t\t\n")
    tasks = read_tasks(tmp_path / "names.tsv", 9, "train.mat")
    assert tasks.id[7] == "seven"
    assert tasks.id[2] == "deepsea_0002"
    assert tasks.reference["score"][7] == 0.5
    assert np.isnan(tasks.reference["score"]).sum() == 8
    assert len(read_tasks(published_tasks_path(), 919, "train.mat").reference) == 5
