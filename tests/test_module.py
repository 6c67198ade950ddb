"""The training step: its loss, the figures it logs, its optimizer, and that it learns."""

import math
from dataclasses import replace
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from small_comparison import small_dataset

from genome_lm.choices import OptimizerKind, ScheduleKind, TaskWeighting
from genome_lm.dataset.batch import Batch
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dna import reverse_complement as reverse_complement_array
from genome_lm.encoders.recurrent import RecurrentEncoder
from genome_lm.errors import UserError
from genome_lm.evaluation.predict import predict_windows
from genome_lm.heads import MultitaskHead, Pooling
from genome_lm.metrics import (
    TaskHistograms,
    auroc,
    auroc_and_average_precision,
    binary_cross_entropy_per_task,
    brier_score_per_task,
    confusion_at,
    expected_calibration_error,
    prior_logits,
)
from genome_lm.module import MultitaskModule, task_weights
from genome_lm.network import Network, reverse_complement
from genome_lm.optimizer import OptimizerSettings
from genome_lm.tokenizers import KmerTokenizer, OneHotTokenizer, Tokenizer

TASKS = np.array([0, 3, 5, 17])


def module_for(
    rates,
    *,
    strands=False,
    tokenizer: Tokenizer | None = None,
    dropout=0.0,
    hidden=4,
    weighting=TaskWeighting.uniform,
    **optimizer,
) -> MultitaskModule:
    torch.manual_seed(0)
    tokenizer = tokenizer or KmerTokenizer(k=3, stride=3, width=4)
    encoder = RecurrentEncoder(tokenizer.width, "gru", hidden, num_layers=1)
    pooling = Pooling(["max", "last"], encoder.width)
    head = MultitaskHead(pooling.width, torch.as_tensor(rates), dropout=dropout)
    return MultitaskModule(
        Network(tokenizer, encoder, pooling, head),
        torch.as_tensor(rates),
        OptimizerSettings(**optimizer),
        average_strands=strands,
        description={},
        weighting=weighting,
    )


def quiet_trainer(**settings) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **settings,
    )


def batches(dataset: Dataset, batch_size: int, **settings) -> GenomeDataModule:
    return GenomeDataModule(
        dataset, TASKS, context_bp=60, batch_size=batch_size, eval_batch_size=batch_size, **settings
    )


# Lightning's notes on loaders and devices, which do not apply: batches are cut from memory.
quiet = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*is deprecated.*"
)


@pytest.mark.parametrize("weighting", list(TaskWeighting))
def test_the_loss_is_the_mean_cross_entropy_by_hand(monkeypatch, weighting):
    module = module_for([0.1, 0.5, 0.3], weighting=weighting)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    codes = torch.randint(0, 5, (4, 12), dtype=torch.uint8)
    labels = torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 1]], dtype=torch.uint8)
    loss = module.training_step(Batch(codes, labels, torch.arange(4)), 0)
    p = torch.sigmoid(module(codes).double())
    weights = task_weights(torch.tensor([0.1, 0.5, 0.3]), weighting)
    by_hand = -(torch.where(labels.bool(), p.log(), (1 - p).log()) * weights).mean()
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-6)
    assert loss.requires_grad


@quiet
@pytest.mark.parametrize("batch_size", [144, 50, 7])
@pytest.mark.parametrize("strands", [False, True])
def test_perplexity_is_over_all_tasks_and_examples_whatever_the_batches(small, batch_size, strands):
    rates = small.positive_rate()[TASKS]
    module = module_for(rates, strands=strands)
    (logged,) = quiet_trainer().validate(module, datamodule=batches(small, batch_size), verbose=False)
    windows = small.windows_of("valid")
    labels = small.labels(windows, TASKS)
    logits = predict_windows(
        module.network, small, windows, 60, batch_size=33, average_strands=strands, device=torch.device("cpu")
    )
    expected = math.exp(binary_cross_entropy_per_task(logits, labels).mean())
    assert logged["valid/perplexity"] == pytest.approx(expected, rel=1e-6)
    prior = np.tile(prior_logits(rates), (len(windows), 1))
    expected_prior = math.exp(binary_cross_entropy_per_task(prior, labels).mean())
    assert logged["valid/prior_perplexity"] == pytest.approx(expected_prior, rel=1e-6)
    assert "train/perplexity" not in logged


@quiet
@pytest.mark.parametrize("batch_size", [144, 50])
def test_scores_logged_are_those_of_the_exact_path(small, batch_size):
    """Means over the defined tasks; AUROC and AP within what the bins leave open. Twice, for the reset."""
    module = module_for(small.positive_rate()[TASKS])
    windows = small.windows_of("valid")
    labels = small.labels(windows, TASKS)
    logits = predict_windows(
        module.network, small, windows, 60, batch_size=33, average_strands=False, device=torch.device("cpu")
    )
    per_task = TaskHistograms(len(TASKS))
    per_task.update(torch.from_numpy(logits), torch.from_numpy(labels))
    scores = per_task.per_task()
    trainer = quiet_trainer()
    for _ in range(2):
        (logged,) = trainer.validate(module, datamodule=batches(small, batch_size), verbose=False)
        exact_auroc, exact_ap = auroc_and_average_precision(logits, labels)
        for name, exact, bounds in (
            ("valid/auroc", exact_auroc, scores.auroc),
            ("valid/ap", exact_ap, scores.average_precision),
        ):
            low, high = bounds.low.nanmean().item(), bounds.high.nanmean().item()
            assert low <= np.nanmean(exact) <= high
            assert logged[name] == pytest.approx(bounds.value.nanmean().item(), rel=1e-4)
        f1 = confusion_at(logits, labels, scores.threshold.numpy()).f1
        assert logged["valid/f1"] == pytest.approx(np.nanmean(f1), rel=1e-4)
        assert logged["valid/brier"] == pytest.approx(brier_score_per_task(logits, labels).mean(), rel=1e-5)
        error = expected_calibration_error(logits, labels).mean()
        assert logged["valid/ece"] == pytest.approx(error, rel=1e-4)
        ratio = math.log(logged["valid/perplexity"]) / math.log(logged["valid/prior_perplexity"])
        assert logged["valid/skill"] == pytest.approx(1 - ratio, abs=1e-5)


@pytest.mark.parametrize(
    ("tokenizer", "length_bp", "tokens"),
    [
        (OneHotTokenizer(), 60, 60),
        (KmerTokenizer(k=3, stride=3, width=4), 60, 20),
        (KmerTokenizer(k=5, stride=2, width=4), 60, 28),
        (KmerTokenizer(k=6, words_per_token=6, width=4), 60, 10),  # 55 words, the last token holds one
    ],
)
def test_tokens_that_the_encoder_reads(tokenizer, length_bp, tokens):
    assert module_for([0.5], tokenizer=tokenizer).network.tokens(length_bp) == tokens


@quiet
def test_training_perplexity_is_of_its_own_epoch(small):
    """With a learning rate of next to nothing it equals that of the fixed network, in every epoch."""
    module = module_for(small.positive_rate()[TASKS], learning_rate=1e-12, weight_decay=0.0)
    windows = small.windows_of("train")
    logits = predict_windows(
        module.network, small, windows, 60, batch_size=99, average_strands=False, device=torch.device("cpu")
    )
    expected = math.exp(binary_cross_entropy_per_task(logits, small.labels(windows, TASKS)).mean())
    seen = []

    class Note(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append(float(trainer.callback_metrics["train/perplexity"]))

    quiet_trainer(max_epochs=2, callbacks=[Note()]).fit(module.train(), datamodule=batches(small, 100))
    assert seen == pytest.approx([expected] * 2, rel=1e-6)


@quiet
def test_every_epoch_draws_anew_and_the_seed_repeats_the_run(small, monkeypatch):
    def orders(seed: int) -> list[list[int]]:
        module = module_for(small.positive_rate()[TASKS])
        seen: list[list[int]] = []
        plain = MultitaskModule.training_step

        def noting(self, batch, batch_idx):
            if batch_idx == 0:
                seen.append([])
            seen[-1] += batch.window.tolist()
            return plain(self, batch, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(MultitaskModule, "training_step", noting)
            quiet_trainer(max_epochs=2).fit(module, datamodule=batches(small, 200, seed=seed))
        return seen

    first, second = orders(1)
    assert first != second
    assert sorted(first) == sorted(second) == small.windows_of("train").tolist()
    assert orders(1) == [first, second]
    assert orders(2)[0] != first


@pytest.mark.parametrize("strands", [True, False])
def test_averaged_strands_do_not_depend_on_the_strand(strands):
    module = module_for([0.1, 0.5], strands=strands).eval()
    codes = torch.randint(0, 5, (6, 30), dtype=torch.uint8)
    there, back = module(codes), module(reverse_complement(codes))
    assert torch.allclose(there, back, atol=1e-6) is strands
    if strands:
        plain = module.network
        torch.testing.assert_close(there, (plain(codes) + plain(reverse_complement(codes))) / 2)
        module.train()  # training reads one strand: the data module chooses which
        torch.testing.assert_close(module(codes), plain(codes))


def test_both_reverse_complements_agree():
    codes = np.random.default_rng(0).integers(0, 5, (7, 11), dtype=np.uint8)
    np.testing.assert_array_equal(
        reverse_complement(torch.from_numpy(codes)), reverse_complement_array(codes)
    )


def configured(module: MultitaskModule, steps: int = 100, precision: str = "32-true"):
    module._trainer = SimpleNamespace(estimated_stepping_batches=steps, precision=precision)
    return module.configure_optimizers()


def test_only_matrices_decay_and_tables_on_their_own():
    module = module_for([0.5], weight_decay=0.3, embedding_decay=0.2)
    groups = configured(module)["optimizer"].param_groups
    decay = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert len(decay) == sum(len(group["params"]) for group in groups) == len(list(module.parameters()))
    for name, parameter in module.network.named_parameters():
        expected = 0.2 if name.startswith("tokenizer") else 0.3 if "bias" not in name else 0.0
        assert decay[id(parameter)] == expected, name


def test_a_tokenizer_without_parameters():
    groups = configured(module_for([0.5], tokenizer=OneHotTokenizer()))["optimizer"].param_groups
    assert len(groups) == 2


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_optimizer_chosen(name, kind):
    optimizer = configured(module_for([0.5], name=OptimizerKind(name)))["optimizer"]
    assert type(optimizer) is kind
    assert optimizer.defaults["fused"]
    mixed = configured(module_for([0.5]), precision="bf16-mixed")["optimizer"]
    assert not mixed.defaults["fused"]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 55: 0.5, 100: 0.0}),
        ("constant", {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 55: 1.0, 100: 1.0}),
    ],
)
def test_the_learning_rate_at_known_steps(schedule, expected):
    """Ten steps of warm-up out of 100, then a half cosine whose middle is at 55."""
    module = module_for([0.5], learning_rate=2.0, warmup_fraction=0.1, schedule=ScheduleKind(schedule))
    scheduler = configured(module)["lr_scheduler"]["scheduler"]
    rates = {}
    for step in range(101):
        rates[step] = scheduler.get_last_lr()[0]
        scheduler.optimizer.step()
        scheduler.step()
    for step, factor in expected.items():
        assert rates[step] == pytest.approx(2.0 * factor, abs=1e-9), step
    assert all(
        later <= earlier
        for earlier, later in zip(list(rates.values())[9:], list(rates.values())[10:], strict=False)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("weight_decay", -0.1),
        ("embedding_decay", -1.0),
        ("warmup_fraction", 1.0),
        ("warmup_fraction", -0.1),
    ],
)
def test_optimizer_settings_out_of_range(name, value):
    with pytest.raises(UserError, match=rf"optimizer\.{name} is {value}; expected"):
        OptimizerSettings(**{name: value})


@quiet
def test_it_learns_a_planted_motif():
    """Whether GATTACA is in the sequence, on either strand: from nothing to nearly certain in seconds."""
    draw = np.random.default_rng(3)
    codes = draw.integers(0, 4, (900, 40), dtype=np.uint8)
    positive = draw.random(900) < 0.5
    for row in np.flatnonzero(positive):
        start = draw.integers(0, 33)
        codes[row, start : start + 7] = [2, 0, 3, 3, 0, 1, 0]
        if draw.random() < 0.5:
            codes[row] = reverse_complement_array(codes[row])
    template = small_dataset()
    dataset = replace(
        template,
        window_bp=40,
        sequence=codes.ravel(),
        offset=np.arange(900) * 40,
        split=np.repeat(np.array([0, 1, 2], dtype=np.uint8), [600, 150, 150]),
        packed_labels=positive.astype(np.uint8)[:, None],
        tasks=template.tasks.subset([0]),
    )
    module = module_for(
        [0.5],
        strands=True,
        tokenizer=KmerTokenizer(k=4, words_per_token=4, width=16),
        hidden=8,
        learning_rate=0.02,
    )
    data = GenomeDataModule(
        dataset, np.array([0]), context_bp=40, batch_size=50, eval_batch_size=150, reverse_complement=True
    )
    trainer = quiet_trainer(max_epochs=8)
    trainer.fit(module, datamodule=data)
    windows = dataset.windows_of("test")
    logits = predict_windows(
        module.network, dataset, windows, 40, batch_size=64, average_strands=True, device=torch.device("cpu")
    )
    assert auroc(logits, dataset.labels(windows))[0] > 0.95
    assert (
        trainer.callback_metrics["valid/perplexity"]
        < 1.6
        < trainer.callback_metrics["valid/prior_perplexity"]
    )


def test_task_weights_by_hand():
    rate = torch.tensor([0.5, 0.1, 0.01, 0.0])
    entropy = torch.tensor([0.6931472, 0.3250830, 0.0560015, 0.0560015])  # the last counts as 1%
    for weighting, power in (("uniform", 0), ("root_inverse_entropy", -0.5), ("inverse_entropy", -1)):
        expected = entropy**power / (entropy**power).mean()
        torch.testing.assert_close(
            task_weights(rate, TaskWeighting(weighting)), expected, rtol=1e-5, atol=1e-6
        )
