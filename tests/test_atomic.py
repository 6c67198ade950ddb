"""Files that are there whole or not at all."""

import pytest

from genome_lm.atomic import write_text
from genome_lm.errors import UserError


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "part \ud800")
    assert [each.name for each in path.parent.iterdir()] == ["file.txt"]
    assert path.read_text() == "old"


def test_a_folder_in_the_place_of_the_file_is_named_and_no_temporary_file(tmp_path):
    """The message is about the path that the user knows."""
    (tmp_path / "report.html").mkdir()
    with pytest.raises(
        UserError, match=r"^cannot write \S+/report.html: \w[^.]*; remove it or choose another$"
    ):
        write_text(tmp_path / "report.html", "text")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
