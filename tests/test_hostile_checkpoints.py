"""Checkpoints that mean harm: code in many wrappings, sizes that are lies, archives that are bombs."""

import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hostile import call, legacy_tar, tensor, with_pickle, write_archive

from genome_lm.archive import LONGEST_PICKLE
from genome_lm.build import network_with_weights
from genome_lm.checkpoint import KEY, LONGEST_CONTEXT_BP, read_checkpoint
from genome_lm.checkpoint_file import load_training
from genome_lm.errors import UserError

REFUSED = r"is refused: it is damaged or holds objects that could run code \({}"


@pytest.fixture(scope="module")
def content(checkpoint: Path) -> dict:
    return torch.load(checkpoint, map_location="cpu", weights_only=True)


class Trap:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"echo the code ran > '{self.proof}'",)


class Stateful:
    """A class of the program's own, whose state would be set by the pickle."""


def refused(path: Path, reason: str = "") -> None:
    for read in (read_checkpoint, load_training):  # the second one is what Lightning's load is
        with pytest.raises(UserError, match=REFUSED.format(reason)) as caught:
            read(path)
        assert "\n" not in str(caught.value)


WRAPPINGS = {
    "plain pickle": lambda trap, path: path.write_bytes(pickle.dumps({KEY: trap})),
    "newest protocol": lambda trap, path: path.write_bytes(
        pickle.dumps({KEY: trap}, pickle.HIGHEST_PROTOCOL)
    ),
    "torch.save": lambda trap, path: torch.save({KEY: trap}, path),
    "torch.save, before 1.6": lambda trap, path: torch.save(
        {KEY: trap}, path, _use_new_zipfile_serialization=False
    ),
    "protocol 5 in an archive": lambda trap, path: torch.save({KEY: trap}, path, pickle_protocol=5),
    "protocol 0 in an archive": lambda trap, path: write_archive(path, pickle.dumps({KEY: trap}, 0)),
    "tar, before 0.1.10": lambda trap, path: legacy_tar(path, pickle.dumps({KEY: trap}, 2)),
    "beside the weights": lambda trap, path: torch.save({KEY: {}, "epoch": 1, "callbacks": [trap]}, path),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_code_is_not_run(tmp_path, wrapping):
    proof, path = tmp_path / "proof", tmp_path / "trap.ckpt"
    WRAPPINGS[wrapping](Trap(proof), path)
    refused(path)
    assert not proof.exists()
    if not wrapping.startswith(("tar", "protocol 0")):  # the trap is a real one
        torch.load(path, weights_only=False) if zipfile.is_zipfile(path) else pickle.loads(path.read_bytes())
        assert proof.exists() or "before 1.6" in wrapping


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("os", "system", ("true",)),
        ("posix", "system", ("true",)),
        ("builtins", "eval", ("1",)),
        ("builtins", "getattr", ("x", "y")),
        ("genome_lm.build", "dataset_from", ("/etc/passwd",)),  # of an allowed package, yet nothing to call
        ("genome_lm.encoders.recurrent", "Recurrent", (4,)),
        ("torch", "load", ("other.ckpt",)),
        ("torch.hub", "load", ("x/y", "z")),
        ("torch._utils", "_rebuild_tensor_v3", ()),
        ("torch", "FloatStorage", (10**12,)),  # allowed by torch, but here only a type
        ("builtins", "bytearray", (10**12,)),  # PyTorch's own list allows it: a terabyte of zeros
        ("torch._utils", "_rebuild_meta_tensor_no_storage", (torch.Size([10**9]),)),
        ("collections", "OrderedDict", ([("a", 1)],)),
    ],
)  # fmt: skip
def test_nothing_is_called(tmp_path, module, name, arguments):
    refused(write_archive(tmp_path / "call.ckpt", call(module, name, *arguments)), "it (names|calls)")


def test_no_attributes_are_set(tmp_path):
    value = Stateful()
    value.x = 1
    refused(write_archive(tmp_path / "state.ckpt", pickle.dumps(value, 2)), "it names")
    # BUILD on a plain dict, and on an ordered one with more than PyTorch's own notes.
    for start in (b"}", b"ccollections\nOrderedDict\n)R"):
        pickled = b"\x80\x02" + start + b"}X\x01\x00\x00\x00aK\x01sb."
        refused(write_archive(tmp_path / "build.ckpt", pickled), "it sets attributes")


@pytest.mark.parametrize(
    ("pickled", "stored", "reason"),
    [
        (tensor(10**12, (10**12,), (1,)), 16, "a tensor claims 1,000,000,000,000 numbers of 4 bytes"),
        (tensor(5, (4,), (1,)), 16, "a tensor claims 5 numbers of 4 bytes, and 16 bytes"),
        (tensor(4, (5,), (1,)), 16, "a tensor of 5 elements reaches beyond the 4"),
        (tensor(4, (2, 2), (3, 1)), 16, "a tensor of 4 elements reaches beyond"),
        (tensor(4, (2,), (1,), offset=3), 16, "a tensor of 2 elements reaches beyond"),
        (tensor(4, (10**6, 10**6), (0, 0)), 16, "a tensor of 1,000,000,000,000 elements reaches beyond"),
        (tensor(4, (-4,), (1,)), 16, "it has a damaged tensor"),
        (tensor(4, (4,), (-1,)), 16, "it has a damaged tensor"),
        (tensor(4, (2,) * 1000, (1,) * 1000), 16, "it has a damaged tensor"),
        (tensor(4, (4,), (1, 1)), 16, "it has a damaged tensor"),
        (tensor(4, (2**70,), (1,)), 16, "it has a damaged tensor"),
    ],
)
def test_tensors_that_are_lies(tmp_path, pickled, stored, reason):
    refused(write_archive(tmp_path / "tensor.ckpt", pickled, {"data/0": bytes(stored)}), reason)
    with pytest.raises(UserError, match="is not a checkpoint of genome_lm"):  # the helper's own are right
        read_checkpoint(write_archive(tmp_path / "fine.ckpt", tensor(4, (4,), (1,)), {"data/0": bytes(16)}))


def nested(depth: int) -> bytes:
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def laughing(levels: int) -> bytes:
    """Lists of ten times the list before: 10^levels values in a few bytes."""
    steps = b"".join(b"q%c(" % level + b"h%c" % level * 10 + b"t" for level in range(levels))
    return b"\x80\x02(K\x01" + steps + b"t."


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (nested(20_000), "it holds values inside each other for more than 100 levels"),
        (b"\x80\x02]q\x00h\x00a.", "it holds values inside each other"),  # a list that holds itself
        (laughing(20), "it holds more values than"),
        (b"\x80\x02}K\x01K\x01sK\x01K\x02s.", "it has the key '1' twice"),
        (b"\x80\x02}G?\xf0\x00\x00\x00\x00\x00\x00K\x02s.", "it has a key of type float"),
        (b"\x80\x02\x8a\x20" + b"\x7f" * 32 + b".", "it holds a whole number of more than 128 bits"),
        (b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.", "it holds text that cannot be written as UTF-8"),
        (b"\x80\x02h\x05.", "its pickle is damaged"),
        (b"\x80\x02K\x01K\x02.", "its pickle is cut off"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "its pickle is damaged"),
        (b"\x80\x02I1\n.", "it has the instruction INT"),
        (b"\x80\x02(t(.", "its pickle is cut off"),
        (b"", "its pickle is"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_pickles_that_never_end(tmp_path, pickled, reason):
    refused(write_archive(tmp_path / "odd.ckpt", pickled), reason)


def test_archives_that_are_bombs(tmp_path, checkpoint):
    def text(n_bytes: int) -> bytes:
        return b"\x80\x02X" + n_bytes.to_bytes(4, "little") + bytes(n_bytes) + b"."

    packed = write_archive(tmp_path / "packed.ckpt", text(300 << 20), compression=zipfile.ZIP_DEFLATED)
    assert packed.stat().st_size < 1 << 20
    refused(packed, "its archive is compressed")
    refused(
        write_archive(tmp_path / "long.ckpt", text(LONGEST_PICKLE)),
        f"its archive has no data.pkl of at most {LONGEST_PICKLE:,}",
    )
    doubled = tmp_path / "doubled.ckpt"
    doubled.write_bytes(checkpoint.read_bytes())
    with zipfile.ZipFile(doubled, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(archive.namelist()[0], b"\x80\x02}.")
    refused(doubled, "its archive has the record data.pkl twice")
    before = tmp_path / "before.ckpt"
    before.write_bytes(b"PK\x03\x04" + checkpoint.read_bytes())
    refused(before)
    other = write_archive(tmp_path / "other.ckpt", b"\x80\x02}.", {"code/run.py": b""})
    refused(other, "its archive has a record that `torch.save` does not write")
    refused(
        write_archive(tmp_path / "big.ckpt", b"\x80\x02}.", {"byteorder": b"big"}),
        "its numbers are of the other",
    )


def test_every_damaged_byte_of_the_weights_is_noticed(tmp_path, checkpoint):
    whole = checkpoint.read_bytes()
    with zipfile.ZipFile(checkpoint) as archive:
        (first, *_) = [record for record in archive.infolist() if "/data/0" in record.filename]
    name, extra = struct.unpack_from("<HH", whole, first.header_offset + 26)
    at = first.header_offset + 30 + name + extra
    assert first.file_size > 1000
    path = tmp_path / "bit.ckpt"
    for place in range(at, at + first.file_size, 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(UserError, match="its archive is damaged"):
            read_checkpoint(path)


def test_the_copy_of_a_checkpoint_is_read(tmp_path, checkpoint):
    """`with_pickle` itself makes a sound file, so that the refusals above are of what was changed."""
    copy = read_checkpoint(with_pickle(checkpoint, tmp_path / "copy.ckpt", lambda pickled: pickled))
    assert copy.description == read_checkpoint(checkpoint).description


def changed(content: dict, path: Path, **values: object) -> Path:
    torch.save(content | {KEY: content[KEY] | values}, path)
    return path


HUGE = 10**9


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        ("encoder", {"hidden_size": HUGE}, r"model\.encoder\.hidden_size is 1,000,000,000, and nothing"),
        ("encoder", {"num_layers": HUGE}, r"model\.encoder\.num_layers is 1,000,000,000, and nothing"),
        ("encoder", {"hidden_size": 60_000}, "describes a network of far more numbers than the 1,0"),
        ("encoder", {"num_layers": 60_000}, "describes a network of far more numbers than the 1,0"),
        ("tokenizer", {"k": 10, "width": 60_000}, "describes a network of far more numbers"),
        ("tokenizer", {"words_per_token": HUGE}, r"tokenizer\.words_per_token is 1,000,000,000"),
        ("tokenizer", {"stride": -HUGE}, r"tokenizer\.stride is 1,000,000,000"),
        ("tokenizer", {"k": 4}, "its weights do not fit the network that it describes"),
    ],
)  # fmt: skip
def test_networks_that_would_exhaust_memory(content, tmp_path, part, arguments, message):
    saved = read_checkpoint(
        changed(content, tmp_path / "huge.ckpt", **{part: content[KEY][part] | arguments})
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=message):
        network_with_weights(saved, ["genome_lm"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 << 10  # KiB


def test_its_word_vectors_are_not_read(content, tmp_path):
    """A tokenizer may name a file; of a checkpoint nothing opens it, be it a pipe that never ends."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    tokenizer = content[KEY]["tokenizer"] | {"embedding_file": str(pipe)}
    saved = read_checkpoint(changed(content, tmp_path / "file.ckpt", tokenizer=tokenizer))
    network_with_weights(saved, ["genome_lm"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"context_bp": 10**12}, "lacks a valid context_bp"),
        ({"context_bp": LONGEST_CONTEXT_BP + 1}, "lacks a valid context_bp"),
        ({"context_bp": 0}, "lacks a valid context_bp"),
        ({"model_name": "${oc.env:HOME}"}, "refers to values outside of it"),
        ({"model_name": "a\x1b[2J"}, "lacks a valid model_name"),
        ({"dataset": {"path": 5}}, "lacks a valid dataset"),
        ({"dataset": {"train_fraction": "all"}}, "lacks a valid dataset"),
        ({"kind": ["multitask"]}, "of a kind that this genome_lm does not know"),
        ({"kind": "diffusion"}, "of a kind that this genome_lm does not know"),
        ({"positive_rate": [], "tasks": {key: [] for key in ("id", "cell", "target", "treatment", "group")}},
         "lacks a valid tasks"),
    ],
)  # fmt: skip
def test_descriptions_that_are_lies(content, tmp_path, values, message):
    path = changed(content, tmp_path / "lie.ckpt", **values)
    with pytest.raises(UserError, match=message):
        read_checkpoint(path)


def test_tasks_of_one_name_or_of_none(content, tmp_path):
    tasks = content[KEY]["tasks"]
    for ids in ([tasks["id"][1], *tasks["id"][1:]], ["", *tasks["id"][1:]], [5, *tasks["id"][1:]]):
        with pytest.raises(UserError, match="lacks a valid tasks"):
            read_checkpoint(changed(content, tmp_path / "tasks.ckpt", tasks=tasks | {"id": ids}))


@pytest.mark.parametrize("value", [float("nan"), None])
def test_weights_that_are_no_numbers(content, tmp_path, value):
    state = {name: weights.clone() for name, weights in content["state_dict"].items()}
    name = next(name for name, weights in state.items() if weights.is_floating_point() and weights.ndim)
    if value is None:
        state[name] = state[name].long()
    else:
        state[name].flatten()[0] = value
    torch.save(content | {"state_dict": state}, tmp_path / "nan.ckpt")
    with pytest.raises(UserError, match=r"weights that are not numbers|weights do not fit"):
        network_with_weights(read_checkpoint(tmp_path / "nan.ckpt"), ["genome_lm"])


def test_a_terabyte_is_refused_under_a_limit_on_memory(tmp_path):
    """As a whole process: whatever reads the file may not take more than it has."""
    path = write_archive(tmp_path / "bomb.ckpt", call("builtins", "bytearray", 10**12))
    program = (
        "import resource, sys; from pathlib import Path; from genome_lm.checkpoint import read_checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))\n"
        "try: read_checkpoint(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.startswith("UserError checkpoint"), done.stderr
