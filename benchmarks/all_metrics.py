"""All scores of each task in four ways, for the benchmark in metrics.py.

Each way gives AUROC, AP, the highest F1 over thresholds, cross-entropy, Brier score and expected calibration
error in 15 bins, float64 [n_tasks].
"""

import numpy as np

Scores = dict[str, np.ndarray]


def exact(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """The exact path of this package, as `evaluate` scores a prediction file."""
    from genome_lm import metrics

    area, average = metrics.auroc_and_average_precision(logits, labels)
    thresholds = metrics.best_f1_thresholds(logits, labels)
    return {
        "AUROC": area,
        "AP": average,
        "F1": metrics.confusion_at(logits, labels, thresholds).f1,
        "cross-entropy": metrics.binary_cross_entropy_per_task(logits, labels),
        "Brier": metrics.brier_score_per_task(logits, labels),
        "ECE": metrics.expected_calibration_error(logits, labels),
    }


def streaming(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """The streaming path in batches of 512 windows, as validation during training."""
    import torch

    from genome_lm.metrics import TaskHistograms

    torch.set_num_threads(1)
    metric = TaskHistograms(logits.shape[1])
    for start in range(0, len(logits), 512):
        part = slice(start, start + 512)
        metric.update(torch.from_numpy(logits[part]), torch.from_numpy(labels[part]))
    scores = metric.per_task()
    return {
        "AUROC": scores.auroc.value.numpy(),
        "AP": scores.average_precision.value.numpy(),
        "F1": scores.f1.numpy(),
        "cross-entropy": scores.cross_entropy.numpy(),
        "Brier": scores.brier.numpy(),
        "ECE": scores.ece.numpy(),
    }


def with_torchmetrics(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """torchmetrics' exact metrics, and plain torch for the two means; one thread."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits
    from torchmetrics.functional.classification import (
        binary_calibration_error,
        multilabel_auroc,
        multilabel_average_precision,
        multilabel_precision_recall_curve,
    )

    torch.set_num_threads(1)
    scores, target, tasks = torch.from_numpy(logits), torch.from_numpy(labels).long(), logits.shape[1]
    precision, recall, _ = multilabel_precision_recall_curve(scores, target, tasks, thresholds=None)
    best = [(2 * p * r / (p + r)).nan_to_num().max() for p, r in zip(precision, recall, strict=True)]
    probability, hot = scores.sigmoid(), target.to(scores.dtype)
    error = [
        binary_calibration_error(probability[:, task].contiguous(), target[:, task]) for task in range(tasks)
    ]
    found = {
        "AUROC": multilabel_auroc(scores, target, tasks, average="none", thresholds=None),
        "AP": multilabel_average_precision(scores, target, tasks, average="none", thresholds=None),
        "F1": torch.stack(best),
        "cross-entropy": binary_cross_entropy_with_logits(scores, hot, reduction="none").mean(0),
        "Brier": (probability - hot).square().mean(0),
        "ECE": torch.stack(error),
    }
    return {name: value.double().numpy() for name, value in found.items()}


def with_sklearn(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """scikit-learn, task by task; it has no calibration error, so its calibration curve is weighted."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import (
        average_precision_score,
        brier_score_loss,
        log_loss,
        precision_recall_curve,
        roc_auc_score,
    )

    rows = []
    for task in range(logits.shape[1]):
        x, y = logits[:, task], labels[:, task]
        p = 1 / (1 + np.exp(-x.astype(np.float64)))
        precision, recall, _ = precision_recall_curve(y, x)
        observed, predicted = calibration_curve(y, p, n_bins=15)
        share = np.bincount(np.minimum((p * 15).astype(np.int64), 14), minlength=15) / len(p)
        with np.errstate(invalid="ignore"):
            best = np.nanmax(2 * precision * recall / (precision + recall))
        rows.append(
            (
                roc_auc_score(y, x),
                average_precision_score(y, x),
                best,
                log_loss(y, p, labels=[0, 1]),
                brier_score_loss(y, p),
                (np.abs(observed - predicted) * share[share > 0]).sum(),
            )
        )
    names = ("AUROC", "AP", "F1", "cross-entropy", "Brier", "ECE")
    return dict(zip(names, np.array(rows).T, strict=True))
