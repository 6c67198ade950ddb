"""The commands. Heavy imports happen inside the jobs, so that --help answers at once."""

import argparse
import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from genome_lm import __version__
from genome_lm.choices import Launcher
from genome_lm.config import EvaluateConfig, PredictConfig, PrepareConfig, Resume, TrainConfig
from genome_lm.config_dirs import check_config_dirs
from genome_lm.config_errors import explain, explain_value, refuse_added_keys
from genome_lm.config_files import config_dir
from genome_lm.endings import leave, mistakes_in_one_line, termination_in_order
from genome_lm.errors import UserError
from genome_lm.leaderboard.training import ERROR_FILE
from genome_lm.ranks.started import HOW_TO_START, started_by, started_rank
from genome_lm.sweep import SweepTable
from genome_lm.sweeping.jobs import run_once
from genome_lm.sweeping.sweeper import JOB_NUMBER, plain_settings
from genome_lm.tuning.config import TuneConfig

logger = logging.getLogger(__name__)

SWEEP_OF_RANKS = (
    "a sweep (-m) starts the processes of its jobs itself; use trainer=ddp with it, or give torchrun and "
    "srun one configuration"
)

FLAGS_WITH_VALUES = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun",
)  # fmt: skip
"""Hydra's, whose value may look like an override, such as a path with "=" in it."""

OMP_WAIT_POLICY = "passive"
"""OpenMP threads that wait by spinning stall when another process is busy: training was seen to drop from
2,200 to 220 windows a second. Sleeping costs up to a quarter of the speed on an idle machine."""

DESCRIPTION = """\
How much of many chromatin experiments does the DNA sequence alone explain?

commands
  train      train a model on the embedded dataset or your own
  tune       search hyper-parameters, by validation alone
  evaluate   score a checkpoint per task against the k-mer logistic regression
  compare    rank runs by validation, with the test figures of the best one
  prepare    make a dataset file from a FASTA and peak files, or from DeepSEA's own files
  download   fetch DeepSEA's training data
  predict    write a checkpoint's probabilities and calls for sequences of your own
  export     write a checkpoint's model as safetensors, to be shared
  doctor     look over installation, devices, dataset, memory and speed, and say what to change

`genome-lm COMMAND --help` shows what each can be told, with examples."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The `genome-lm` command: dispatches to the commands in `_JOBS` and `_OTHERS`."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] in _OTHERS:
        _OTHERS[arguments[0]](arguments[1:])
        return
    if arguments and arguments[0] in _JOBS:
        _run(arguments[0], arguments[1:])
        return
    parser = argparse.ArgumentParser(
        prog="genome-lm", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"genome-lm {__version__}")
    parser.add_argument("command", choices=[*_JOBS, *_OTHERS], help=argparse.SUPPRESS)
    with mistakes_in_one_line():
        parser.parse_args(arguments or ["--help"])


def train() -> None:
    """The main of `train.py`."""
    _run("train", sys.argv[1:])


def evaluate() -> None:
    """The main of `evaluate.py`."""
    _run("evaluate", sys.argv[1:])


def _train(config: DictConfig, run_dir: Path) -> float:
    sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    if sweep and config.trainer.launcher != Launcher.local:
        raise UserError(SWEEP_OF_RANKS)
    if sweep and config.logger.group is None:
        config.logger.group = Path(HydraConfig.get().sweep.dir).name
    # Progress bars of jobs that run side by side would write over each other.
    alone = not sweep or HydraConfig.get().runtime.choices["hydra/launcher"] == "basic"
    settings: TrainConfig = OmegaConf.to_object(config)  # type: ignore[assignment]
    # A job that was cut off goes on from its last checkpoint; one that starts from another's does that again.
    goes_on = sweep and settings.ckpt_path is None
    if goes_on:
        settings.resume = Resume.auto

    def run() -> float:
        from genome_lm.commands.several import train_on_devices as job
        from genome_lm.commands.without_effect import warn_without_effect

        warn_without_effect(HydraConfig.get().overrides.task, settings.task.name)
        return job(settings, run_dir, alone and sys.stderr.isatty(), _repeating("train"))

    return run_once(run_dir, plain_settings(config), run, resumes=goes_on) if sweep else run()


def _evaluate(config: DictConfig, run_dir: Path) -> float:
    from genome_lm.commands.evaluate import evaluate as job

    return job(OmegaConf.to_object(config), _repeating("evaluate"))  # type: ignore[arg-type]


def _prepare(config: DictConfig, run_dir: Path) -> None:
    from genome_lm.commands.prepare import prepare as job

    given = {_key_of(each) for each in HydraConfig.get().overrides.task} - {None}
    job(OmegaConf.to_object(config), sys.stderr.isatty(), given)  # type: ignore[arg-type]


def _predict(config: DictConfig, run_dir: Path) -> None:
    from genome_lm.commands.predict import predict as job

    job(OmegaConf.to_object(config), sys.stderr.isatty())  # type: ignore[arg-type]


def _compare(arguments: Sequence[str]) -> None:
    """Rank runs: no configuration, so no Hydra."""
    from genome_lm.commands.compare import compare as job

    with mistakes_in_one_line(), termination_in_order():
        job(arguments, lambda overrides: _run("evaluate", overrides))


def _download(arguments: Sequence[str]) -> None:
    """Fetch published data: no configuration, so no Hydra."""
    from genome_lm.commands.download import download as job

    with mistakes_in_one_line(), termination_in_order():
        job(arguments)


def _export(arguments: Sequence[str]) -> None:
    """Write a model as safetensors: no configuration, so no Hydra."""
    with mistakes_in_one_line(), termination_in_order():
        from genome_lm.commands.export import export as job

        job(arguments)


def _tune(arguments: Sequence[str]) -> None:
    """Search hyper-parameters: what is no setting of the study is one of the trainings."""
    own = {"hydra", *(each.name for each in fields(TuneConfig))}
    overrides, flags = _split(arguments)
    passed_on = [each for each in overrides if _key_of(each) not in own]

    def job(config: DictConfig, run_dir: Path) -> None:
        try:
            from genome_lm.commands.tune import tune
        except ModuleNotFoundError as error:
            if error.name != "optuna":
                raise
            raise UserError("tune needs the optuna package; pip install 'genome-lm[tune]'") from error
        tune(OmegaConf.to_object(config), passed_on, _config_dirs(), sys.stderr.isatty())  # type: ignore[arg-type]

    _run("tune", [*(each for each in overrides if _key_of(each) in own), *flags], job)


def _doctor(arguments: Sequence[str]) -> None:
    """Look a training over without starting it: its configuration, and no run folder."""
    if {"-m", "--multirun"} & set(arguments):
        leave("doctor looks at one configuration at a time; -m sweeps are for train")
    as_json = bool({"--json", "json=true"} & set(arguments))
    overrides = [each for each in arguments if each not in ("--json", "json=true", "json=false")]

    def job(config: DictConfig, run_dir: Path) -> None:
        from genome_lm.commands.doctor import doctor

        if problems := doctor(OmegaConf.to_object(config), as_json):  # type: ignore[arg-type]
            noun = "problem" if problems == 1 else "problems"
            raise UserError(f"{problems} {noun} found; each is named above with what to change")

    own = ("hydra/help=doctor", "hydra.run.dir=.", "hydra.output_subdir=null")
    _run("train", [*own, *overrides], job)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides; and flags with their values."""
    overrides: list[str] = []
    flags: list[str] = []
    takes_value = False
    for each in arguments:
        (flags if takes_value or _key_of(each) is None else overrides).append(each)
        takes_value = each in FLAGS_WITH_VALUES
    return overrides, flags


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

_OTHERS: dict[str, Callable[[Sequence[str]], None]] = {
    "tune": _tune,
    "compare": _compare,
    "download": _download,
    "export": _export,
    "doctor": _doctor,
}


def _run(command: str, arguments: Sequence[str], job: Job | None = None) -> None:
    """Compose the configuration of `command`, run it, and turn bad input into one line and exit code 2."""
    job = job or _JOBS[command]
    if command != "train" and {"-m", "--multirun"} & set(arguments):
        leave(f"{command} runs one job at a time; -m sweeps are for train")
    overrides, flags = _split([*arguments, *_as_rank(command, arguments)])
    arguments = [*overrides, *flags]  # Hydra takes overrides in one piece only
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="tune_schema", node=TuneConfig)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(name="prepare_schema", node=PrepareConfig)
    store.store(name="predict_schema", node=PredictConfig)
    _register_resolvers()
    os.environ.setdefault("OMP_WAIT_POLICY", OMP_WAIT_POLICY)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing and leaving by itself
    command_line = sys.argv
    sys.argv = [sys.argv[0], *arguments]
    # The result stays where a thread of Hydra's cannot lose it: Hydra prints failures of single runs twice.
    failures: list[UserError] = []

    def task(config: DictConfig) -> float | None:
        sys.argv = command_line
        return _job(command, job, config, failures)

    SweepTable.failed = 0
    with mistakes_in_one_line(), termination_in_order():  # while it trains, Termination takes the signals
        check_config_dirs(arguments)
        try:
            hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=command)(task)()
        except (HydraException, OmegaConfBaseException) as error:
            leave(explain(error, command, arguments))
        except ValueError as error:
            if (reason := explain_value(error, command, arguments)) is None:
                raise
            leave(reason)
    if failures:
        leave(str(failures[0]))
    if SweepTable.failed:
        leave(f"{SweepTable.failed} of the sweep's jobs failed; each folder says why in {ERROR_FILE}")


def _as_rank(command: str, arguments: Sequence[str]) -> list[str]:
    """Overrides for a process that torchrun or srun has started: rank 0 writes Hydra's files too, alone."""
    starter = started_by(os.environ)
    if starter is None:
        return []
    if command != "train":
        leave(
            f"{command} was started several times over by {starter.value}; start it once, "
            f"or train so: {HOW_TO_START[starter]}"
        )
    if {"-m", "--multirun"} & set(arguments):
        leave(SWEEP_OF_RANKS)
    with mistakes_in_one_line():
        further = started_rank(starter, os.environ).number > 0
    return ["hydra.run.dir=.", "hydra.output_subdir=null"] if further else []


def _job(command: str, job: Job, config: DictConfig, failures: list[UserError]) -> float | None:
    """Run one job; in a sweep a failure is noted in the job's folder and the sweep goes on."""
    _settle_job()
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


def _group_choices(*groups: str) -> str:
    """The resolver behind --help: a line a group, and only those groups that the command reads."""
    loader = GlobalHydra.instance().config_loader()
    return "\n".join(f"{group}: {', '.join(sorted(loader.get_group_options(group)))}" for group in groups)


def _register_resolvers() -> None:
    """What the files of conf/ call: train.yaml to name the run folder, hydra/help/ to name choices."""
    OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)
    OmegaConf.register_new_resolver("group_choices", _group_choices, replace=True)


def _settle_job() -> None:
    """Make a job that another process started what it would be in this one."""
    _register_resolvers()
    os.environ.setdefault("OMP_WAIT_POLICY", OMP_WAIT_POLICY)
    number = os.environ.get(JOB_NUMBER)
    if number is not None:  # launchers count the jobs of one call, and not those of the sweep
        job = HydraConfig.get().job
        with read_write(job):  # type: ignore[arg-type]
            job.num = int(number)


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
    if run_dir != Path.cwd() and [path.name for path in run_dir.iterdir()] == [".hydra"]:
        shutil.rmtree(run_dir)


def _note(run_dir: Path, reason: str) -> None:
    (run_dir / ERROR_FILE).write_text(reason + "\n", encoding="utf-8")
    logger.error("job failed: %s", reason.strip().splitlines()[-1])
