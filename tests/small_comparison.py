"""A dataset in memory and predictions on it, for the tests of the evaluation."""

from pathlib import Path

import numpy as np

from genome_lm.dataset.contents import Dataset, TaskTable
from genome_lm.evaluation.predictions import Predictions, prior_predictions

N_TASKS = 5
SILENT_IN_VALID = 4  # the task without positives in validation


def small_dataset(checksum: str = "sha256:1") -> Dataset:
    """40 train, 30 valid and 30 test windows in mixed order, five tasks in two groups."""
    generator = np.random.default_rng(11)
    split = generator.permutation(np.repeat(np.array([0, 1, 2], dtype=np.uint8), (40, 30, 30)))
    labels = (generator.random((100, N_TASKS)) < [0.2, 0.3, 0.5, 0.25, 0.3]).astype(np.uint8)
    labels[split == 1, SILENT_IN_VALID] = 0
    names = tuple(f"task{number}" for number in range(N_TASKS))
    tasks = TaskTable(
        id=names,
        cell=("K562",) * N_TASKS,
        target=("CTCF", "DNase", "GATA1", "with\ttab", "x|y"),
        treatment=("None",) * N_TASKS,
        group=("TF", "DNase", "TF", "TF", "DNase"),
        source_file=names,
        accession=names,
        selects_bins=np.ones(N_TASKS, dtype=bool),
        n_peaks=np.arange(N_TASKS),
        reference={"deepsea_auroc": np.array([0.9, np.nan, 0.8, np.nan, 0.7])},
    )
    return Dataset(
        path=Path("small.h5"),
        genome_build="hg19",
        checksum=checksum,
        window_bp=10,
        bin_bp=2,
        recipe={},
        sequence=np.zeros(1000, dtype=np.uint8),
        offset=np.arange(100) * 10,
        chromosome=np.zeros(100, dtype=np.uint16),
        chromosomes=("chr1",),
        start=np.arange(100) * 10,
        split=split,
        packed_labels=np.packbits(labels, axis=1, bitorder="little"),
        tasks=tasks,
    )


def small_predictions(dataset: Dataset, name: str, signal: float, seed: int) -> Predictions:
    """Noisy logits for validation and test; the higher the signal, the better."""
    window = np.flatnonzero(dataset.split > 0)
    noise = np.random.default_rng(seed).normal(size=(len(window), N_TASKS))
    return Predictions(
        name=name,
        description=f"{name} of signal {signal}",
        logits=(noise + signal * dataset.labels(window) - 2).astype(np.float32),
        window=window,
        split=dataset.split[window],
        task_ids=dataset.tasks.id,
        dataset_checksum=dataset.checksum,
    )


def small_rivals(dataset: Dataset) -> dict[str, Predictions]:
    """Model, baseline and prior."""
    model = small_predictions(dataset, "model", 2.0, 1)
    return {
        "model": model,
        "baseline": small_predictions(dataset, "baseline", 1.0, 2),
        "prior": prior_predictions(dataset, model.window, np.arange(N_TASKS)),
    }
