"""What a finished training of a language model says of itself: the contents of its training.json."""

from dataclasses import dataclass

from genome_lm import __version__
from genome_lm.commands.session import Finished
from genome_lm.language.checkpoint import LanguageDescription
from genome_lm.language.module import LanguageModule
from genome_lm.naming import task_ids_sha256
from genome_lm.network import token_count

NEXT_BASE = "next base"


@dataclass(frozen=True)
class LanguageResult:
    """What a finished run says of itself; also written to `training.json`, with the keys of `TrainResult`.

    Perplexities are over four letters, of the epoch in `best_checkpoint`: of the forward direction, and
    (None without one) of the backward one and of both. Those of the Markov chains are on the bases that the
    forward direction predicts; `valid_prior_perplexity` is that of order 0. Windows are stretches.
    """

    model: str
    valid_perplexity: float
    valid_prior_perplexity: float
    valid_markov_perplexity: float
    valid_markov_order: int
    valid_backward_perplexity: float | None
    valid_both_perplexity: float | None
    valid_skill: float
    task_set: str
    task_ids_sha256: str
    parameters: int
    epochs: int
    best_epoch: int
    seconds: float
    windows_per_second: float | None  # None if no step was timed
    tokens_per_window: int
    tokens_per_second: float | None
    data_wait_share: float | None
    seed: int
    dataset_checksum: str
    genome_lm_version: str
    best_checkpoint: str
    command: str  # these four: see genome_lm.provenance.Provenance
    started: str
    code_version: str
    versions: dict[str, str]


def language_result(
    finished: Finished, module: LanguageModule, task_set: str, markov_order: int
) -> LanguageResult:
    """The figures of a finished training of a language model.

    Args:
        task_set: what is predicted, in words.
        markov_order: of the best chain.
    """
    description = LanguageDescription(**module.description)
    valid, report, origin = finished.valid, finished.report, finished.session.origin
    windows_per_second = report.windows_per_second
    tokens = token_count(module.network.tokenizer, description.context_bp)
    return LanguageResult(
        model=description.model_name,
        valid_perplexity=finished.perplexity,
        valid_prior_perplexity=valid["prior_perplexity"],
        valid_markov_perplexity=valid["markov_perplexity"],
        valid_markov_order=markov_order,
        valid_backward_perplexity=valid.get("backward_perplexity"),
        valid_both_perplexity=valid.get("both_perplexity"),
        valid_skill=valid["skill"],
        task_set=task_set,
        task_ids_sha256=task_ids_sha256([NEXT_BASE]),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        epochs=finished.epochs,
        best_epoch=finished.epoch + 1,
        seconds=finished.seconds,
        windows_per_second=windows_per_second,
        tokens_per_window=tokens,
        tokens_per_second=None if windows_per_second is None else windows_per_second * tokens,
        data_wait_share=report.data_wait_share,
        seed=finished.session.config.seed,
        dataset_checksum=str(description.sequence["checksum"]),
        genome_lm_version=__version__,
        best_checkpoint=finished.best_checkpoint,
        command=origin.command,
        started=origin.started,
        code_version=origin.code_version,
        versions=origin.versions,
    )
