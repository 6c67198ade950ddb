"""Equal budgets: from a time and a speed to a number of steps, and the recipes that get one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from genome_lm.config_files import config_dir

LEAST_VALIDATIONS = 4
"""A model that gets less than one pass over the windows is validated as often within it."""


@dataclass(frozen=True)
class Recipe:
    """What is trained: overrides of `genome-lm train`, with these seeds."""

    name: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    max_passes: float | None = None  # over the training windows; less than the budget where that is enough


@dataclass(frozen=True)
class Ensemble:
    """What is evaluated beside single runs: the mean logits of all seeds of some recipes."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Speed:
    """What a calibration measured of one recipe.

    Attributes:
        windows_per_second: of the training loop, in wall time, once every window has been seen.
        cpu_share: CPU time over wall time and threads; well below 1 when others used the machine.
        batches_per_pass: over all training windows.
        first_pass_windows_per_second: where the first pass is slower: window features are computed in it.
    """

    overrides: tuple[str, ...]
    windows_per_second: float
    cpu_share: float
    batch_size: int
    batches_per_pass: int
    first_pass_windows_per_second: float | None = None

    def steps_in(self, seconds: float) -> int:
        """Whole steps of the training loop in a time."""
        first = self.first_pass_windows_per_second or self.windows_per_second
        first_pass = self.batches_per_pass * self.batch_size / first
        if seconds <= first_pass:
            return math.floor(first * seconds / self.batch_size)
        later = self.windows_per_second * (seconds - first_pass) / self.batch_size
        return math.floor(self.batches_per_pass + later)


@dataclass(frozen=True)
class Plan:
    """A training of a known number of steps: `epochs` times `batches`, validated after each of them.

    What is called epoch here is what the trainer calls so: `batches` draws without repeats, of at most all
    training windows. The learning rate's schedule ends with the last step.
    """

    epochs: int
    batches: int
    batch_size: int
    batches_per_pass: int

    @property
    def steps(self) -> int:
        return self.epochs * self.batches

    @property
    def passes(self) -> float:
        """Windows drawn over training windows."""
        return self.steps / self.batches_per_pass

    def overrides(self) -> list[str]:
        return [
            f"trainer.max_epochs={self.epochs}",
            f"trainer.limit_train_batches={self.batches}",
            "callbacks.early_stopping=false",  # the budget is spent; the best validation is kept all the same
        ]


def plan_for(speed: Speed, seconds: float, max_passes: float | None = None) -> Plan:
    """As many steps as a training loop takes in `seconds` at its measured speed.

    Over one pass: the fewest equal parts of at most a pass each. Up to one pass: `LEAST_VALIDATIONS` parts.
    Rounding leaves out less than one step a part.

    Args:
        max_passes: at most so many passes, even if the budget allows more.

    Raises:
        ValueError: the budget is shorter than a step.
    """
    steps = speed.steps_in(seconds)
    if max_passes is not None:
        steps = min(steps, math.floor(max_passes * speed.batches_per_pass))
    if steps < 1:
        raise ValueError(
            f"{seconds:g} s are less than a step of {speed.batch_size} windows at "
            f"{speed.windows_per_second:.1f} windows/s; raise the budget"
        )
    epochs = max(math.ceil(steps / speed.batches_per_pass), min(LEAST_VALIDATIONS, steps))
    return Plan(epochs, steps // epochs, speed.batch_size, speed.batches_per_pass)


@dataclass(frozen=True)
class Contest:
    """All that is to be trained and evaluated."""

    recipes: tuple[Recipe, ...]
    ensembles: tuple[Ensemble, ...] = field(default=())


def read_contest(path: Path | None, seeds: Sequence[int], only: Sequence[str] = ()) -> Contest:
    """Every model of conf/model, and the recipes and ensembles of a YAML file.

    The file has a list `recipes` of entries with `name` and `overrides`, and if wanted `seeds` and
    `max_passes`, and a list `ensembles` of entries with `name` and `members` (names of recipes). A recipe
    with a model's name takes its place.

    Args:
        seeds: of recipes that name none.
        only: names to keep; empty for all.

    Raises:
        ValueError: an entry cannot be read, or a name is unknown or given twice.
    """
    recipes = {
        file.stem: Recipe(file.stem, (f"model={file.stem}",), tuple(seeds))
        for file in sorted((config_dir() / "model").glob("*.yaml"))
    }
    ensembles: dict[str, Ensemble] = {}
    content: Mapping[str, Any] = {}
    if path is not None:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for entry in _entries(content, "recipes", {"name", "overrides"}, {"seeds", "max_passes"}):
        recipes[entry["name"]] = Recipe(
            entry["name"],
            tuple(map(str, entry["overrides"])),
            tuple(entry.get("seeds") or seeds),
            entry.get("max_passes"),
        )
    for entry in _entries(content, "ensembles", {"name", "members"}, set()):
        if unknown := [each for each in entry["members"] if each not in recipes]:
            raise ValueError(f"ensemble {entry['name']} has no such members: {', '.join(unknown)}")
        if entry["name"] in recipes:
            raise ValueError(f"{entry['name']} is a recipe and an ensemble; give one another name")
        ensembles[entry["name"]] = Ensemble(entry["name"], tuple(entry["members"]))
    if unknown := [each for each in only if each not in recipes | ensembles]:
        raise ValueError(f"no such recipes: {', '.join(unknown)}; there are {', '.join(recipes | ensembles)}")
    return Contest(
        tuple(each for each in recipes.values() if not only or each.name in only),
        tuple(each for each in ensembles.values() if not only or each.name in only),
    )


def _entries(
    content: Mapping[str, Any], key: str, needed: set[str], possible: set[str]
) -> list[dict[str, Any]]:
    if unknown := set(content) - {"recipes", "ensembles"}:
        raise ValueError(f"unknown lists: {', '.join(sorted(unknown))}; expected recipes and ensembles")
    entries = content.get(key) or []
    names = [entry.get("name") for entry in entries]
    for entry in entries:
        if not needed <= set(entry) <= needed | possible:
            raise ValueError(
                f"an entry of {key} has {', '.join(map(str, entry))}; expected {', '.join(sorted(needed))}"
                + (f", and if wanted {', '.join(sorted(possible))}" if possible else "")
            )
        if names.count(entry["name"]) > 1 or not str(entry["name"]).replace("_", "").isalnum():
            raise ValueError(f"{entry['name']!r} in {key}: expected different names of letters, digits and _")
    return entries
