"""Whether two run folders hold the same training: checkpoints value by value, curves row by row."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

# Times, and what names the folder or the command.
CHECKPOINT_TIMES = (
    "callbacks/EpochReport/",
    "callbacks/Timer/",
    "run_state/seconds",
    "run_state/started",
    "genome_lm/config/run_dir",
    "genome_lm/config/ckpt_path",
    "genome_lm/config/callbacks/save_every_",
)
CURVE_TIMES = ("train/windows_per_second", "train/data_wait_share")
RESULT_TIMES = ("seconds", "windows_per_second", "tokens_per_second", "data_wait_share", "started", "command")


def run_differences(first: Path, second: Path) -> list[str]:
    """What differs between two run folders, one line each; times are left out."""
    found = []
    for name in ("last", "best"):
        values = [dict(_values(_loaded(run / "checkpoints" / f"{name}.ckpt"))) for run in (first, second)]
        found += [f"{name}.ckpt: {line}" for line in _unequal(*values, CHECKPOINT_TIMES)]
    curves = [_curve(run / "metrics.csv") for run in (first, second)]
    if len(curves[0]) != len(curves[1]):
        found.append(f"metrics.csv: {len(curves[0])} and {len(curves[1])} rows")
    for row, both in enumerate(zip(*curves, strict=False)):
        found += [f"metrics.csv, row {row + 1}: {line}" for line in _unequal(*both, CURVE_TIMES)]
    results = [json.loads((run / "training.json").read_text()) for run in (first, second)]
    return found + [f"training.json: {line}" for line in _unequal(*results, RESULT_TIMES)]


def n_weights(run: Path) -> int:
    """Numbers in the weights of last.ckpt, the running ones."""
    content = _loaded(run / "checkpoints" / "last.ckpt")
    return sum(each.numel() for each in content.get("current_model_state", content["state_dict"]).values())


def _loaded(path: Path) -> dict[str, Any]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    assert isinstance(content, dict)
    return content


def _curve(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _values(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value of nested containers, by a path of keys."""
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, each in pairs:
            yield from _values(each, f"{key}/{name}".lstrip("/"))
        yield f"{key}/", len(value)
    else:
        yield key, value


def _unequal(first: dict[str, Any], second: dict[str, Any], left_out: tuple[str, ...]) -> list[str]:
    found = []
    for key in sorted({*first, *second}):
        if key.startswith(left_out):
            continue
        if key not in first or key not in second:
            found.append(f"{key} in one alone")
        elif not _same(first[key], second[key]):
            found.append(f"{key}: {_shown(first[key])} and {_shown(second[key])}")
    return found


def _same(first: Any, second: Any) -> bool:
    """Bit for bit; NaN is itself."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        if first.dtype != second.dtype or first.shape != second.shape:
            return False
        return first.numpy().tobytes() == second.numpy().tobytes()
    return bool(first == second or (first != first and second != second))


def _shown(value: Any) -> str:
    return f"tensor {list(value.shape)}" if isinstance(value, torch.Tensor) else str(value)
