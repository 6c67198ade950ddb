"""How many training windows a second a recipe passes, by the program's own training."""

import contextlib
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import lightning as L
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from results_plan import Speed

from genome_lm.build import dataset_from
from genome_lm.commands.train import train
from genome_lm.config import TrainConfig
from genome_lm.config_files import config_dir
from genome_lm.dataset.fraction import training_windows
from genome_lm.tuning.composing import compose_training, typed
from genome_lm.window_features import NoFeatures

WARM_STEPS = 3
WARM_SECONDS = 2.0
LEAST_STEPS = 3
SHORT_PASS = 10
"""Steps of a pass that is made short so that a later one is soon reached."""


class Enough(Exception):
    """Ends a training whose speed is known."""


class Stopwatch(L.Callback):
    """Times steps, from the end of one to the end of the next, once the first ones are over.

    Validation is left out, as it is from the budget.

    Args:
        seconds: to measure for.
        later: leave out the first pass, too.
    """

    def __init__(self, seconds: float, later: bool) -> None:
        self.seconds = seconds
        self.later = later
        self.steps = self.windows = 0
        self.wall = self.cpu = 0.0
        self._warm_steps, self._warm = 0, 0.0
        self._mark = (0.0, 0.0)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._mark = (time.perf_counter(), time.process_time())

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: tuple, batch_idx: int
    ) -> None:
        now = (time.perf_counter(), time.process_time())
        wall, cpu = now[0] - self._mark[0], now[1] - self._mark[1]
        self._mark = now
        if self.later and trainer.current_epoch == 0:
            return
        if self._warm_steps < WARM_STEPS or self._warm < WARM_SECONDS:
            self._warm_steps += 1
            self._warm += wall
            return
        self.steps += 1
        self.windows += len(batch[0])
        self.wall += wall
        self.cpu += cpu
        if self.steps >= LEAST_STEPS and self.wall >= self.seconds:
            raise Enough

    @property
    def windows_per_second(self) -> float:
        return self.windows / self.wall


def measure_here(overrides: Sequence[str], threads: int, seconds: float) -> Speed:
    """Train with these overrides in this process until the speed is known; nothing is kept."""
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    quick = ("trainer.max_epochs=1000", "trainer.limit_val_batches=1", "callbacks.early_stopping=false")
    bare = ("callbacks.save_last=false", "logger=csv", "trainer.progress_bar=false")
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = typed(compose_training([*overrides, *quick, *bare, f"trainer.threads={threads}"]))
    batch_size = config.data.batch_size
    dataset = dataset_from(config.data.path)
    windows = len(training_windows(dataset, config.data.train_fraction, config.seed))
    first = watch = _timed(config, seconds, later=False)
    features = config.window_features["_target_"] != f"{NoFeatures.__module__}.{NoFeatures.__qualname__}"
    if features:  # on a CPU they are kept after the first pass
        short = SHORT_PASS * batch_size / len(dataset.windows_of("train"))
        config.data.train_fraction = min(config.data.train_fraction, short)
        watch = _timed(config, seconds, later=True)
    return Speed(
        overrides=tuple(overrides),
        windows_per_second=watch.windows_per_second,
        cpu_share=min(each.cpu / each.wall / threads for each in (first, watch)),
        batch_size=batch_size,
        batches_per_pass=math.ceil(windows / batch_size),
        first_pass_windows_per_second=first.windows_per_second if features else None,
    )


def _timed(config: TrainConfig, seconds: float, later: bool) -> Stopwatch:
    watch = Stopwatch(seconds, later)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Enough):
        train(config, Path(folder), False, "", callbacks=[watch])
    return watch


def measure(overrides: Sequence[str], threads: int, seconds: float) -> Speed:
    """As `measure_here`, in a process of its own.

    Raises:
        RuntimeError: the training failed.
    """
    command = [
        sys.executable,
        str(Path(__file__).with_name("results.py")),
        "measure",
        "--threads",
        str(threads),
    ]
    command += ["--seconds", str(seconds), "--", *overrides]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return speed_from(json.loads(done.stdout.splitlines()[-1]))


def speed_from(entries: dict) -> Speed:
    """From plain values, as `dataclasses.asdict` makes them."""
    return Speed(**entries | {"overrides": tuple(entries["overrides"])})


def as_json(speed: Speed) -> str:
    return json.dumps(dataclasses.asdict(speed))
