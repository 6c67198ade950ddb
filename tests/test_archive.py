"""Unpacking: what is refused, and that a refused archive leaves nothing; the download command around it."""

import gzip
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_run import run_command
from small_server import Served, serving

from genome_lm.download.archive import unpack
from genome_lm.errors import UserError

FILES = {
    "deepsea_train/train.mat": b"train" * 500,
    "deepsea_train/valid.mat": b"v",
    "deepsea_train/test.mat": b"",
}


def member(name, content=b"x", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def bundle(*members):
    """Bytes of a tar.gz of (info, content)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def whole():
    folder = tarfile.TarInfo("deepsea_train")
    folder.type = tarfile.DIRTYPE
    return bundle((folder, b""), *(member(name, content) for name, content in FILES.items()))


def unpacked(tmp_path, content, most_bytes=10_000):
    archive = tmp_path / "bundle.tar.gz"
    archive.write_bytes(content)
    return unpack(archive, tmp_path / "out", most_bytes, lambda n_bytes: None)


def left(tmp_path):
    return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} - {"bundle.tar.gz", "out"}


def test_files_and_folders(tmp_path):
    found = unpacked(tmp_path, whole())
    assert {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in found} == FILES
    assert left(tmp_path) == {"out/deepsea_train"} | {f"out/{name}" for name in FILES}


def test_permissions_are_our_own(tmp_path):
    (path,) = unpacked(tmp_path, bundle(member("a", mode=0o4777, uid=0)))
    assert path.stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (member("../evil"), "outside the destination"),
        (member("a/../../evil"), "outside the destination"),
        (member("/evil"), "absolute path"),
        (member("evil", b"", type=tarfile.SYMTYPE, linkname="/etc"), "neither a file nor a folder"),
        (member("evil", b"", type=tarfile.LNKTYPE, linkname="good"), "neither a file nor a folder"),
        (member("evil", b"", type=tarfile.FIFOTYPE), "neither a file nor a folder"),
        (member("evil", b"", type=tarfile.CHRTYPE), "neither a file nor a folder"),
        (member("evil", bytes(20_000)), "more than 10,000 bytes"),
        (member("good"), "File exists"),
        (member("evil", pax_headers={"comment": "x" * (2 << 20)}), "outside of files"),
    ],
)
def test_what_is_refused(tmp_path, bad, message):
    """Nothing is left, not even what came before it."""
    with pytest.raises(UserError, match=message) as caught:
        unpacked(tmp_path, bundle(member("good"), bad))
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == set()


def test_too_many_members(tmp_path):
    with pytest.raises(UserError, match="1,000 members"):
        unpacked(tmp_path, bundle(*(member(str(n), b"") for n in range(1_001))))
    assert left(tmp_path) == set()


def test_what_is_there_is_not_overwritten(tmp_path):
    taken = tmp_path / "out" / "deepsea_train" / "valid.mat"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"valid\.mat is there already"):
        unpacked(tmp_path, whole())
    assert taken.read_bytes() == b"mine"
    assert left(tmp_path) == {"out/deepsea_train", "out/deepsea_train/valid.mat"}


def test_no_archive_at_all(tmp_path):
    for content in (b"<html>moved</html>", gzip.compress(b"no tar"), b""):
        with pytest.raises(UserError, match="cannot be unpacked"):
            unpacked(tmp_path, content)
    assert left(tmp_path) == set()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_archive_gives_an_error_or_the_right_files(tmp_path_factory, data):
    """gzip's checksum covers every byte of the files."""
    tmp_path = tmp_path_factory.mktemp("archive")
    content = bytearray(whole())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = unpacked(tmp_path, bytes(content))
    except UserError:
        assert left(tmp_path) == set()
    else:  # a byte of gzip's own header: the time, the system
        assert {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in found} == FILES


def test_the_command(tmp_path, capsys):
    with serving(Served(whole())) as served:
        arguments = ("--url", served.url, "--output", str(tmp_path))
        assert run_command("download", *arguments, "--checksum", "0" * 64) == 2
        assert "has checksum sha256:" in capsys.readouterr().err
        assert run_command("download", *arguments) == 0
        said = capsys.readouterr().out
        assert (tmp_path / "deepsea_train" / "train.mat").read_bytes() == FILES["deepsea_train/train.mat"]
        assert "not compared with any checksum" in said
        assert f"source.folder={tmp_path / 'deepsea_train'} " in said
        assert run_command("download", *arguments) == 2  # unpacked before
        assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "http://127.0.0.1:9/"], "names no file"),
        (["--checksum", "12"], "expected sha256"),
        (["--nonsense"], "unrecognized arguments: --nonsense; see genome-lm download --help"),
        (["--most-gb", "x"], "invalid int value"),
    ],
)
def test_mistakes_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command("download", *arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
