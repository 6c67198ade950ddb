"""Weights to start from: tokenizer, stem and encoder of another training, whatever it was for."""

from collections.abc import Mapping
from typing import Any

from genome_lm.checkpoint import Content
from genome_lm.errors import UserError
from genome_lm.language.network import LanguageNetwork
from genome_lm.network import Network

PARTS = {"tokenizer": "tokenizer", "stem": "stem", "encoder": "model.encoder"}
"""Parts of a network that are taken over, and where their settings stand in the configuration."""

NOT_COMPARED = frozenset({"embedding_file", "freeze_embedding", "word_dropout"})
"""Settings of training alone: they change neither a part's weights in number nor what these mean."""

_NO_STEM = {"_target_": "genome_lm.stems.NoStem"}


def start_from(
    network: Network | LanguageNetwork, settings: Mapping[str, Mapping[str, Any]], start: Content
) -> None:
    """Give a network the weights of a checkpoint of any kind; pooling and head keep theirs.

    Args:
        network: as `settings` describes it.
        settings: `_target_` and arguments of each of `PARTS`.
        start: the checkpoint.

    Raises:
        UserError: its parts are not the same as the network's: names the
            first setting that differs, `NOT_COMPARED` aside.
    """
    path = start.path
    saved = {"stem": _NO_STEM} | start.description
    for part, key in PARTS.items():
        theirs, ours = saved.get(part), settings[part]
        if not isinstance(theirs, dict):
            raise UserError(f"model.init_from {path} is damaged: its description lacks a valid {part}")
        for name in ["_target_", *sorted({*theirs, *ours} - NOT_COMPARED - {"_target_"})]:
            if theirs.get(name) != ours.get(name):
                raise UserError(
                    f"model.init_from {path} has {key}.{name} {theirs.get(name)!r} and this configuration "
                    f"{ours.get(name)!r}; the tokenizer, the stem and the encoder must be the same: repeat "
                    "the settings of its config.yaml"
                )
    for part in PARTS:
        prefix = f"{part}."
        weights = {
            name.removeprefix(prefix): value
            for name, value in start.weights.items()
            if name.startswith(prefix)
        }
        try:
            getattr(network, part).load_state_dict(weights)
        except RuntimeError as error:  # of equal settings, so only a length can differ
            raise UserError(
                f"model.init_from {path} has weights of another shape in its {part}: it was trained on "
                "another data.context_bp, or it is damaged"
            ) from error
