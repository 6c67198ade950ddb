"""Evaluate a language model: perplexities of network and Markov chains on validation and test sequence."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genome_lm.atomic import write_text
from genome_lm.build_language import language_data_from, language_network_with_weights, sequence_from
from genome_lm.commands.checkpoints import output_folder
from genome_lm.commands.device import device_from
from genome_lm.commands.settings import MAX_MARKOV_ORDER
from genome_lm.config import DataConfig, EvaluateConfig, TaskConfig
from genome_lm.dataset.source import identify
from genome_lm.errors import UserError
from genome_lm.language.checkpoint import LanguageCheckpoint, read_language_checkpoint
from genome_lm.language.comparison import Scores, fit_rivals, score, target_words
from genome_lm.language.markov import MarkovChains
from genome_lm.tables import to_markdown

logger = logging.getLogger(__name__)

SPLITS = ("valid", "test")


def evaluate_language(config: EvaluateConfig, path: Path, command: str) -> float:
    """Score a language model's checkpoint on the sequence that was held out; return its test perplexity.

    Writes `evaluation/language_model.json` and `.md` into the output folder. The chains are fitted
    anew on the training sequence, their pseudocounts and order chosen on validation, as in training.

    Args:
        config: the composed and resolved configuration; of its keys `output_dir`, `data.path` (the FASTA or
            dataset, where it was moved) and some of `evaluate` have a meaning here.
        path: of the checkpoint.
        command: the command line that repeats this.

    Raises:
        UserError: the checkpoint or the sequence cannot be used, they do not belong together, or no sequence
            was held out for test.
    """
    checkpoint = read_language_checkpoint(path)
    description = checkpoint.description
    task, data = _trained_on(checkpoint, config.data.path)
    data.eval_batch_size = config.evaluate.batch_size
    sequence = sequence_from(task, data)
    if sequence.origin["checksum"] != description.sequence.get("checksum"):
        used = sequence.origin["path"] or "the embedded dataset"
        raise UserError(
            f"checkpoint {path} was trained on another sequence than {used}; give that as data.path"
        )
    if not len(sequence.splits["test"].start):
        raise UserError(
            f"checkpoint {path} was trained without test regions, or with ones shorter than its "
            "stretches, so no sequence is left to evaluate it on; "
            "train with task.regions.test"
        )
    network = language_network_with_weights(checkpoint, config.allowed_packages)
    stretches = language_data_from(sequence, data, seed=0)
    chains = fit_rivals(stretches, target_words(stretches, network, "valid", task.markov_order))
    device = device_from(config.evaluate.accelerator, "evaluate")
    scores = {split: score(stretches, network, chains, split, device) for split in SPLITS}
    folder = (Path(config.output_dir) if config.output_dir else output_folder(None, [path])) / "evaluation"
    text = _markdown(checkpoint, scores, chains)
    write_text(folder / "language_model.md", text)
    content = {
        "command": command,
        "checkpoint": {"path": str(path), "sha256": identify(path).sha256, "model": description.model_name},
        "sequence": sequence.origin,
        "stretch_bp": description.context_bp,
        "markov": {"best_order": chains.best_order, "pseudocount": list(chains.pseudocount)},
        **{split: asdict(each) for split, each in scores.items()},
    }
    write_text(folder / "language_model.json", json.dumps(content, indent=2) + "\n")
    logger.info("%s", text)
    logger.info("%s", folder / "language_model.json")
    return scores["test"].forward


def _trained_on(checkpoint: LanguageCheckpoint, moved_to: str | None) -> tuple[TaskConfig, DataConfig]:
    """The settings of the training that say what its sequence was, with the regions as they were found."""
    description = checkpoint.description
    try:
        task = OmegaConf.to_object(OmegaConf.merge(TaskConfig, description.config["task"]))
        data = OmegaConf.to_object(OmegaConf.merge(DataConfig, description.config["data"]))
        regions = description.sequence["regions"]
        held_out = {name: list(regions[name]) for name in SPLITS}
        found = description.sequence["path"]  # absolute, unlike the setting; None for the embedded dataset
    except (OmegaConfBaseException, KeyError, TypeError) as error:
        raise UserError(
            f"checkpoint {checkpoint.path} is damaged: its description lacks a valid config or sequence; "
            "copy it again or train anew"
        ) from error
    assert isinstance(task, TaskConfig)
    assert isinstance(data, DataConfig)
    if not 0 <= task.markov_order <= MAX_MARKOV_ORDER:
        raise UserError(
            f"checkpoint {checkpoint.path} is damaged: its task.markov_order is {task.markov_order}; "
            f"expected 0 to {MAX_MARKOV_ORDER}; copy it again or train anew"
        )
    data.num_workers = 0  # of this machine, not of the one that trained
    if task.fasta is None:
        data.path = found if moved_to is None else moved_to
    else:
        task.fasta = found if moved_to is None else moved_to
        task.regions.valid, task.regions.test = held_out["valid"], held_out["test"]
    return task, data


def _markdown(checkpoint: LanguageCheckpoint, scores: dict[str, Scores], chains: MarkovChains) -> str:
    """The perplexities as a table."""

    def row(name: str, values: list[float | None]) -> list[str]:
        return [name, *("-" if value is None else f"{value:.4f}" for value in values)]

    both = [scores[split] for split in SPLITS]
    table = [["perplexity", *SPLITS], row(checkpoint.description.model_name, [each.forward for each in both])]
    if both[0].backward is not None:
        table.append(row("backward direction", [each.backward for each in both]))
        table.append(row("both directions", [each.both for each in both]))
    for order in range(len(chains.log_p)):
        best = ", best on validation" if order == chains.best_order else ""
        table.append(row(f"Markov chain of order {order}{best}", [each.markov[order] for each in both]))
    bases = " and ".join(f"{scores[split].n_bases:,} of {split}" for split in SPLITS)
    return (
        f"# Language model {checkpoint.path.parent.parent.name}\n\n{to_markdown(table, left=(0,))}\n\n"
        f"exp of the mean cross-entropy in nats of each predicted base, {bases}, in stretches of "
        f"{checkpoint.description.context_bp} bp; network and chains read the same bases before it, and "
        "nothing before its stretch. The backward direction predicts other bases.\n"
    )
