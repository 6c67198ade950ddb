"""The file tracking.json of a run folder: where the run is logged, so that an evaluation can add to it."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from genome_lm.atomic import write_text
from genome_lm.errors import UserError
from genome_lm.plain import plain_json, plain_text

FILE = "tracking.json"
WANDB = "wandb"
TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class WandbRecord:
    """The W&B run of a run folder; by these values an evaluation opens it again."""

    id: str
    entity: str | None
    project: str
    path: str  # entity/project/runs/id, the entity left out where it is not known offline
    url: str | None  # null where the run was logged offline
    offline: bool
    next_step: int  # the first step of W&B's history that is free
    config: dict[str, Any]  # as logged; an offline part of the run repeats it


@dataclass(frozen=True)
class TensorBoardRecord:
    """The folder of the event files, relative to the run folder."""

    folder: str


Record = WandbRecord | TensorBoardRecord


def write_record(run_dir: Path, record: Record) -> None:
    """Write `tracking.json` into the run folder.

    Raises:
        UserError: the folder cannot be written.
    """
    name = WANDB if isinstance(record, WandbRecord) else TENSORBOARD
    write_text(run_dir / FILE, json.dumps({"logger": name} | asdict(record), indent=2) + "\n")


def read_record(run_dir: Path) -> Record | None:
    """The record of a run folder; null where the run was logged to `metrics.csv` only.

    Raises:
        UserError: the file is not one that this version can read.
    """
    path = run_dir / FILE
    if not path.is_file():
        return None
    try:
        values: Any = plain_json(plain_text(path))
        name = values.pop("logger")
        if name == WANDB:
            return WandbRecord(**values)
        if name == TENSORBOARD:
            return TensorBoardRecord(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error}); remove it to evaluate without tracking") from error
    raise UserError(f'{path} names logger "{name}"; expected {WANDB} or {TENSORBOARD}')


def with_next_step(record: WandbRecord, step: int) -> WandbRecord:
    """The same record, its history longer."""
    return replace(record, next_step=max(step, record.next_step))
