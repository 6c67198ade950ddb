"""The two aims of docs/gpu.md: the report's training in a minute, and an epoch of DeepSEA in two."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gpu_data import simulated
from gpu_loops import PLAIN_ADAM, Setting, own, own_data, rows_of, trainer_of
from gpu_models import MODELS, description_of, network_for

from genome_lm.build import module_from
from genome_lm.callbacks.finite_loss import FiniteLoss
from genome_lm.choices import ScheduleKind
from genome_lm.dataset.contents import Dataset
from genome_lm.optimizer import OptimizerSettings

REPORT_WINDOWS, REPORT_VALID, REPORT_EPOCHS, REPORT_BATCH = 80_000, 2_000, 61, 20
DEEPSEA_WINDOWS = 2_200_000
EQUAL = 0.001
"""Validation perplexities this close count as equal: two seeds of the small batch differ as much."""

Add = Callable[[str, dict[str, Any], str], None]


def scaled_up(batch: int, small: int = REPORT_BATCH) -> OptimizerSettings:
    """Adam for large batches: after a warm-up, at a rate that grows with the root of the batch, and a cosine.

    Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms".
    """
    return replace(
        PLAIN_ADAM,
        learning_rate=PLAIN_ADAM.learning_rate * (batch / small) ** 0.5,
        warmup_fraction=0.1,
        schedule=ScheduleKind.cosine,
    )


def trained(
    dataset: Dataset, setting: Setting, optimizer: OptimizerSettings, epochs: int, seed: int
) -> dict[str, float]:
    """The report's network after `epochs`: validation perplexity, the prior's, and the fit's seconds."""
    torch.manual_seed(seed)
    model = MODELS["report"]
    module = module_from(
        description_of(model, len(dataset.tasks)), optimizer, ["genome_lm"], dataset.positive_rate()
    )
    data = own_data(model, dataset, setting.batch)
    data.seed = seed
    trainer = trainer_of(setting, [FiniteLoss()], max_epochs=epochs, limit_val_batches=0)
    began = time.perf_counter()
    trainer.fit(module, datamodule=data)
    if setting.device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    # Validated once, by a trainer without the limit.
    (logged,) = trainer_of(setting, []).validate(module, datamodule=data, verbose=False)
    return {
        "perplexity": logged["valid/perplexity"],
        "prior": logged["valid/prior_perplexity"],
        "seconds": seconds,
    }


def report_aim(setting: Setting, until: float, add: Add, n_tasks: int) -> None:
    """61 epochs of 80,000 windows in large batches, and in the report's batches of 20 for comparison.

    Both are scaled down to the time there is: first the epochs of the full size are estimated from the speed
    measured here, then both run on as many windows as fit.
    """
    model = MODELS["report"]
    full = REPORT_WINDOWS * REPORT_EPOCHS
    small = replace(setting, batch=REPORT_BATCH)
    measured: dict[str, float] = {}
    needed = 0.0  # seconds of both in full, by the clock, whatever else the machine does
    probe = simulated(max(4_096, 2 * setting.batch), 64, model.context_bp, n_tasks)
    share = max(2.0, 0.04 * (until - time.perf_counter()))
    for name, each in (("large", setting), ("small", small)):
        timer = own(model, probe, replace(each, seconds=share), None)
        measured[name] = timer.windows_per_second
        needed += full * timer.wall / timer.windows
    estimate = {name: full / speed for name, speed in measured.items()}
    add(
        "report_estimate",
        {"windows_per_second": measured, "estimated_seconds": estimate, "large_batch": setting.batch},
        f"{REPORT_EPOCHS} epochs x {REPORT_WINDOWS:,} windows, estimated from the speed on this device: "
        f"{estimate['large']:,.0f} s in batches of {setting.batch:,} ({measured['large']:,.0f} windows/s), "
        f"{estimate['small']:,.0f} s in batches of {REPORT_BATCH} ({measured['small']:,.0f} windows/s)",
    )
    remaining = 0.75 * (until - time.perf_counter())
    fits = min(1.0, remaining / needed)
    if fits < 1 and estimate["large"] < 0.5 * remaining:  # the whole aim, and the comparison in small
        found = trained(
            simulated(REPORT_WINDOWS, REPORT_VALID, model.context_bp, n_tasks, signal=True),
            setting, scaled_up(setting.batch), REPORT_EPOCHS, seed=0,
        )  # fmt: skip
        add("report_full", found, f"in full: {found['seconds']:,.1f} s, {_figures(found)}")
        fits = min(1.0, 0.75 * (until - time.perf_counter()) / needed)
    # Fewer windows and fewer epochs alike, but some steps an epoch.
    windows = min(REPORT_WINDOWS, max(4 * setting.batch, int(REPORT_WINDOWS * fits**0.5)))
    epochs = max(1, min(REPORT_EPOCHS, int(full * fits / windows)))
    dataset = simulated(windows, REPORT_VALID, model.context_bp, n_tasks, signal=True)
    add(
        "report_scale",
        {"windows": windows, "epochs": epochs},
        f"compared at {epochs} epochs x {windows:,} windows"
        + ("" if fits == 1 else ", scaled down to the time there is"),
    )
    found = {}
    for name, each, optimizer in (
        ("large", setting, scaled_up(setting.batch)),
        ("small", small, PLAIN_ADAM),
    ):
        found[name] = trained(dataset, each, optimizer, epochs, seed=0)
        add(
            "report_trained",
            {"batch": each.batch, **found[name]},
            f"batches of {each.batch:,}: {found[name]['seconds']:,.1f} s, {_figures(found[name])}",
        )
    difference = found["large"]["perplexity"] - found["small"]["perplexity"]
    if found["small"]["prior"] - found["small"]["perplexity"] < 2 * EQUAL:
        verdict = "too short a training to tell"
    else:
        verdict = "equal or better" if difference <= EQUAL else "worse"
    add(
        "report_difference",
        {"difference": difference, "within": EQUAL},
        f"large less small: {difference:+.4f}, {verdict} (to {EQUAL})",
    )


def _figures(found: dict[str, float]) -> str:
    return f"validation perplexity {found['perplexity']:.4f} (prior {found['prior']:.4f})"


def epoch_aim(setting: Setting, until: float, add: Add, n_tasks: int) -> None:
    """2.2 M windows of 1,000 bp through `mingru`, measured or else estimated from its speed."""
    model = MODELS["mingru"]
    device = torch.device(setting.device)
    probe = simulated(max(4_096, 2 * setting.batch) if setting.device == "cuda" else 2 * setting.batch, 64,
                      model.context_bp, n_tasks)  # fmt: skip
    rows = rows_of(model, probe, network_for(model, n_tasks), device)
    timer = own(model, probe, replace(setting, seconds=max(2.0, 0.2 * (until - time.perf_counter()))), rows)
    speed = timer.windows_per_second
    estimate = DEEPSEA_WINDOWS / speed
    add(
        "epoch_estimate",
        {"windows_per_second": speed, "estimated_seconds": estimate, "batch": setting.batch},
        f"{DEEPSEA_WINDOWS:,} windows, estimated from the speed on this device: {estimate:,.0f} s "
        f"in batches of {setting.batch:,} ({speed:,.0f} windows/s)",
    )
    if estimate > 0.5 * (until - time.perf_counter()):
        return
    del probe, rows
    dataset = simulated(DEEPSEA_WINDOWS, 64, model.context_bp, n_tasks)
    began = time.perf_counter()
    rows = rows_of(model, dataset, network_for(model, n_tasks), device)
    features = time.perf_counter() - began
    torch.manual_seed(0)
    module = module_from(description_of(model, n_tasks), PLAIN_ADAM, ["genome_lm"], np.full(n_tasks, 1 / 16))
    module.feature_rows = rows
    trainer = trainer_of(setting, [FiniteLoss()], max_epochs=1, limit_val_batches=0)
    began = time.perf_counter()
    trainer.fit(module, datamodule=own_data(model, dataset, setting.batch))
    if setting.device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    add(
        "epoch",
        {"seconds": seconds, "features_seconds": features, "batch": setting.batch},
        f"measured: {seconds:,.1f} s, after {features:,.1f} s for the window features, once",
    )
