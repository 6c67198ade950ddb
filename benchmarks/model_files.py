"""The models of conf/model as networks, read with PyYAML alone: no Hydra, so that they can be built anywhere.

`python train.py` composes its configuration with Hydra; this reads the same files by the few rules that they
use (tests/test_model_benchmark.py compares the two).
"""

from pathlib import Path
from typing import Any

from genome_lm.build import network_from
from genome_lm.checkpoint import VERSION, Description
from genome_lm.network import Network

CONF = Path(__file__).parents[1] / "conf"
GROUPS = ("tokenizer", "stem", "head")
CHARACTERS = "onehot"


def model_names() -> list[str]:
    """Every model that has a file."""
    return sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


def read_yaml(path: Path) -> dict[str, Any]:
    """A file of the configuration as plain values."""
    try:
        import yaml
    except ImportError:
        raise SystemExit("PyYAML is not installed and conf/ is written in YAML; pip install pyyaml") from None
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {} if content is None else content


def group_of(group: str, choice: str) -> dict[str, Any]:
    """A file of a group on top of the files that its own defaults list names, in order."""
    content = read_yaml(CONF / group / f"{choice}.yaml")
    merged: dict[str, Any] = {}
    for entry in content.pop("defaults", []):
        if entry != "_self_":
            merged |= group_of(group, entry)
    return merged | content


def configuration(name: str, characters: bool = False) -> dict[str, Any]:
    """Encoder, tokenizer, stem and head of `model=NAME`, plain values.

    Window features are left out: they stand beside every encoder alike and would hide its speed.

    Args:
        characters: one token a base, whatever the model's file says.
    """
    choices = {}
    for entry in read_yaml(CONF / "train.yaml")["defaults"]:
        if isinstance(entry, dict):
            choices |= entry
    model = read_yaml(CONF / "model" / f"{name}.yaml")
    for entry in model.get("defaults", []):
        if isinstance(entry, dict):
            ((key, choice),) = entry.items()
            choices[key.removeprefix("override /").partition("@")[0]] = choice
    if characters:
        choices["tokenizer"] = CHARACTERS
    parts = {group: group_of(group, choices[group]) for group in GROUPS}
    return {"encoder": model["encoder"], **parts}


def network_of(config: dict[str, Any], context_bp: int, n_tasks: int) -> Network:
    """A network with fresh weights for tasks that are positive in one window of twenty.

    Raises:
        UserError: the model cannot read so short a window.
    """
    ids = [f"task {number}" for number in range(n_tasks)]
    return network_from(
        Description(
            version=VERSION,
            genome_lm_version="",
            model_name="",
            context_bp=context_bp,
            average_strands=False,
            tasks=dict.fromkeys(("id", "cell", "target", "treatment", "group"), ids),
            positive_rate=[0.05] * n_tasks,
            task_set="",
            dataset={},
            config={},
            **config,
        ),
        ["genome_lm"],
    )


def reads_characters(config: dict[str, Any]) -> bool:
    """Whether a model's own tokens are single bases."""
    return config["tokenizer"]["_target_"].rpartition(".")[2] in ("OneHotTokenizer", "CharacterTokenizer")


def gru_like(config: dict[str, Any], width: int, widest: int) -> dict[str, Any]:
    """The configuration with torch's GRU over one-hot characters in place of its encoder, tokens and stem.

    Args:
        width: features of the encoder's states.
        widest: state features of a direction at most; a GRU as wide as the dense layer of a convolutional
            network would take minutes a step.

    Returns:
        As many layers and directions as the encoder has by its own arguments, one of each where it has none.
    """
    encoder = config["encoder"]
    bidirectional = bool(encoder.get("bidirectional", False))
    return {
        **config,
        "tokenizer": group_of("tokenizer", CHARACTERS),
        "stem": group_of("stem", "none"),
        "encoder": {
            "_target_": "genome_lm.encoders.recurrent.RecurrentEncoder",
            "cell": "gru",
            "hidden_size": min(width // (2 if bidirectional else 1), widest),
            "num_layers": encoder.get("num_layers", 1),
            "bidirectional": bidirectional,
            "dropout": 0.0,
        },
    }
