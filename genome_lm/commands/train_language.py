"""Train one language model: from a composed configuration to a run folder."""

import math
import time
from collections.abc import Mapping
from typing import Any

from genome_lm import __version__
from genome_lm.build import optimizer_from
from genome_lm.build_language import (
    language_data_from,
    language_network_from,
    language_network_with_weights,
    sequence_from,
)
from genome_lm.checkpoint import VERSION
from genome_lm.commands.acceleration import accelerate
from genome_lm.commands.language_result import NEXT_BASE, LanguageResult, language_result
from genome_lm.commands.resume import ResumePoint, check_same_settings
from genome_lm.commands.session import Session, Undertaking, plain_settings, run, say
from genome_lm.commands.start import start_for
from genome_lm.config import TrainConfig
from genome_lm.errors import UserError
from genome_lm.held_out import with_start
from genome_lm.language.checkpoint import LanguageDescription, read_language_checkpoint
from genome_lm.language.comparison import fit_rivals, target_words
from genome_lm.language.module import LanguageModule
from genome_lm.language.sequence import SplitSequence
from genome_lm.pretrained import start_from


def train_language(session: Session) -> LanguageResult:
    """Train a language model as configured and leave a run folder behind.

    Raises:
        UserError: the configuration or the sequence cannot be used, or the loss stops being finite.
    """
    config = session.config
    sequence = sequence_from(config.task, config.data)
    start, started_from = start_for(config, sequence.origin, session.resume)
    description = describe(config, sequence, started_from)
    network = language_network_from(description, config.allowed_packages)
    if session.resume is not None:
        _check_resumable(config, description, session.resume)
    elif start is not None:
        start_from(network, vars(description), start)
    else:
        network.load_sources()
    accelerate(network, config.trainer)
    data = language_data_from(sequence, config.data, config.seed)
    _announce_sequence(config, sequence)
    limit = config.trainer.limit_val_batches
    words = target_words(
        data,
        network,
        "valid",
        config.task.markov_order,
        None if limit is None else limit * config.data.eval_batch_size,
    )
    started = time.perf_counter()
    chains = fit_rivals(data, words)
    rivals, best = chains.cross_entropies(words), chains.best_order
    say(
        "markov  orders 0 to %d fitted in %.0f s; the best on validation is %d",
        words.max_order,
        time.perf_counter() - started,
        best,
    )
    task_set = f"{NEXT_BASE}, {words.n_bases:,} of validation"
    module = LanguageModule(
        network,
        optimizer_from(config.optimizer),
        {"prior": rivals[0], "markov": rivals[best]},
        description.as_dict(),
    )
    parameters = sum(parameter.numel() for parameter in module.parameters())

    def announce() -> None:
        say("model   %s, %s parameters, seed %d", description.model_name, f"{parameters:,}", config.seed)
        if config.model.init_from is not None:
            say("from    %s", config.model.init_from)
        say("run     %s", session.run_dir)
        if session.resume is not None:
            say("resume  %s, %s steps", session.resume.path, f"{session.resume.step:,}")

    def line(values: Mapping[str, float]) -> str:
        # A training that runs out of time may end an epoch before it is validated.
        train, valid, backward, markov, prior = (
            values.get(name, math.nan)
            for name in (
                "train/perplexity",
                "valid/perplexity",
                "valid/backward_perplexity",
                "valid/markov_perplexity",
                "valid/prior_perplexity",
            )
        )
        both = f"{valid:.4f}" if math.isnan(backward) else f"{valid:.4f}, backward {backward:.4f}"
        return (
            f"train perplexity {train:.4f}   valid {both} (Markov of order {best} {markov:.4f}, of order 0 "
            f"{prior:.4f})"
        )

    return run(
        session,
        module,
        data,
        Undertaking(
            settings=description.config,
            facts={"task_set": task_set, "parameters": parameters, "dataset": description.sequence},
            line=line,
            announce=announce,
            gather=lambda finished: language_result(finished, module, task_set, best),
            done=_done,
        ),
    )


def _announce_sequence(config: TrainConfig, sequence: SplitSequence) -> None:
    """Say what is read, before the words of a whole genome are counted, which takes a while."""
    bases = {name: f"{part.n_bases / 1e6:,.2f}" for name, part in sequence.splits.items()}
    say(
        "data    %s: %s Mb train, %s Mb valid and %s Mb test, in stretches of %d bp",
        config.task.fasta or config.data.path or "the embedded dataset",
        bases["train"],
        bases["valid"],
        bases["test"],
        config.data.context_bp,
    )
    for name in ("valid", "test"):
        say("        %-5s %s", name, ", ".join(sequence.origin["regions"][name]) or "none")


def describe(
    config: TrainConfig, sequence: SplitSequence, started_from: Mapping[str, Any] | None = None
) -> LanguageDescription:
    """What the checkpoints of this run will say about themselves."""
    settings = plain_settings(config)
    return LanguageDescription(
        kind=config.task.name.value,
        version=VERSION,
        genome_lm_version=__version__,
        model_name=config.model.name,
        tokenizer=settings["tokenizer"],
        stem=settings["stem"],
        encoder=settings["model"]["encoder"],
        context_bp=config.data.context_bp,
        sequence=with_start(sequence.origin, started_from),
        config=settings,
    )


def _check_resumable(config: TrainConfig, description: LanguageDescription, resume: ResumePoint) -> None:
    """A checkpoint to go on from must hold the same network and sequence, and leave epochs to train."""
    saved = read_language_checkpoint(resume.path)
    if resume.exact:
        check_same_settings(resume.config, description.config, resume.path.parents[1])
    for name in ("encoder", "tokenizer", "stem", "context_bp"):
        if getattr(saved.description, name) != getattr(description, name):
            raise UserError(
                f"checkpoint {saved.path} was trained with another {name} than this configuration; "
                "repeat the settings of its config.yaml, or train anew without ckpt_path"
            )
    for name in ("checksum", "regions"):
        if saved.description.sequence.get(name) != description.sequence[name]:
            raise UserError(
                f"checkpoint {saved.path} was trained on another sequence or other regions than these; "
                "repeat the settings of its config.yaml, or train anew without ckpt_path"
            )
    language_network_with_weights(saved, config.allowed_packages)
    if resume.epochs >= config.trainer.max_epochs and not resume.exact:
        raise UserError(
            f"checkpoint {saved.path} has {resume.epochs} epochs behind it and trainer.max_epochs is "
            f"{config.trainer.max_epochs}; give more to go on"
        )


def _done(result: LanguageResult) -> str:
    return (
        f"valid perplexity {result.valid_perplexity:.4f}, Markov chain of order {result.valid_markov_order} "
        f"{result.valid_markov_perplexity:.4f}, of order 0 {result.valid_prior_perplexity:.4f} "
        f"({result.task_set}); best of {result.epochs} epochs: {result.best_epoch}; "
        f"{result.seconds / 60:.1f} min"
    )
