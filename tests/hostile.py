"""Files that mean harm, for the tests of readers: archives as torch writes them, with any pickle."""

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

OBJECT = "archive"


def write_archive(
    path: Path,
    pickled: bytes,
    records: Mapping[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """An archive as `torch.save` writes one, with any pickle in it."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{OBJECT}/data.pkl", pickled)
        for name, content in {"version": b"3\n", "byteorder": b"little", **(records or {})}.items():
            archive.writestr(f"{OBJECT}/{name}", content)
    return path


def with_pickle(source: Path, path: Path, change: object) -> Path:
    """A copy of a checkpoint whose pickle is `change(pickle)`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for record in old.infolist():
            content = old.read(record)
            changed = change(content) if record.filename.endswith("/data.pkl") else content
            new.writestr(record.filename, changed)
    return path


def call(module: str, name: str, *arguments: object) -> bytes:
    """A pickle that calls `module.name(*arguments)`, in the old protocol that `torch.save` uses."""
    body = pickle.dumps(tuple(arguments), 2)[2:-1]
    return b"\x80\x02" + f"c{module}\n{name}\n".encode() + body + b"R."


def tensor(length: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """A pickle of {"state_dict": {"network.x": tensor}} over the `length` numbers that record 0 claims."""

    def text(word: str) -> bytes:
        return b"X" + struct.pack("<I", len(word)) + word.encode()

    def whole(number: int) -> bytes:
        return pickle.dumps(number, 2)[2:-1]

    def wholes(numbers: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(whole, numbers)) + b"t"

    storage = (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + whole(length) + b"tQ"
    )
    hooks = b"ccollections\nOrderedDict\n)R"
    claimed = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage + whole(offset) + wholes(size) + wholes(stride) + b"\x89" + hooks + b"tR"
    )  # fmt: skip
    return b"\x80\x02}" + text("state_dict") + b"}" + text("network.x") + claimed + b"ss."


def legacy_tar(path: Path, pickled: bytes) -> Path:
    """A checkpoint of PyTorch before 0.1.10: a tar archive of pickles."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            record = tarfile.TarInfo(name)
            record.size = len(pickled)
            archive.addfile(record, io.BytesIO(pickled))
    return path
