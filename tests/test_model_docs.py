"""docs/models.md has every model, with its parameters and its context."""

import re
from pathlib import Path

import pytest
import torch
from models import MODELS, compose_model, description_of

from genome_lm.build import network_from

TEXT = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")


def table() -> dict[str, tuple[str, str]]:
    """Context and parameters by model, of the first table; a row may hold several models."""
    rows = {}
    for line in TEXT.split("\n## ")[0].splitlines():
        if line.startswith("| `"):
            models, _, _, context, parameters, _ = (cell.strip() for cell in line.strip("|").split("|"))
            names, counts = re.findall(r"`(\w+)`", models), parameters.split("; ")
            rows.update(zip(names, [(context, count) for count in counts], strict=True))
    return rows


@pytest.mark.parametrize("name", MODELS)
def test_the_row_of_a_model(name):
    config = compose_model(name)
    onehot = str(config.tokenizer._target_).endswith("OneHotTokenizer")
    with torch.device("meta" if onehot else "cpu"):  # without memory for the weights of the large ones
        network = network_from(description_of(config, n_tasks=374), ["genome_lm"])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert table()[name] == (f"{config.data.context_bp:,}", f"{parameters:,}")


def test_no_row_without_a_model():
    assert set(table()) <= set(MODELS)
