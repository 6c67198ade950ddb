"""What a run's config.yaml says of its tasks, its validation windows and its likeness to other runs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome_lm.incidental import INCIDENTAL
from genome_lm.leaderboard.fields import Damaged, Fields
from genome_lm.plain import plain_text
from genome_lm.plain_yaml import plain_yaml

CONFIG_FILE = "config.yaml"

# What else may differ between runs of one configuration.
LEFT_OUT = INCIDENTAL | {
    "": INCIDENTAL[""] | {"seed"},
    "data": INCIDENTAL["data"] | {"path", "eval_batch_size"},  # the dataset is compared by its checksum
    "trainer": INCIDENTAL["trainer"] | {"log_every_n_steps"},
}
# What configurations of older versions lack, and what such a run did.
SINCE_THEN = {
    "stem": {"_target_": "genome_lm.stems.NoStem"},
    "strand_encoding": "single",
    "window_features": {"_target_": "genome_lm.window_features.NoFeatures"},
    "data": {"train_fraction": 1.0},
    "model": {"init_from": None},
    "task": {
        "name": "multitask",
        "weighting": "uniform",
        "fasta": None,
        "regions": {"valid": None, "test": None, "buffer_bp": 1000},
        "markov_order": 10,
    },
}


@dataclass(frozen=True)
class Configuration:
    """Of a run.

    Attributes:
        likeness: equal for runs that differ in settings of `LEFT_OUT` only.
        task_choice: decides, with the dataset, on the tasks: equal choices mean equal tasks.
        min_positive_rate: scored tasks with at least this rate are all the tasks trained on.
        limit_val_batches: batches validated on; None is all.
        average_strands: whether validation averaged both strands, their logits or (shared strands) their
            states; None where that is unknown.
    """

    likeness: str
    task_choice: str
    min_positive_rate: float
    limit_val_batches: int | None
    average_strands: bool | None


def read_configuration(run_dir: Path) -> Configuration:
    """Read `config.yaml` of a run folder.

    Raises:
        Damaged: the file cannot be read, or lacks what is needed of it.
    """
    try:
        content = plain_yaml(plain_text(run_dir / CONFIG_FILE))
    except OSError as error:
        raise Damaged(f"{CONFIG_FILE} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Damaged(f"{CONFIG_FILE} is damaged: no YAML") from error
    if not isinstance(content, dict):
        raise Damaged(f"{CONFIG_FILE} is damaged: expected keys and values")
    fields = Fields(CONFIG_FILE, content)
    rate = fields.number("data.min_positive_rate", 0, 1)
    if rate is None:
        raise Damaged(f"{CONFIG_FILE}: data.min_positive_rate is no number")
    ids, groups = fields.items("data.tasks.ids"), fields.items("data.tasks.groups")
    limit = fields.number_if_there("trainer.limit_val_batches", 1)
    content = _completed(content, SINCE_THEN)
    strands = content["strand_encoding"] == "shared" or content.get("average_strands")
    return Configuration(
        likeness=_canonical(_without_incidentals(content)),
        # Tasks chosen by id count whatever their rate; the rate then only decides on those of a group.
        task_choice=_canonical([0.0 if ids and not groups else rate, _sorted(ids), _sorted(groups)]),
        min_positive_rate=0.0 if ids else rate,
        limit_val_batches=None if limit is None else int(limit),
        average_strands=strands if isinstance(strands, bool) else None,
    )


def _completed(content: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with what it lacks of `defaults`, in every section that is one of keys and values."""
    completed = {**defaults, **content}
    for name, inner in defaults.items():
        # A part that is named by its class has the arguments of that class, and no others.
        if isinstance(inner, Mapping) and isinstance(content.get(name), Mapping) and "_target_" not in inner:
            completed[name] = _completed(content[name], inner)
    return completed


def _without_incidentals(content: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    left_out = LEFT_OUT[section]
    kept = {key: value for key, value in content.items() if key not in left_out}
    if not section:
        for name in LEFT_OUT:
            if name and isinstance(kept.get(name), Mapping):
                kept[name] = _without_incidentals(kept[name], name)
    return kept


def _sorted(names: list[Any]) -> list[str]:
    return sorted({str(name) for name in names})


def _canonical(value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError) as error:  # keys of mixed types, or a loop of aliases
        raise Damaged(f"{CONFIG_FILE} is damaged: not as genome_lm writes it") from error
