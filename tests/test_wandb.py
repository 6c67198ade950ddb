"""W&B without a network: one finished run for each job, with the figures and settings of that job."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from small_run import TINY, run_command, run_folders
from wandb.proto import wandb_internal_pb2

from genome_lm.config import LoggerConfig, LoggerName
from genome_lm.loggers import loggers_from
from genome_lm.module import MultitaskModule

OFFLINE = ("logger=wandb", "trainer.max_epochs=1", "logger.project=tests", "logger.tags=[tiny]")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


def messages_of(raw: bytes) -> Iterator[bytes]:
    """The messages of a .wandb file: LevelDB's log format after seven bytes that name the format."""
    assert raw[:4] == b":W&B"
    at, message = 7, b""
    while at < len(raw):
        if 32768 - at % 32768 < 7:  # no header fits: the block ends in zeros
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", raw, at)
        message += raw[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield message
            message = b""


def records_of(folder: Path) -> list[wandb_internal_pb2.Record]:
    """All records of the one offline run in a run folder."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return [wandb_internal_pb2.Record.FromString(raw) for raw in messages_of(path.read_bytes())]


def exit_code(records) -> int:
    (code,) = [record.exit.exit_code for record in records if record.WhichOneof("record_type") == "exit"]
    return code


def logged(records, name: str) -> list[float]:
    return [
        json.loads(item.value_json)
        for record in records
        if record.WhichOneof("record_type") == "history"
        for item in record.history.item
        if name in (item.key, *item.nested_key)
    ]


def test_two_jobs_of_a_sweep_are_two_finished_runs(small_file, tmp_path):
    arguments = (*TINY, *OFFLINE, f"data.path={small_file}", f"runs_dir={tmp_path}")
    assert run_command("train", "-m", *arguments, "model=gru,lstm") == 0
    assert wandb.run is None
    ids = set()
    for folder, model in zip(run_folders(tmp_path), ("gru", "lstm"), strict=True):
        records = records_of(folder)
        assert exit_code(records) == 0
        (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
        assert (run.display_name, run.project, list(run.tags)) == (model, "tests", ["tiny"])
        ids.add(run.run_id)
        result = json.loads((folder / "training.json").read_text())
        assert logged(records, "valid/perplexity") == pytest.approx([result["valid_perplexity"]])
        assert (folder / "metrics.csv").is_file()
    assert len(ids) == 2


def test_a_run_that_fails_is_finished_as_failed(small_file, tmp_path, monkeypatch):
    plain = MultitaskModule.training_step
    monkeypatch.setattr(MultitaskModule, "training_step", lambda *a: plain(*a) * float("nan"))
    assert run_command("train", *TINY, *OFFLINE, f"data.path={small_file}", f"runs_dir={tmp_path}") == 2
    assert wandb.run is None
    (folder,) = run_folders(tmp_path)
    assert exit_code(records_of(folder)) == 1


@pytest.mark.parametrize(("key", "mode"), [(None, "offline"), ("k" * 40, "online")])
def test_it_is_online_only_for_those_logged_in(key, mode, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "api", SimpleNamespace(api_key=key))
    config = LoggerConfig(LoggerName.wandb, project="tests")
    csv_logger, wandb_logger = loggers_from(config, "name", tmp_path)
    assert type(csv_logger).__name__ == "CSVLogger"
    assert wandb_logger._wandb_init["mode"] == mode
