"""Make a dataset file as configured."""

import logging
from collections.abc import Collection
from pathlib import Path

from genome_lm.choices import SourceKind
from genome_lm.config import PrepareConfig, SourceConfig
from genome_lm.dataset.deepsea.prepare import prepare_deepsea
from genome_lm.dataset.deepsea.settings import DeepseaSettings
from genome_lm.dataset.prepare import prepare as prepare_dataset
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.dataset.summary import PrepareSummary
from genome_lm.errors import UserError

logger = logging.getLogger(__name__)

_OF_DEEPSEA = ("source", "output", "genome_build", "bin_bp", "seed", "overwrite", "progress_bar")
"""Keys that DeepSEA's files leave a choice of."""


def prepare(config: PrepareConfig, interactive: bool, given: Collection[str] = ()) -> None:
    """Prepare `config.output` and print what it holds.

    Args:
        config: the composed configuration.
        interactive: whether a person watches a terminal (decides on the progress bar when that is null).
        given: keys that the user set, of which none may be without effect.

    Raises:
        UserError: see `genome_lm.dataset.prepare.prepare` and `genome_lm.dataset.deepsea.prepare`; the output
            exists and `overwrite` is off; or a key was given that the source has no use for.
    """
    output = Path(config.output)
    if output.exists() and not config.overwrite:
        raise UserError(f"output {output} exists; choose another name, or overwrite=true")
    progress = interactive if config.progress_bar is None else config.progress_bar
    if config.source.name is SourceKind.deepsea:
        unused = [key for key in given if key not in _OF_DEEPSEA and key != "hydra"]
        if unused:
            raise UserError(
                f"{min(unused)} has no effect with source=deepsea, whose files hold finished windows; "
                f"possible: {', '.join(_OF_DEEPSEA)}"
            )
        deepsea = prepare_deepsea(output, _deepsea_settings(config), progress)
        logger.info("%s", deepsea.text())
    else:
        logger.info("%s", _prepare_peaks(config, output, progress).text())


def _deepsea_settings(config: PrepareConfig) -> DeepseaSettings:
    source = config.source
    if source.folder is None:
        raise UserError("source.folder must be given with source=deepsea; see genome-lm prepare --help")
    folder = Path(source.folder)
    return DeepseaSettings(
        train=folder / source.train,
        valid=folder / source.valid,
        test=folder / source.test,
        genome_build=config.genome_build,
        task_names=Path(source.task_names) if source.task_names else None,
        pairs=source.pairs,
        subset=(source.subset.train, source.subset.valid, source.subset.test),
        bin_bp=config.bin_bp,
        seed=config.seed,
    )


def _prepare_peaks(config: PrepareConfig, output: Path, progress: bool) -> PrepareSummary:
    if config.fasta is None or config.manifest is None:
        raise UserError("fasta and manifest must be given with source=peaks; see genome-lm prepare --help")
    if config.source != SourceConfig(name=SourceKind.peaks, folder=None):
        raise UserError(
            "keys below source have no effect with source=peaks; use source=deepsea for its files"
        )
    settings = PrepareSettings(
        genome_build=config.genome_build,
        bin_bp=config.bin_bp,
        min_coverage=config.min_coverage,
        min_positives=config.min_positives,
        window_bp=config.window_bp,
        n_policy=config.n_policy,
        end_policy=config.end_policy,
        blacklist=Path(config.blacklist) if config.blacklist else None,
        valid=tuple(config.splits.valid),
        test=tuple(config.splits.test),
        buffer_bp=config.splits.buffer_bp,
        background_per_positive=config.background_per_positive,
        seed=config.seed,
        strict=config.strict,
        storage=config.storage,
    )
    return prepare_dataset(Path(config.fasta), Path(config.manifest), output, settings, progress)
