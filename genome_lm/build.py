"""From configuration and checkpoints to objects; nothing else in the program does this."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from genome_lm.checkpoint import Checkpoint, Description
from genome_lm.choices import NormKind, StrandEncoding, TaskWeighting
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.fraction import training_windows
from genome_lm.dataset.reading import embedded_dataset_path, open_dataset
from genome_lm.encoders.base import Encoder, FixedLengthEncoder
from genome_lm.errors import UserError
from genome_lm.heads import MultitaskHead, Pooling
from genome_lm.module import MultitaskModule
from genome_lm.network import Network, token_count
from genome_lm.optimizer import OptimizerSettings
from genome_lm.parts import class_from, construct, part_from
from genome_lm.restore import restore
from genome_lm.stems import Stem
from genome_lm.tokenizers import Tokenizer
from genome_lm.window_features import WindowFeatures

if TYPE_CHECKING:  # for their names: a network can be built where OmegaConf is not installed
    from genome_lm.config import DataConfig, OptimizerConfig


def dataset_from(path: str | None) -> Dataset:
    """Open the dataset at `path`, or the embedded one when there is none."""
    return open_dataset(Path(path) if path else embedded_dataset_path())


def datamodule_from(dataset: Dataset, tasks: Any, config: "DataConfig", seed: int) -> GenomeDataModule:
    """Batches as `conf/data` describes them."""
    return GenomeDataModule(
        dataset,
        tasks,
        train_windows=training_windows(dataset, config.train_fraction, seed),
        context_bp=config.context_bp,
        batch_size=config.batch_size,
        eval_batch_size=config.eval_batch_size,
        max_shift_bp=config.max_shift_bp,
        reverse_complement=config.reverse_complement,
        num_workers=config.num_workers,
        seed=seed,
        resident=config.resident,
    )


class Parts(Protocol):
    """What a description of any kind of network says of its parts."""

    @property
    def tokenizer(self) -> dict[str, Any]:
        """`_target_` and constructor arguments."""

    @property
    def stem(self) -> dict[str, Any]:
        """The same."""

    @property
    def encoder(self) -> dict[str, Any]:
        """The same."""

    @property
    def context_bp(self) -> int:
        """Bases that the network reads."""


def parts_from(description: Parts, allowed_packages: Sequence[str]) -> tuple[Tokenizer, Stem, Encoder]:
    """Tokenizer, stem and encoder that a description names, with fresh weights.

    Raises:
        UserError: a part is unknown, not allowed, or has wrong arguments; or the context is too short.
    """
    tokenizer = part_from(
        "tokenizer",
        Tokenizer,  # type: ignore[type-abstract]
        description.tokenizer,
        (),
        allowed_packages,
    )
    if description.context_bp < tokenizer.min_bp:
        raise UserError(
            f"data.context_bp is {description.context_bp}; "
            f"this tokenizer needs at least {tokenizer.min_bp} bp"
        )
    stem = part_from(
        "stem",
        Stem,  # type: ignore[type-abstract]
        description.stem,
        (tokenizer.width,),
        allowed_packages,
    )
    tokens = token_count(tokenizer, description.context_bp)
    _check_length("stem", stem.min_length, tokens, description.context_bp)
    return tokenizer, stem, _encoder_from(description, stem, stem.out_length(tokens), allowed_packages)


def network_from(description: Description, allowed_packages: Sequence[str]) -> Network:
    """The network that a description names, with fresh weights and its head's bias at the task priors.

    Raises:
        UserError: see `parts_from`; or the head has a setting out of range.
    """
    tokenizer, stem, encoder = parts_from(description, allowed_packages)
    head = description.head
    input_dropout = head["input_dropout"]
    if not 0 <= input_dropout < 1:
        raise UserError(f"head.input_dropout is {input_dropout}; expected 0 <= input_dropout < 1")
    pooling = Pooling(head["pooling"], encoder.width, head.get("centre", 1.0))
    features = part_from(
        "window_features",
        WindowFeatures,  # type: ignore[type-abstract]
        description.window_features,
        (),
        allowed_packages,
    )
    if description.context_bp < features.min_bp:
        raise UserError(
            f"data.context_bp is {description.context_bp}; these window_features need at least "
            f"{features.min_bp} bp"
        )
    if features.width and head["norm"] != NormKind.batch:
        raise UserError(
            f"head.norm is {head['norm']}; window_features are not standardised by themselves: "
            "use head.norm=batch, or window_features=none"
        )
    rate = torch.tensor(description.positive_rate, dtype=torch.float64)
    return Network(
        tokenizer,
        encoder,
        pooling,
        MultitaskHead(pooling.width + features.width, rate, head["kind"], head["dropout"], head["norm"]),
        input_dropout=input_dropout,
        stem=stem,
        strand_encoding=StrandEncoding(description.strand_encoding),
        window_features=features,
    )


def _encoder_from(description: Parts, stem: Stem, length: int, allowed_packages: Sequence[str]) -> Encoder:
    """The encoder of `length` tokens of the stem's width."""
    key, context_bp = "model.encoder", description.context_bp
    found = class_from(key, Encoder, description.encoder, allowed_packages)  # type: ignore[type-abstract]
    if issubclass(found, FixedLengthEncoder):
        # It says itself what it needs: its layers cannot be made for less.
        return construct(key, found, description.encoder, (stem.width, length))
    encoder = construct(key, found, description.encoder, (stem.width,))
    _check_length("encoder", encoder.min_length, length, context_bp)
    return encoder


def _check_length(part: str, needed: int, tokens: int, context_bp: int) -> None:
    if tokens < needed:
        raise UserError(
            f"data.context_bp is {context_bp}, which leaves {tokens} tokens for this {part}; it needs at "
            f"least {needed}: raise data.context_bp, or choose a tokenizer and a stem that leave more tokens"
        )


def network_with_weights(checkpoint: Checkpoint, allowed_packages: Sequence[str]) -> Network:
    """The trained network of a checkpoint.

    Raises:
        UserError: as `network_from` and `restore`.
    """
    description = checkpoint.description
    settings = {
        "tokenizer": description.tokenizer,
        "stem": description.stem,
        "model.encoder": description.encoder,
        "window_features": description.window_features,
        "head": description.head,
    }
    return restore(
        checkpoint.path,
        checkpoint.weights,
        settings,
        description.context_bp,
        lambda: network_from(description, allowed_packages),
    )


def module_from(
    description: Description,
    optimizer: "OptimizerConfig",
    allowed_packages: Sequence[str],
    prior_rate: Sequence[float] | np.ndarray | None = None,
    weighting: TaskWeighting = TaskWeighting.uniform,
) -> MultitaskModule:
    """A module with fresh weights, ready to train.

    Args:
        prior_rate: rates of the constant prediction that stands beside the network's perplexity; None for
            those at which the network starts, the rates of the windows trained on.
        weighting: of the tasks in the training loss.
    """
    rate = description.positive_rate if prior_rate is None else prior_rate
    return MultitaskModule(
        network_from(description, allowed_packages),
        torch.as_tensor(rate, dtype=torch.float64),
        optimizer_from(optimizer),
        average_strands=description.average_strands,
        description=description.as_dict(),
        weighting=weighting,
    )


def optimizer_from(config: "OptimizerConfig") -> OptimizerSettings:
    """How the weights are changed, as `conf/optimizer` describes it.

    Raises:
        UserError: a value is out of range.
    """
    return OptimizerSettings(
        name=config.name,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        embedding_decay=config.embedding_decay,
        warmup_fraction=config.warmup_fraction,
        schedule=config.schedule,
    )
