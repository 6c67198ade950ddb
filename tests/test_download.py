"""Fetching over HTTP: what is resumed, what is begun anew, and what never reaches the final name."""

import errno
import hashlib
import os
from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_server import Served, serving

from genome_lm.download import fetch as fetching
from genome_lm.download.checksum import Checksum
from genome_lm.download.fetch import Fetch
from genome_lm.errors import UserError

CONTENT = bytes(range(256)) * 40  # 10,240 bytes, no two windows of 256 alike in place
SHA256 = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())


def fetch(served, path, checksum=SHA256, tries=3):
    """What progress was told."""
    told = []
    Fetch(served.url, path, checksum, tries=tries, pause_s=0).run(lambda *now: told.append(now))
    return told


def leftovers(path):
    return {each.name.removeprefix(path.name) for each in path.parent.iterdir()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "bundle.tar.gz"


def test_a_whole_file(path):
    with serving(Served(CONTENT)) as served:
        told = fetch(served, path)
        assert path.read_bytes() == CONTENT
        assert leftovers(path) == {""}
        assert told[0] == (0, len(CONTENT))
        assert told[-1] == (len(CONTENT), len(CONTENT))
        assert len(served.requests) == 1
        fetch(served, path)  # it is there: nothing is asked for
        assert len(served.requests) == 1


@pytest.mark.parametrize(("etag", "modified"), [('"v1"', None), (None, "Mon, 02 Mar 2015 10:00:00 GMT")])
def test_a_broken_connection_goes_on_where_it_stopped(path, etag, modified):
    with serving(Served(CONTENT, etag=etag, modified=modified, breaks_after=3000, breaks=2)) as served:
        fetch(served, path)
        assert path.read_bytes() == CONTENT
        assert [each.get("Range") for each in served.requests] == [None, "bytes=3000-", "bytes=6000-"]
        assert {each.get("If-Range") for each in served.requests[1:]} == {etag or modified}


def test_a_later_run_goes_on(path):
    with serving(Served(CONTENT, breaks_after=4000, breaks=1)) as served:
        with pytest.raises(UserError, match=r"ended after 4,000 of 10,240 bytes, 1 times .* run the command"):
            fetch(served, path, tries=1)
        assert leftovers(path) == {".part", ".part.json"}
        fetch(served, path)
        assert served.requests[-1]["Range"] == "bytes=4000-"
    assert path.read_bytes() == CONTENT
    assert leftovers(path) == {""}


@pytest.mark.parametrize(
    "change",
    [
        {"etag": '"v2"'},  # changed on the server
        {"ranges": False},
        {"etag": None, "modified": None},
    ],
)
def test_begun_anew_where_it_cannot_go_on(path, change):
    """Another content behind the same address never ends up joined to the part."""
    old = bytes(reversed(CONTENT))
    with serving(Served(old, breaks_after=4000, breaks=1)) as served:
        with pytest.raises(UserError, match="ended after"):
            fetch(served, path, tries=1)
        for name, value in {"content": CONTENT, **change}.items():
            setattr(served, name, value)
        fetch(served, path)
    assert path.read_bytes() == CONTENT


def test_a_part_without_a_validator_is_not_trusted(path):
    with serving(Served(CONTENT, etag='W/"weak"', breaks_after=4000, breaks=1)) as served:
        fetch(served, path)
        assert [each.get("Range") for each in served.requests] == [None, None]
    assert path.read_bytes() == CONTENT


def test_a_part_of_another_address_is_not_trusted(path):
    with (
        serving(Served(bytes(reversed(CONTENT)), breaks_after=4000, breaks=1)) as other,
        pytest.raises(UserError, match="ended after"),
    ):
        fetch(other, path, tries=1)
    with serving(Served(CONTENT)) as served:
        fetch(served, path)
        assert "Range" not in served.requests[0]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("note", ["", "[]", "{", '{"url": 1}', '{"url": "x", "validator": 3, "n_bytes": 2}'])
def test_a_damaged_note_means_anew(path, note):
    path.parent.mkdir()
    path.with_name(path.name + ".part").write_bytes(b"rubbish")
    path.with_name(path.name + ".part.json").write_text(note)
    with serving(Served(CONTENT)) as served:
        fetch(served, path)
    assert path.read_bytes() == CONTENT


def test_a_whole_part_needs_no_second_transfer(path):
    """Killed between the last byte and the rename."""
    with serving(Served(CONTENT, breaks_after=len(CONTENT) - 1, breaks=1)) as served:
        with pytest.raises(UserError, match="ended after"):
            fetch(served, path, tries=1)
        with path.with_name(path.name + ".part").open("ab") as part:
            part.write(CONTENT[-1:])
        fetch(served, path)
        assert served.requests[-1]["Range"] == f"bytes={len(CONTENT)}-"
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [len(CONTENT) + 5, len(CONTENT) - 5])
def test_a_wrong_length_is_no_success(path, length):
    with (
        serving(Served(CONTENT, length=length, ranges=False)) as served,
        pytest.raises(UserError, match=r"ended after|has checksum"),
    ):
        fetch(served, path)
    assert not path.exists()


def test_a_server_that_gives_no_length(path):
    with serving(Served(CONTENT, length=-1)) as served:
        assert fetch(served, path)[-1] == (len(CONTENT), None)
    assert path.read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(path):
    wrong = Checksum.parse("md5:" + "0" * 32)
    with (
        serving(Served(CONTENT)) as served,
        pytest.raises(UserError, match=r"has checksum md5:\w{32}, expected md5:0{32}: removed"),
    ):
        fetch(served, path, wrong)
    assert leftovers(path) == set()


def test_a_file_already_there_is_verified_and_kept(path):
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with serving(Served(CONTENT)) as served:
        with pytest.raises(UserError, match="there already; remove it"):
            fetch(served, path)
        assert not served.requests
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_final(path, status):
    with serving(Served(CONTENT, status=status)) as served:
        with pytest.raises(UserError, match=rf"answered {status} .*mirror"):
            fetch(served, path)
        assert len(served.requests) == 1
    assert leftovers(path) == set()


def test_a_busy_server_is_asked_again(path):
    with serving(Served(CONTENT, statuses=[503, 502])) as served:
        fetch(served, path)
    assert path.read_bytes() == CONTENT
    path.unlink()
    with (
        serving(Served(CONTENT, status=503)) as served,
        pytest.raises(UserError, match=r"answered 503 .*3 times in a row"),
    ):
        fetch(served, path)


def test_no_network(path):
    with serving(Served(CONTENT)) as served:
        pass
    with pytest.raises(UserError, match=r"cannot reach 127.0.0.1 \(Connection refused\).* put it at"):
        fetch(served, path)
    assert leftovers(path) == set()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b.tar.gz", "bundle.tar.gz", "http://", ""])
def test_other_addresses_are_refused(path, url):
    with pytest.raises(UserError, match="expected one that begins with https"):
        Fetch(url, path)


def test_a_full_disk(path, monkeypatch):
    """By what the file system says, and when a write fails all the same."""
    usage = namedtuple("usage", "free")
    with serving(Served(CONTENT)) as served:
        with monkeypatch.context() as patch:
            patch.setattr(fetching.shutil, "disk_usage", lambda folder: usage(10_000))
            with pytest.raises(UserError, match=r"no room for .*bundle\.tar\.gz"):
                fetch(served, path)

        def full(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(fetching.os, "fsync", full)
            with pytest.raises(UserError, match=r"no room for .*bundle\.tar\.gz"):
                fetch(served, path)
        assert not path.exists()
        fetch(served, path)
    assert path.read_bytes() == CONTENT


def test_an_interruption_keeps_the_part(path):
    def interrupt(done, total):
        if done:
            raise KeyboardInterrupt

    with serving(Served(CONTENT)) as served:
        with pytest.raises(KeyboardInterrupt):
            Fetch(served.url, path).run(interrupt)
        assert leftovers(path) == {".part", ".part.json"}
        fetch(served, path)
    assert path.read_bytes() == CONTENT


def test_two_at_once(path):
    def second(done, total):
        with pytest.raises(UserError, match="being written by another download"):
            fetch(served, path)

    with serving(Served(CONTENT)) as served:
        Fetch(served.url, path, SHA256).run(second)
    assert path.read_bytes() == CONTENT


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 2000), max_size=4),
    change=st.booleans(),
    ranges=st.booleans(),
    checksum=st.booleans(),
)
def test_whatever_breaks_the_file_is_the_server_s(tmp_path_factory, cuts, change, ranges, checksum):
    """A changed file under a changed ETag included; without a checksum, too."""
    path = tmp_path_factory.mktemp("fetched") / "bundle.tar.gz"
    first = bytes(reversed(CONTENT)) if change else CONTENT
    with serving(Served(first, ranges=ranges)) as served:
        for cut in cuts:
            served.breaks, served.breaks_after = 1, cut
            with pytest.raises(UserError):
                fetch(served, path, tries=1)
        served.content, served.etag = CONTENT, '"v2"' if change else '"v1"'
        fetch(served, path, SHA256 if checksum else None)
    assert path.read_bytes() == CONTENT
    assert leftovers(path) == {""}


@pytest.mark.parametrize("text", ["sha256:12", "0" * 31, "sha1:" + "0" * 40, "md5:" + "0" * 64, "g" * 64, ""])
def test_what_is_no_checksum(text):
    with pytest.raises(UserError, match="expected sha256"):
        Checksum.parse(text)


@pytest.mark.parametrize("text", [str(SHA256), SHA256.digest.upper(), " SHA256:" + SHA256.digest])
def test_checksums_as_they_are_published(text):
    assert Checksum.parse(text) == SHA256
