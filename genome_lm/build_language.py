"""From configuration and checkpoints to what a language model is trained on and made of."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from genome_lm.build import dataset_from, parts_from
from genome_lm.config import DataConfig, TaskConfig
from genome_lm.errors import UserError
from genome_lm.language.checkpoint import LanguageCheckpoint, LanguageDescription
from genome_lm.language.datamodule import LanguageDataModule
from genome_lm.language.network import LanguageNetwork
from genome_lm.language.sequence import SplitSequence, sequence_of_dataset, sequence_of_fasta
from genome_lm.restore import restore


def sequence_from(task: TaskConfig, data: DataConfig) -> SplitSequence:
    """The sequence that `conf/task` names: a FASTA, split by region, or the stored bases of a dataset.

    Raises:
        UserError: the file cannot be used, or regions are missing or wrong.
    """
    given = {"valid": task.regions.valid, "test": task.regions.test}
    if task.fasta is None:
        for name, regions in given.items():
            if regions is not None:
                raise UserError(
                    f"task.regions.{name} is given without task.fasta; a dataset is split as its windows "
                    "are: give a FASTA, or leave the regions out"
                )
        dataset = dataset_from(data.path)
        sequence = sequence_of_dataset(dataset, data.context_bp)
        # The embedded dataset is found again wherever the package is installed.
        path = str(dataset.path.resolve()) if data.path else None
        return replace(sequence, origin={"path": path} | sequence.origin)
    if None in given.values():
        recipe = dataset_from(data.path).recipe
        given = {name: recipe.get(name) if regions is None else regions for name, regions in given.items()}
    for name, regions in given.items():
        if regions is None:
            raise UserError(
                f"task.regions.{name} is null and the dataset names no regions of its own; set it to regions "
                "or names of records of the FASTA, such as [chr7]"
            )
    return sequence_of_fasta(
        Path(task.fasta),
        given["valid"] or [],
        given["test"] or [],
        task.regions.buffer_bp,
        data.context_bp,
    )


def language_data_from(sequence: SplitSequence, config: DataConfig, seed: int) -> LanguageDataModule:
    """Batches of stretches as `conf/data` describes them."""
    return LanguageDataModule(
        sequence,
        config.context_bp,
        batch_size=config.batch_size,
        eval_batch_size=config.eval_batch_size,
        reverse_complement=config.reverse_complement,
        num_workers=config.num_workers,
        seed=seed,
    )


def language_network_from(
    description: LanguageDescription, allowed_packages: Sequence[str]
) -> LanguageNetwork:
    """The network that a description names, with fresh weights.

    Raises:
        UserError: see `parts_from`; or a part sees the bases that are to be predicted, or a stretch is too
            short to predict any.
    """
    network = LanguageNetwork(*parts_from(description, allowed_packages))
    if not len(network.forward_targets(description.context_bp)):
        raise UserError(
            f"data.context_bp is {description.context_bp}, which this tokenizer makes one token of: no base "
            "is left to predict; raise it"
        )
    return network


def language_network_with_weights(
    checkpoint: LanguageCheckpoint, allowed_packages: Sequence[str]
) -> LanguageNetwork:
    """The trained network of a checkpoint.

    Raises:
        UserError: as `language_network_from` and `genome_lm.restore.restore`.
    """
    description = checkpoint.description
    return restore(
        checkpoint.path,
        checkpoint.weights,
        {
            "tokenizer": description.tokenizer,
            "stem": description.stem,
            "model.encoder": description.encoder,
        },
        description.context_bp,
        lambda: language_network_from(description, allowed_packages),
    )
