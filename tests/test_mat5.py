"""MATLAB 5 files: the same values as SciPy reads, and a clear error for what is damaged or lies."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy.io import loadmat, savemat

from genome_lm.dataset.deepsea.mat5 import arrays, is_mat5
from genome_lm.errors import UserError

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


def read(path, *names):
    """Arrays by name, read in two goes each."""
    found = {}
    with arrays(path, names) as each:
        for array in each:
            count = int(np.prod(array.shape))
            values = np.concatenate((array.read(count // 2), array.read(count - count // 2)))
            array.finish()
            found[array.name] = values.reshape(array.shape, order="F")
    return found


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(TYPES), compressed=st.booleans())
def test_the_same_as_scipy(tmp_path_factory, data, dtype, compressed):
    path = tmp_path_factory.mktemp("mat5") / "a.mat"
    shape = data.draw(st_numpy.array_shapes(min_dims=2, max_dims=4, max_side=5))
    made = {name: data.draw(st_numpy.arrays(dtype, shape)) for name in ("first", "second", "third")}
    made |= {"text": "not a number", "cell": np.array([1, "a"], dtype=object)}
    savemat(path, made, do_compression=compressed)
    expected = loadmat(path)
    found = read(path, "first", "third")
    assert list(found) == ["first", "third"]
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])
        assert values.dtype.newbyteorder("=") == expected[name].dtype.newbyteorder("=")


def element(order, kind, content):
    return struct.pack(f"{order}II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(order, values, name=b"x", cls=9, flags=0, shape=None, claimed=None, short_name=True, kind=2):
    """A miMATRIX element of uint8 values."""
    shape = values.shape if shape is None else shape
    content = values.tobytes(order="F")
    data = element(order, kind, content)
    if claimed is not None:
        data = struct.pack(f"{order}II", kind, claimed) + data[8:]
    if short_name and len(name) <= 4:  # type and length share a word; a big-endian file has the length first
        label = struct.pack(f"{order}I", len(name) << 16 | 1) + name.ljust(4, b"\0")
    else:
        label = element(order, 1, name)
    body = (
        element(order, 6, struct.pack(f"{order}II", flags << 8 | cls, 0))
        + element(order, 5, np.array(shape, dtype=f"{order}i4").tobytes())
        + label
        + data
    )
    return element(order, 14, body)


def mat5(order, *elements):
    version = struct.pack(f"{order}H", 0x0100)
    return b"by hand".ljust(124) + version + (b"IM" if order == "<" else b"MI") + b"".join(elements)


def compressed(order, content):
    packed = zlib.compress(content)
    return struct.pack(f"{order}II", 15, len(packed)) + packed


VALUES = np.arange(24, dtype="u1").reshape(2, 3, 4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("short_name", [True, False])
@pytest.mark.parametrize("pack", [compressed, lambda order, content: content])
def test_both_byte_orders_by_hand(tmp_path, order, short_name, pack):
    """As SciPy reads them, too: the layout above is that of the format."""
    path = tmp_path / "a.mat"
    path.write_bytes(mat5(order, pack(order, matrix(order, VALUES, short_name=short_name))))
    assert is_mat5(path)
    np.testing.assert_array_equal(loadmat(path)["x"], VALUES)
    np.testing.assert_array_equal(read(path, "x")["x"], VALUES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (matrix("<", VALUES, cls=5), "no full array of real numbers"),  # sparse
        (matrix("<", VALUES, cls=4), "no full array of real numbers"),  # text
        (matrix("<", VALUES, flags=0x08), "no full array of real numbers"),  # complex
        (matrix("<", VALUES, kind=17), "values of type 17"),
        (matrix("<", VALUES, shape=(2, 3, 5)), r"shape \(2, 3, 5\) and 24 bytes"),
        (matrix("<", VALUES, shape=(-2, 3, -4)), r"shape \(-2, 3, -4\)"),
        (matrix("<", VALUES, shape=(), claimed=24), r"shape \(\)"),
        (matrix("<", VALUES, shape=(1 << 20, 1 << 10, 3), claimed=3 << 30), "claims 3,221,225,472 bytes"),
        (
            compressed("<", matrix("<", VALUES, shape=(1 << 20, 1 << 10, 3), claimed=3 << 30)),
            "more than the file",
        ),
        (compressed("<", matrix("<", VALUES, shape=(2, 3, 400), claimed=2400)), "end too early"),
        (compressed("<", matrix("<", VALUES) + bytes(64)), "go on after the end"),
        (compressed("<", matrix("<", VALUES))[:-4], "an element claims"),
        (struct.pack("<II", 15, 12) + zlib.compress(matrix("<", VALUES))[:12], "end too early"),
        (struct.pack("<II", 15, 8) + b"rubbish!", "zlib|incorrect header"),
        (matrix("<", VALUES, name=b"x" * 64, short_name=False), "a name"),
        (b"\x0e\0\0\0", "ends inside a tag"),
    ],
)
def test_what_is_refused(tmp_path, content, message):
    path = tmp_path / "a.mat"
    path.write_bytes(mat5("<", content))
    with pytest.raises(UserError, match=message) as caught:
        read(path, "x")
    assert str(caught.value).startswith(f"{path}: damaged or truncated")


def test_a_zlib_bomb_is_not_unpacked(tmp_path):
    """Only what is asked for is inflated: 64 MB of zeros behind the values costs nothing but the refusal."""
    squeezer = zlib.compressobj(9)
    packed = squeezer.compress(matrix("<", VALUES))
    block = bytes(1 << 24)
    packed += b"".join(squeezer.compress(block) for _ in range(4)) + squeezer.flush()
    path = tmp_path / "a.mat"
    path.write_bytes(mat5("<", struct.pack("<II", 15, len(packed)) + packed))
    with pytest.raises(UserError, match="go on after the end"):
        read(path, "x")


def test_what_is_no_mat5(tmp_path):
    path = tmp_path / "a.mat"
    for content in (b"", b"text", bytes(200), mat5("<")[:127]):
        path.write_bytes(content)
        assert not is_mat5(path)
    with pytest.raises(UserError, match="cannot read"):
        is_mat5(tmp_path / "none.mat")


@settings(max_examples=300, deadline=None)
@given(data=st.data(), pack=st.booleans())
def test_damage_gives_an_error_or_the_same_values(tmp_path_factory, data, pack):
    """Compressed values are covered by zlib's checksum; plain ones by nothing but their number."""
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    made = io.BytesIO()
    savemat(made, {"x": VALUES, "y": VALUES.astype("f8")}, do_compression=pack)
    content = bytearray(made.getvalue())
    kind = data.draw(st.sampled_from(("cut", "flip", "insert")))
    at = data.draw(st.integers(128, len(content) - 1))
    if kind == "cut":
        content = content[:at]
    elif kind == "flip":
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        content[at:at] = data.draw(st.binary(min_size=1, max_size=9))
    path.write_bytes(content)
    try:
        found = read(path, "x", "y")
    except UserError:
        return
    for name, values in found.items():
        assert values.size == VALUES.size
        if pack:
            np.testing.assert_array_equal(values.reshape(VALUES.shape), VALUES, err_msg=name)
