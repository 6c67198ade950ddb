"""Make a dataset file as configured."""

import logging
from pathlib import Path

from genome_lm.config import PrepareConfig
from genome_lm.dataset.prepare import prepare as prepare_dataset
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.errors import UserError

logger = logging.getLogger(__name__)


def prepare(config: PrepareConfig, interactive: bool) -> None:
    """Prepare `config.output` and print what it holds.

    Args:
        config: the composed configuration.
        interactive: whether a person watches a terminal (decides on the progress bar when that is null).

    Raises:
        UserError: see `genome_lm.dataset.prepare.prepare`; or the output exists and `overwrite` is off.
    """
    output = Path(config.output)
    if output.exists() and not config.overwrite:
        raise UserError(f"output {output} exists; choose another name, or overwrite=true")
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
    progress = interactive if config.progress_bar is None else config.progress_bar
    summary = prepare_dataset(Path(config.fasta), Path(config.manifest), output, settings, progress)
    logger.info("%s", summary.text())
