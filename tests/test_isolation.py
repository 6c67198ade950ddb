"""Checks of files in a process of their own: what they may take, and which files are checked again."""

import os
from pathlib import Path

import harmful_checks
import pytest

from genome_lm.errors import UserError
from genome_lm.isolation import checked
from genome_lm.isolation.checked import ensure_checked
from genome_lm.isolation.client import Limits, check_in_child, limits_for
from genome_lm.isolation.identity import FileIdentity

LIMITS = Limits(cpu_seconds=1, seconds=60, memory=256 << 20)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.h5"
    path.write_bytes(b"contents")
    return path


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (harmful_checks.refuses, r"^\S+some\.h5 is not to be believed$"),
        (
            harmful_checks.hangs,
            r"some\.h5 is damaged or made to do harm: .* takes more than 1 s of computing",
        ),
        (harmful_checks.crashes, "made to do harm: reading it ended the process .SIGSEGV"),
        (harmful_checks.leaves, "made to do harm: reading it ended the process .exit code 3"),
        (harmful_checks.grows, "made to do harm: reading it takes more than 256 MB of memory"),
        (harmful_checks.stumbles, "made to do harm: reading it failed .LookupError"),
    ],
)
def test_harm_is_one_line_and_the_next_check_is_made(file, check, message):
    with pytest.raises(UserError, match=message) as caught:
        check_in_child(check, file, LIMITS)
    assert "\n" not in str(caught.value)
    check_in_child(harmful_checks.passes, file, LIMITS)


def test_waiting_without_computing_is_ended_too(file):
    with pytest.raises(UserError, match=r"takes more than 60 s of computing or 0\.5 s on the clock"):
        check_in_child(harmful_checks.waits, file, Limits(cpu_seconds=60, seconds=0.5, memory=1 << 28))


def test_what_a_library_prints_is_no_answer(file, capfd):
    check_in_child(harmful_checks.prints, file, LIMITS)
    assert capfd.readouterr() == ("", "")


def test_a_server_that_cannot_live_is_said(file):
    with pytest.raises(UserError, match=r"cannot be run .* GENOME_LM_VERIFY=here"):
        check_in_child(harmful_checks.kills_the_server, file, LIMITS)
    check_in_child(harmful_checks.passes, file, LIMITS)


def test_a_missing_file(tmp_path):
    with pytest.raises(OSError, match="none"):
        check_in_child(harmful_checks.passes, tmp_path / "none")


def test_limits_grow_with_the_file():
    small, large = limits_for(10_000), limits_for(2_000_000_000)
    assert (small.cpu_seconds, large.cpu_seconds) == (10, 110)
    assert small.seconds > 10 * small.cpu_seconds  # a busy machine is no hang
    assert small.memory == large.memory  # files are read in blocks


seen: list[Path] = []


def counted(path: Path) -> None:
    seen.append(path)


@pytest.fixture
def counting(monkeypatch, tmp_path) -> list[Path]:
    """Checks are made here and counted; a file may have changed a moment ago."""
    monkeypatch.setenv("GENOME_LM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GENOME_LM_VERIFY", "here")
    monkeypatch.setattr(checked, "_SETTLED", -(10**18))
    monkeypatch.setattr(checked, "check_in_child", lambda check, path: check(path))
    seen.clear()
    return seen


@pytest.mark.parametrize("how", ["here", "once"])
def test_a_file_that_passed_is_not_checked_again(file, counting, monkeypatch, how):
    monkeypatch.setenv("GENOME_LM_VERIFY", how)
    assert ensure_checked(file, counted) == FileIdentity.of(file)
    ensure_checked(file, counted)
    assert counting == [file]
    ensure_checked(file, harmful_checks.passes)  # another check: the first says nothing of it
    monkeypatch.setenv("GENOME_LM_VERIFY", "always")
    ensure_checked(file, counted)
    assert counting == [file, file]


def test_a_changed_file_is_checked_again_even_if_its_time_is_set_back(file, counting):
    ensure_checked(file, counted)
    before = file.stat()
    file.write_bytes(b"CONTENTS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    ensure_checked(file, counted)
    assert len(counting) == 2
    other = file.with_name("other.h5")
    other.write_bytes(b"contents")
    os.replace(other, file)
    ensure_checked(file, counted)
    assert len(counting) == 3


def test_a_refused_file_is_not_remembered(file, counting):
    for _ in range(2):
        with pytest.raises(UserError, match="not to be believed"):
            ensure_checked(file, harmful_checks.refuses)


def test_a_file_of_this_moment_is_not_remembered(file, counting, monkeypatch):
    """It could change again within one tick of its times."""
    monkeypatch.setattr(checked, "_SETTLED", 3_600 * 10**9)
    ensure_checked(file, counted)
    ensure_checked(file, counted)
    assert len(counting) == 2


def test_a_file_that_changes_meanwhile_is_refused(file, counting):
    def changes(path: Path) -> None:
        path.write_bytes(b"something longer")

    with pytest.raises(UserError, match="changed while it was checked"):
        ensure_checked(file, changes)


def test_where_nothing_can_be_remembered_files_are_checked_each_time(file, counting, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    ensure_checked(file, counted)
    ensure_checked(file, counted)
    assert len(counting) == 2


def test_an_unknown_setting(file, monkeypatch):
    monkeypatch.setenv("GENOME_LM_VERIFY", "never")
    with pytest.raises(UserError, match="GENOME_LM_VERIFY=never: expected once, always, here"):
        ensure_checked(file, counted)
