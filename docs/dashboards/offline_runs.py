"""What an offline W&B run wrote into its .wandb files: configuration, axes, history, summary, files."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2


@dataclass
class OfflineRun:
    """One W&B run of a run folder: its parts, training and evaluations, in the order of their start."""

    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    parts: int = 0
    exit_codes: list[int] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)  # by metric or pattern, the metric it runs over
    kept: dict[str, set[str]] = field(
        default_factory=dict
    )  # by metric, what the summary keeps, such as "min"
    folders: list[Path] = field(default_factory=list)  # of the parts' files, media among them

    @property
    def logged(self) -> set[str]:
        """All keys of history and summary."""
        return set(self.summary).union(*self.history)

    def curve(self, key: str, over: str) -> list[tuple[float, float]]:
        """Points (over, key) of a metric."""
        return [(row[over], row[key]) for row in self.history if key in row and over in row]

    def latest(self, key: str) -> Any:
        """The last value that was logged, or that of the summary."""
        found = [row[key] for row in self.history if key in row]
        return self.summary.get(key, found[-1] if found else None)

    def file(self, key: str) -> Path:
        """The file of a picture, table or page."""
        name = self.latest(key)["path"]
        *_, path = (folder / name for folder in self.folders if (folder / name).is_file())
        return path


def read_run(run_dir: Path) -> OfflineRun:
    """The one offline run of a run folder.

    Raises:
        ValueError: there is none, or parts of several.
    """
    run = OfflineRun()
    for path in sorted(run_dir.glob("wandb/offline-run-*/run-*.wandb")):
        run.parts += 1
        run.folders.append(path.parent / "files")
        for raw in _messages(path.read_bytes()):
            _add(run, wandb_internal_pb2.Record.FromString(raw))
        if path.stem != f"run-{run.id}":
            raise ValueError(
                f"{run_dir} holds offline W&B runs {run.id} and {path.stem.removeprefix('run-')}"
            )
    if not run.parts:
        raise ValueError(
            f"{run_dir} holds no offline W&B run; train with logger=wandb and WANDB_MODE=offline"
        )
    return run


def _add(run: OfflineRun, record: wandb_internal_pb2.Record) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        run.id = run.id or record.run.run_id
        run.name = run.name or record.run.display_name
        run.project = run.project or record.run.project
        run.group = run.group or record.run.run_group
        run.job_type = run.job_type or record.run.job_type
        run.tags = run.tags or list(record.run.tags)
        run.config.update(_items(record.run.config.update))
    elif kind == "config":
        run.config.update(_items(record.config.update))
    elif kind == "history":
        run.history.append(_items(record.history.item))
    elif kind == "summary":
        run.summary.update(_items(record.summary.update))
    elif kind == "metric":
        name = record.metric.name or record.metric.glob_name
        run.axes[name] = record.metric.step_metric
        run.kept[name] = {option.name for option, _ in record.metric.summary.ListFields()}
    elif kind == "exit":
        run.exit_codes.append(record.exit.exit_code)


def _items(items: Any) -> dict[str, Any]:
    """Values by key; a value that is a dictionary comes in pieces, each with the path to its place."""
    found: dict[str, Any] = {}
    for item in items:
        *outer, last = [item.key] if item.key else item.nested_key
        inner = found
        for name in outer:
            inner = inner.setdefault(name, {})
        inner[last] = json.loads(item.value_json)
    return found


def _messages(raw: bytes) -> Iterator[bytes]:
    """The messages of a .wandb file: LevelDB's log format after seven bytes that name the format."""
    if raw[:4] != b":W&B":
        raise ValueError("not a .wandb file")
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
