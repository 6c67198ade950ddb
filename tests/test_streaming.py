"""The streaming mean of the cross-entropy: batches, ranks and half precision change nothing."""

import pytest
import torch

from genome_lm.metrics import MeanCrossEntropy, binary_cross_entropy_per_task


def batches(sizes: list[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(sum(sizes), 6, generator=generator) * 4
    labels = (torch.rand(sum(sizes), 6, generator=generator) < 0.1).to(torch.uint8)
    return list(zip(logits.split(sizes), labels.split(sizes), strict=True))


def test_mean_cross_entropy_equals_torch():
    ((logits, labels),) = batches([64])
    metric = MeanCrossEntropy()
    metric.update(logits, labels)
    expected = torch.nn.BCEWithLogitsLoss()(logits.double(), labels.double())
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(
        metric.compute().item(), binary_cross_entropy_per_task(logits.numpy(), labels.numpy()).mean().item()
    )


def test_mean_cross_entropy_does_not_depend_on_batches():
    results = []
    for sizes in ([60], [1, 59], [7, 23, 30], [1] * 60):
        metric = MeanCrossEntropy()
        for logits, labels in batches(sizes):
            metric.update(logits, labels)
        results.append(metric.compute())
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-14, atol=0)


def test_mean_cross_entropy_adds_over_ranks():
    first, second = batches([10, 30])
    both, *ranks = MeanCrossEntropy(), MeanCrossEntropy(), MeanCrossEntropy()
    for metric, (logits, labels) in zip(ranks, (first, second), strict=True):
        metric.update(logits, labels)
        both.update(logits, labels)
    total, count = (sum(getattr(metric, state) for metric in ranks) for state in ("total", "count"))
    torch.testing.assert_close(total / count, both.compute(), rtol=1e-14, atol=0)


def test_mean_cross_entropy_keeps_its_precision_in_a_half_precision_module():
    module = torch.nn.Module()
    module.metric = MeanCrossEntropy()
    module.to(torch.bfloat16)
    ((logits, labels),) = batches([64])
    module.metric.update(logits.bfloat16(), labels)
    assert module.metric.compute().dtype == torch.float64
    torch.testing.assert_close(
        module.metric.compute(),
        torch.nn.functional.binary_cross_entropy_with_logits(logits.bfloat16().double(), labels.double()),
        rtol=1e-14,
        atol=0,
    )


def test_mean_cross_entropy_refuses_other_shapes():
    with pytest.raises(ValueError, match="differ in shape"):
        MeanCrossEntropy().update(torch.zeros(2, 3), torch.zeros(2, 1))
