"""Checkpoint files before they are loaded: a ZIP archive as `torch.save` writes it, and nothing beyond.

`torch.load(weights_only=True)` runs no code of a file, but believes what it says: a tensor of more numbers
than its record holds is memory that belongs to something else, `bytearray(10**12)` is allowed, and records
are not held against their checksums. So the archive is checked first, without setting aside more memory than
the file has bytes (of text: a fixed bound); whatever passes is loaded by PyTorch with `weights_only=True`.
"""

import math
import struct
import zipfile
import zlib
from pathlib import Path

from genome_lm.pickled import Refused, StorageClaim, StorageType, TensorClaim, follow
from genome_lm.plain import NotPlain, check_plain

MAGIC = b"PK\x03\x04"
LONGEST_PICKLE = 1 << 25
"""Bytes of everything in a checkpoint but its numbers; one of 919 tasks has 200,000."""
MOST_RECORDS = 1 << 16

_BLOCK = 1 << 20
_HEADER = 30  # bytes before a record at the least
_NOTES = {"version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"}


def check_archive(path: Path) -> None:
    """Check a checkpoint file without loading it.

    The archive has one folder with the records of `torch.save`, uncompressed, each once, none over another,
    and all agree with their checksums. Its pickle is one that `genome_lm.pickled.follow` accepts, of plain
    values, and every tensor lies within its record, which is as long as the pickle says, and takes as many
    of its numbers as it has elements.

    Raises:
        Refused: it is not so; the message is a clause that says what is wrong.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise Refused("it is no ZIP archive, which `torch.save` writes")
    try:
        with zipfile.ZipFile(path) as archive:
            records = _records(archive)
            _check_contents(archive, records)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, struct.error) as error:
        raise Refused("its archive is damaged") from error
    except (RuntimeError, ValueError, IndexError, OverflowError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused("its archive is damaged") from error


def _records(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The records by their names below the archive's one folder."""
    found = archive.infolist()
    folder = found[0].filename.partition("/")[0] if found else ""
    if not found or len(found) > MOST_RECORDS or archive.comment:
        raise Refused("its archive is not one of `torch.save`")
    records: dict[str, zipfile.ZipInfo] = {}
    end = 0
    for record in sorted(found, key=lambda each: each.header_offset):
        above, _, name = record.filename.partition("/")
        if above != folder or not (name == "data.pkl" or name in _NOTES or _key(name) is not None):
            raise Refused("its archive has a record that `torch.save` does not write")
        if name in records:
            raise Refused(f"its archive has the record {name} twice")
        if record.compress_type != zipfile.ZIP_STORED or record.compress_size != record.file_size:
            raise Refused("its archive is compressed, which `torch.save` does not do")
        if record.header_offset < end or (not records and record.header_offset):
            raise Refused("its archive has records over each other, or something before them")
        end = record.header_offset + _HEADER + record.file_size
        records[name] = record
    if end > archive.start_dir:
        raise Refused("its archive is damaged")
    if "data.pkl" not in records or records["data.pkl"].file_size > LONGEST_PICKLE:
        raise Refused(f"its archive has no data.pkl of at most {LONGEST_PICKLE:,} bytes")
    return records


def _check_contents(archive: zipfile.ZipFile, records: dict[str, zipfile.ZipInfo]) -> None:
    for name, record in records.items():
        if name == "data.pkl":
            continue
        with archive.open(record) as stream:  # raises on a wrong checksum
            first = stream.read(_BLOCK)
            while stream.read(_BLOCK):
                pass
        if name == "byteorder" and first != b"little":
            raise Refused("its numbers are of the other byte order")
    value = follow(archive.read(records["data.pkl"]))
    try:
        check_plain(value, leaves=(TensorClaim, bytes))
    except NotPlain as error:
        raise Refused(f"it holds {error}") from error
    types: dict[str, StorageType] = {}
    for tensor in _tensors(value):
        _check_tensor(tensor, records)
        if types.setdefault(tensor.storage.key, tensor.storage.type) != tensor.storage.type:
            raise Refused("it reads one record as two types of numbers")


def _tensors(value: object) -> list[TensorClaim]:
    """Every tensor in a plain value."""
    found: list[TensorClaim] = []
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, TensorClaim):
            found.append(each)
        elif isinstance(each, dict):
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
    return found


def _check_tensor(tensor: TensorClaim, records: dict[str, zipfile.ZipInfo]) -> None:
    storage = tensor.storage
    record = records.get(f"data/{storage.key}")
    if _key(f"data/{storage.key}") is None or record is None:
        raise Refused("it lacks the numbers of a tensor")
    if record.file_size != storage.length * storage.type.n_bytes:
        raise Refused(
            f"a tensor claims {storage.length:,} numbers of {storage.type.n_bytes} bytes, and "
            f"{record.file_size:,} bytes are stored"
        )
    _check_extent(tensor, storage)


def _check_extent(tensor: TensorClaim, storage: StorageClaim) -> None:
    elements = math.prod(tensor.size)
    if not elements:
        return
    steps = zip(tensor.size, tensor.stride, strict=True)
    last = tensor.offset + sum((size - 1) * stride for size, stride in steps)
    # Strides of 0 make any number of elements of one: memory once they are copied.
    if last >= storage.length or elements > storage.length:
        raise Refused(f"a tensor of {elements:,} elements reaches beyond the {storage.length:,} stored")


def _key(name: str) -> int | None:
    """The number of a record of numbers; None of other records."""
    folder, _, key = name.partition("/")
    return int(key) if folder == "data" and key.isascii() and key.isdigit() and len(key) < 9 else None
