"""The commands. Heavy imports happen inside the jobs, so that --help answers at once."""

import argparse
import logging
import os
import re
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genome_lm import __version__
from genome_lm.config import EvaluateConfig, PredictConfig, PrepareConfig, TrainConfig
from genome_lm.config_errors import explain, refuse_added_keys
from genome_lm.config_files import config_dir
from genome_lm.errors import Terminated, UserError
from genome_lm.leaderboard.training import ERROR_FILE
from genome_lm.sweep import SweepTable
from genome_lm.tuning.config import TuneConfig

logger = logging.getLogger(__name__)

USER_ERROR = 2
INTERRUPTED = 130

DESCRIPTION = """\
How much of many chromatin experiments does the DNA sequence alone explain?

commands
  train      train a model on the embedded dataset or your own
  tune       search hyper-parameters, by validation alone
  evaluate   score a checkpoint per task against the k-mer logistic regression
  compare    rank runs by validation, with the test figures of the best one
  prepare    make a dataset file from a FASTA and peak files
  predict    write a checkpoint's probabilities and calls for sequences of your own

`genome-lm COMMAND --help` shows what each can be told, with examples."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The `genome-lm` command: dispatches to the commands in `_JOBS`, to `tune` and to `compare`."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] == "compare":
        _compare(arguments[1:])
        return
    if arguments and arguments[0] == "tune":
        _tune(arguments[1:])
        return
    if arguments and arguments[0] in _JOBS:
        _run(arguments[0], arguments[1:])
        return
    parser = argparse.ArgumentParser(
        prog="genome-lm", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"genome-lm {__version__}")
    parser.add_argument("command", choices=[*_JOBS, "tune", "compare"], help=argparse.SUPPRESS)
    parser.parse_args(arguments or ["--help"])


def train() -> None:
    """The main of `train.py`."""
    _run("train", sys.argv[1:])


def evaluate() -> None:
    """The main of `evaluate.py`."""
    _run("evaluate", sys.argv[1:])


def _train(config: DictConfig, run_dir: Path) -> float:
    if HydraConfig.get().mode == RunMode.MULTIRUN and config.trainer.devices > 1:
        raise UserError(  # Lightning would start the whole sweep again in each further rank
            f"trainer.devices is {config.trainer.devices}; a sweep (-m) trains each job on 1 device: "
            "start one run a configuration instead"
        )
    if HydraConfig.get().mode == RunMode.MULTIRUN and config.logger.group is None:
        config.logger.group = Path(HydraConfig.get().sweep.dir).name
    from genome_lm.commands.train import train as job

    command = _repeating("train")
    return job(OmegaConf.to_object(config), run_dir, sys.stderr.isatty(), command).valid_perplexity  # type: ignore[arg-type]


def _evaluate(config: DictConfig, run_dir: Path) -> float:
    from genome_lm.commands.evaluate import evaluate as job

    return job(OmegaConf.to_object(config), _repeating("evaluate"))  # type: ignore[arg-type]


def _prepare(config: DictConfig, run_dir: Path) -> None:
    from genome_lm.commands.prepare import prepare as job

    job(OmegaConf.to_object(config), sys.stderr.isatty())  # type: ignore[arg-type]


def _predict(config: DictConfig, run_dir: Path) -> None:
    from genome_lm.commands.predict import predict as job

    job(OmegaConf.to_object(config), sys.stderr.isatty())  # type: ignore[arg-type]


def _compare(arguments: Sequence[str]) -> None:
    """Rank runs: no configuration, so no Hydra."""
    from genome_lm.commands.compare import compare as job

    with _mistakes_in_one_line(), _termination_in_order():
        job(arguments, lambda overrides: _run("evaluate", overrides))


def _tune(arguments: Sequence[str]) -> None:
    """Search hyper-parameters: what is no setting of the study is one of the trainings."""
    own = {each.name for each in fields(TuneConfig)}
    passed_on = [each for each in arguments if _key_of(each) not in (None, "hydra", *own)]

    def job(config: DictConfig, run_dir: Path) -> None:
        try:
            from genome_lm.commands.tune import tune
        except ModuleNotFoundError as error:
            if error.name != "optuna":
                raise
            raise UserError("tune needs the optuna package; pip install 'genome-lm[tune]'") from error
        tune(OmegaConf.to_object(config), passed_on, _config_dirs(), sys.stderr.isatty())  # type: ignore[arg-type]

    _run("tune", [each for each in arguments if each not in passed_on], job)


def _key_of(argument: str) -> str | None:
    """First part of the key of an override, such as "optimizer"; None of a flag or its value."""
    if argument.startswith("-") or not (argument.startswith("~") or "=" in argument):
        return None
    return re.split(r"[.=/@]", argument.lstrip("+~"), maxsplit=1)[0]


Job = Callable[[DictConfig, Path], float | None]

_JOBS: dict[str, Job] = {
    "train": _train,
    "evaluate": _evaluate,
    "prepare": _prepare,
    "predict": _predict,
}


def _run(command: str, arguments: Sequence[str], job: Job | None = None) -> None:
    """Compose the configuration of `command`, run it, and turn bad input into one line and exit code 2."""
    job = job or _JOBS[command]
    if command != "train" and {"-m", "--multirun"} & set(arguments):
        _leave(f"{command} runs one job at a time; -m sweeps are for train")
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="tune_schema", node=TuneConfig)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(name="prepare_schema", node=PrepareConfig)
    store.store(name="predict_schema", node=PredictConfig)
    OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)
    # OpenMP threads that wait by spinning stall when another process is busy: training was seen to drop from
    # 2,200 to 220 windows a second. Sleeping costs up to a quarter of the speed on an idle machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing and leaving by itself
    command_line = sys.argv
    sys.argv = [sys.argv[0], *arguments]
    # The result stays where a thread of Hydra's cannot lose it: Hydra prints failures of single runs twice.
    failures: list[UserError] = []

    def task(config: DictConfig) -> float | None:
        sys.argv = command_line  # Lightning starts further ranks by it
        return _job(command, job, config, failures)

    SweepTable.failed = 0
    with _mistakes_in_one_line(), _termination_in_order():  # while it trains, Termination takes the signals
        try:
            hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=command)(task)()
        except (HydraException, OmegaConfBaseException) as error:
            _leave(explain(error, command, arguments))
    if failures:
        _leave(str(failures[0]))
    if SweepTable.failed:
        _leave(f"{SweepTable.failed} of the sweep's jobs failed; each folder says why in {ERROR_FILE}")


@contextmanager
def _mistakes_in_one_line() -> Iterator[None]:
    """Turn what a user can mend, and Ctrl-C, into one line and an exit code."""
    try:
        yield
    except UserError as error:
        _leave(str(error))
    except OSError as error:  # such as a full disk; HDF5's carry no file name
        _leave(f"cannot use {error.filename}: {error.strerror}" if error.filename else f"file error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


@contextmanager
def _termination_in_order() -> Iterator[None]:
    """Turn SIGTERM or SIGUSR1, as batch systems send before the end, into an exit that cleans up."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        for each in before:  # a second one must not cut the cleaning up short
            signal.signal(each, signal.SIG_IGN)
        print("terminated", file=sys.stderr)
        raise Terminated

    before = {each: signal.signal(each, leave) for each in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)


def _leave(message: str) -> None:
    print(f"genome-lm: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(USER_ERROR)


def _job(command: str, job: Job, config: DictConfig, failures: list[UserError]) -> float | None:
    """Run one job; in a sweep a failure is noted in the job's folder and the sweep goes on."""
    hydra_config = HydraConfig.get()
    run_dir = Path(hydra_config.runtime.output_dir)
    missing = sorted(OmegaConf.missing_keys(config))
    sweep = hydra_config.mode == RunMode.MULTIRUN
    try:
        if missing:
            raise UserError(f"{', '.join(missing)} must be given; see genome-lm {command} --help")
        try:
            OmegaConf.resolve(config)
            refuse_added_keys(config)
            return job(config, run_dir)
        except OmegaConfBaseException as error:
            raise UserError(explain(error, command, ())) from error
    except UserError as error:
        if not sweep:
            failures.append(error)
            _remove_if_unused(run_dir)
            return None
        _note(run_dir, str(error))
    except Exception:
        if not sweep:
            raise
        _note(run_dir, traceback.format_exc())
    return float("nan")


def _run_folder(run_dir: str | None, resume: str | None, runs_dir: str, run_name: str, stamp: str) -> str:
    """The resolver behind `hydra.run.dir`: a run that is to go on needs a folder that is found again."""
    if run_dir is not None:
        return str(run_dir)
    return f"{runs_dir}/{run_name}" if resume is not None else f"{runs_dir}/{stamp}_{run_name}"


def _repeating(command: str) -> str:
    """The shell command that runs the present job again, on its own if it belongs to a sweep."""
    from genome_lm.provenance import command_line

    hydra_config = HydraConfig.get()
    return command_line(command, hydra_config.overrides.task, _config_dirs(), hydra_config.job.config_name)


def _config_dirs() -> list[str]:
    """Folders given with --config-dir."""
    sources = HydraConfig.get().runtime.config_sources
    return [source.path for source in sources if source.provider == "command-line"]


def _remove_if_unused(run_dir: Path) -> None:
    """Remove a run folder in which only Hydra has written, so that a refused run leaves nothing behind."""
    if [path.name for path in run_dir.iterdir()] == [".hydra"]:
        shutil.rmtree(run_dir)


def _note(run_dir: Path, reason: str) -> None:
    (run_dir / ERROR_FILE).write_text(reason + "\n", encoding="utf-8")
    logger.error("job failed: %s", reason.strip().splitlines()[-1])
