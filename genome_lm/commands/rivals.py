"""The k-mer regressions that a checkpoint is compared with, as the configuration asks for them."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from genome_lm.baseline.fit import FitSettings, compare_contexts
from genome_lm.baseline.kmers import Strands
from genome_lm.baseline.result import BaselineFit, ContextComparison
from genome_lm.choices import PenaltyChoice, Protocol
from genome_lm.config import BaselineConfig, ProtocolConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.evaluation.predictions import Predictions

logger = logging.getLogger(__name__)

BEST_BASELINE = "baseline_best_context"
"""Name of the second baseline: the context with the lowest validation perplexity."""


@dataclass(frozen=True)
class Baselines:
    """The baseline to compare with, and those at other contexts."""

    own: BaselineFit
    fits: ContextComparison

    @property
    def predictions(self) -> dict[str, Predictions]:
        """ "baseline", and the one at the best context where that is another one."""
        found = {"baseline": _as_predictions("baseline", self.own)}
        if self.fits.best.context_bp != self.own.context_bp:
            found[BEST_BASELINE] = _as_predictions(BEST_BASELINE, self.fits.best)
        return found

    @property
    def account(self) -> dict[str, object]:
        """How the baselines were fitted, for the summary."""
        return {
            "same_context": _account(self.own),
            "best_context": _account(self.fits.best),
            "valid_perplexity_by_context_bp": {
                str(fit.context_bp): fit.valid_perplexity for fit in self.fits.fits
            },
        }


def fit_baselines(
    config: BaselineConfig,
    protocol: ProtocolConfig,
    dataset: Dataset,
    tasks: np.ndarray,
    context_bp: int,
    strands: bool,
    device: torch.device,
) -> Baselines:
    """Fit the baseline at the network's context, or the protocol's, and where it may be better.

    Args:
        tasks: int64 [n_tasks], dataset indices.
        context_bp: bases that the network reads.
        strands: whether the network averages both; the regression then sums over both.
        device: where to compute.

    Raises:
        UserError: a context does not fit the windows; see `genome_lm.baseline.fit.compare_contexts`.
    """
    poster = protocol.name is Protocol.poster
    settings = FitSettings(
        choice=PenaltyChoice.poster if poster else config.penalty_choice,
        strands=Strands.SUMMED if strands and not poster else Strands.FORWARD,  # the report's reads one
    )
    cache = Path(config.cache_dir) if config.cache_dir else None
    started = time.perf_counter()
    own = protocol.baseline_context_bp or context_bp
    others = [] if poster else [length for length in config.contexts_bp if length <= dataset.window_bp]
    contexts = sorted({*others, own})
    logger.info(
        "fitting the k-mer regression at %s bp, unless it is in the cache (%s)",
        ", ".join(map(str, contexts)),
        cache or "off",
    )
    fits = compare_contexts(dataset, tasks, contexts, settings, device=device, cache=cache)
    for fit in fits.fits:
        logger.info("baseline  %s: validation perplexity %.4f", fit.description, fit.valid_perplexity)
    logger.info("fitted or found %d baselines in %.0f s", len(fits.fits), time.perf_counter() - started)
    return Baselines(fits.at(own), fits)


def _as_predictions(name: str, fit: BaselineFit) -> Predictions:
    return Predictions(
        name=name,
        description=fit.description,
        logits=fit.logits,
        window=fit.window,
        split=fit.split,
        task_ids=fit.task_ids,
        dataset_checksum=fit.dataset_checksum,
    )


def _account(fit: BaselineFit) -> dict[str, object]:
    fitted = ~fit.single_class
    return {
        "description": fit.description,
        "context_bp": fit.context_bp,
        "strands": fit.strands.value,
        "penalty_choice": fit.choice.value,
        "C_min": float(fit.penalty.min()),
        "C_median": float(np.median(fit.penalty)),
        "C_max": float(fit.penalty.max()),
        "valid_perplexity": fit.valid_perplexity,
        "largest_gradient_norm": float(fit.gradient_norm[fitted].max(initial=0.0)),
        "largest_relative_gradient_norm": float(fit.relative_gradient_norm[fitted].max(initial=0.0)),
        "unconverged_tasks": fit.n_unconverged,
        "seconds": fit.seconds,
    }
