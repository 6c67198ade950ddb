"""`genome-lm export`: exact, read wherever a checkpoint is, and refused when damaged."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from small_run import TINY, run_command, run_folders

from genome_lm.build import network_with_weights
from genome_lm.checkpoint import read_checkpoint, read_content
from genome_lm.errors import UserError
from genome_lm.evaluation.predict import predict_windows
from genome_lm.evaluation.predictions import read_predictions
from genome_lm.exported import Stored, read_exported, write_exported


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.safetensors"
    assert run_command("export", str(checkpoint), "--output", str(path)) == 0
    return path


def test_it_is_exact(exported, checkpoint):
    ours, theirs = read_content(exported), read_content(checkpoint)
    assert ours.description == theirs.description
    assert (ours.kind, ours.epochs) == (theirs.kind, theirs.epochs)
    assert ours.weights.keys() == theirs.weights.keys()
    for name, value in theirs.weights.items():
        assert value.dtype == ours.weights[name].dtype
        assert torch.equal(value, ours.weights[name])
    assert read_checkpoint(exported).description == read_checkpoint(checkpoint).description
    codes = torch.randint(0, 5, (4, ours.description["context_bp"]), dtype=torch.uint8)
    networks = [
        network_with_weights(read_checkpoint(path), ["genome_lm"]).eval() for path in (exported, checkpoint)
    ]
    assert torch.equal(*(network(codes) for network in networks))


def test_any_program_reads_the_weights(exported, checkpoint):
    assert load_file(exported).keys() == read_checkpoint(checkpoint).weights.keys()
    umask = os.umask(0)
    os.umask(umask)
    assert exported.stat().st_mode & 0o777 == 0o666 & ~umask, "others may read it as any other file"


def test_evaluate_takes_it(exported, checkpoint, small, tmp_path):
    quick = (
        "evaluate.accelerator=cpu",
        "evaluate.threads=1",
        "baseline.contexts_bp=[]",
        "bootstrap.resamples=0",
    )
    assert run_command("evaluate", f"ckpt_path={exported}", f"output_dir={tmp_path}", *quick) == 0
    found = read_predictions(tmp_path / "predictions" / "model.h5")
    saved = read_checkpoint(checkpoint)
    expected = predict_windows(
        network_with_weights(saved, ["genome_lm"]),
        small,
        found.window,
        saved.description.context_bp,
        batch_size=256,
        average_strands=saved.description.both_strands(),
        device=torch.device("cpu"),
    )
    columns = [saved.description.tasks["id"].index(task) for task in found.task_ids]
    np.testing.assert_array_equal(found.logits, expected[:, columns])
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert summary["checkpoints"][0]["path"] == str(exported)


def test_predict_takes_it(exported, checkpoint, tmp_path):
    fasta = tmp_path / "some.fa"
    fasta.write_text(">a\n" + "ACGTTGCAAT" * 30 + "\n")
    tables = []
    for number, path in enumerate((exported, checkpoint)):
        output = tmp_path / f"{number}.tsv"
        arguments = (f"fasta={fasta}", f"output={output}", "thresholds=none", "predict.accelerator=cpu")
        assert run_command("predict", f"ckpt_path={path}", *arguments) == 0
        tables.append(output.read_bytes())
    assert tables[0] == tables[1]


def test_a_training_starts_from_it_but_does_not_go_on_from_it(exported, small_file, tmp_path, capsys):
    common = (*TINY, f"data.path={small_file}", f"runs_dir={tmp_path}")
    still = ("optimizer.learning_rate=1e-30", "optimizer.weight_decay=0", "optimizer.embedding_decay=0")
    more = ("trainer.max_epochs=1", "trainer.limit_train_batches=1", "callbacks.ema_decay=0")
    assert run_command("train", *common, *still, *more, f"model.init_from={exported}") == 0
    (folder,) = run_folders(tmp_path)
    started = read_checkpoint(folder / "checkpoints" / "best.ckpt").weights
    name = "tokenizer.embedding.weight"
    torch.testing.assert_close(started[name], read_checkpoint(exported).weights[name])
    capsys.readouterr()
    assert run_command("train", *common, "trainer.max_epochs=9", f"ckpt_path={exported}") == 2
    assert "is an exported model, which has weights and no state of a training" in capsys.readouterr().err
    assert run_folders(tmp_path) == [folder]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.ckpt"], "checkpoint none.ckpt does not exist"),
        (["CKPT", "--output", "x.ckpt"], "does not end in .safetensors"),
        (["CKPT", "--output", "EXPORTED"], "exists; choose another name, or give --overwrite"),
        (["CKPT", "--sideways"], "see genome-lm export --help"),
        ([], "see genome-lm export --help"),
    ],
)
def test_mistakes_are_one_line(exported, checkpoint, capsys, arguments, message):
    named = {"CKPT": str(checkpoint), "EXPORTED": str(exported)}
    assert run_command("export", *(named.get(argument, argument) for argument in arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused(exported, tmp_path, data):
    """Every byte is under the digest, or is one that the format itself rules out."""
    whole = exported.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
    with pytest.raises(UserError):
        read_content(path)
    path.write_bytes(whole[:place])
    with pytest.raises(UserError):
        read_content(path)


def with_header(exported: Path, path: Path, change: object) -> Path:
    """A copy whose header, a dict, went through `change`."""
    whole = exported.read_bytes()
    (length,) = struct.unpack_from("<Q", whole)
    header = json.dumps(change(json.loads(whole[8 : 8 + length]))).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + whole[8 + length :])
    return path


def test_claims_beyond_the_file_are_refused(exported, tmp_path):
    def longer(header: dict) -> dict:
        name = max(name for name in header if name != "__metadata__")
        header[name] = {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}
        return header

    def pathless(header: dict) -> dict:
        del header["__metadata__"]
        return header

    with pytest.raises(UserError, match="cannot be read"):
        read_exported(with_header(exported, tmp_path / "a.safetensors", longer))
    with pytest.raises(UserError, match="is not a model of genome_lm"):
        read_exported(with_header(exported, tmp_path / "b.safetensors", pathless))
    (tmp_path / "c.safetensors").write_bytes(struct.pack("<Q", 10**12) + b"{")
    with pytest.raises(UserError, match="a header of 1,000,000,000,000 bytes"):
        read_exported(tmp_path / "c.safetensors")
    save_file({"x": torch.zeros(3)}, tmp_path / "d.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="is not a model of genome_lm"):
        read_exported(tmp_path / "d.safetensors")


def test_every_type_of_number_and_shared_memory(tmp_path):
    base = torch.arange(12, dtype=torch.float32)
    weights = {
        "whole": base, "part": base[2:5], "turned": base.view(3, 4).T, "none": base[:0],
        "one": torch.tensor(3), "half": base.half(), "bf16": base.bfloat16(),
        "double": base.double(), "yes": base > 3,
    }  # fmt: skip
    description = {"a": [1, 1.5, None, True, "ü\n"], "b": {"c": 1e-320, "d": -0.0}}
    write_exported(tmp_path / "x.safetensors", Stored(description, weights, 7))
    read = read_exported(tmp_path / "x.safetensors")
    assert (repr(read.description), read.epochs) == (repr(description), 7)
    assert read.weights.keys() == weights.keys()
    for name, value in weights.items():
        assert value.dtype == read.weights[name].dtype
        assert torch.equal(value, read.weights[name])
