"""Tables as text, and read back."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome_lm.tables import read_tsv, to_markdown, to_tsv

# Line ends of old Macs and NUL are no part of our tables; the csv module reads them otherwise on its own.
cells = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=6)


@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_what_is_written_is_read_back(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.tsv"
        path.write_text(to_tsv([("id", "value"), *rows]), encoding="utf-8", newline="")
        assert read_tsv(path) == [{"id": first, "value": second} for first, second in rows]


@pytest.mark.parametrize("text", ["", "a\tb\n1\n", "a\tb\n1\t2\t3\n", 'a\tb\n"1\t2\n', "a\tb\n\n"])
def test_a_damaged_table_is_a_value_error(tmp_path, text):
    (tmp_path / "table.tsv").write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011 - the csv module's and zip's words
        read_tsv(tmp_path / "table.tsv")


def test_a_markdown_cell_stays_in_its_cell():
    table = to_markdown([("a", "b"), ("x|y", "two\nlines")])
    assert table.splitlines()[2] == "| x\\|y | two lines |"
