"""A Hydra sweeper over lists of values that goes on where an earlier call of the same sweep stopped."""

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from genome_lm.atomic import write_text
from genome_lm.errors import UserError
from genome_lm.sweep import write_sweep_table
from genome_lm.sweeping.cores import jobs_at_once, shared_cores
from genome_lm.sweeping.jobs import CONFIG_FILE, JobState, job_state, sweep_lock

logger = logging.getLogger(__name__)

JOB_NUMBER = "GENOME_LM_JOB_NUMBER"
"""Environment variable of a job: its number in the whole sweep; launchers count those of one call."""

LAUNCHER_ERROR = "launcher_error.txt"


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: in the sweep, from 0.
        overrides: of the command line, those of the sweep exchanged for the job's own.
        name: of its folder in the sweep's.
        state: what an earlier call made of it.
    """

    number: int
    overrides: tuple[str, ...]
    name: str
    state: JobState

    def told(self) -> list[str]:
        """Overrides that make a launcher run it under its own name and number."""
        name = QuotedString(text=self.name, quote=Quote.single).with_quotes()
        return [
            *self.overrides,
            f"hydra.sweep.subdir={name}",
            f"+hydra.job.env_set.{JOB_NUMBER}='{self.number}'",
        ]


class SweepThatGoesOn(Sweeper):
    """All combinations of the values given, one job each, without those that finished in an earlier call.

    Which folder of the sweep is which job follows from its name, and that it is the same job from the
    settings kept in it. Works with every launcher.

    Args:
        max_batch_size: jobs that the launcher is handed at once; None for all.
        params: sweeps beside those of the command line, values by key.
    """

    def __init__(self, max_batch_size: int | None, params: Mapping[str, str] | None) -> None:
        self._max_batch_size = max_batch_size
        self._params = dict(params or {})
        self._setup: tuple[HydraContext, DictConfig, Launcher] | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to every sweeper."""
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._setup = hydra_context, config, launcher

    def sweep(self, arguments: list[str]) -> Any:
        """Run the jobs that have not finished.

        Raises:
            UserError: the folder holds jobs of another sweep or of other settings, another command is at work
                in it, or the launcher gave up.
        """
        # Not at the top: Hydra executes its own plugins anew when it looks for them.
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        assert self._setup is not None
        context, config, launcher = self._setup
        parser = OverridesParser.create(config_loader=context.config_loader)
        more = [f"{key}={value}" for key, value in self._params.items()]
        overrides = parser.parse_overrides([*more, *arguments])
        (every,) = BasicSweeper.split_arguments(overrides, None)
        folder = Path(config.hydra.sweep.dir)
        there = folder.is_dir()
        jobs = [_job(number, each, folder, context, config) for number, each in enumerate(every)]
        _refuse_strangers(folder, jobs)
        lock = sweep_lock(folder)
        if not lock.acquire(wait=False):
            raise UserError(f"another command runs the sweep in {folder}; wait for it, or end it")
        try:
            OmegaConf.save(config, folder / "multirun.yaml")
            _announce(folder, jobs, there)
            todo = [each for each in jobs if each.state in (JobState.new, JobState.cut_off)]
            return _launch(folder, todo, launcher, config, self._max_batch_size)
        finally:
            lock.release()


def _launch(
    folder: Path, jobs: Sequence[Job], launcher: Launcher, config: DictConfig, max_batch_size: int | None
) -> list[Any]:
    name = str(config.hydra.runtime.choices["hydra/launcher"])
    settings = OmegaConf.to_container(config.hydra.launcher)
    assert isinstance(settings, dict)
    size = max_batch_size or max(1, len(jobs))
    returns = []
    for first in range(0, len(jobs), size):
        batch = [each.told() for each in jobs[first : first + size]]
        at_once = jobs_at_once(name, {str(key): value for key, value in settings.items()}, len(batch))
        with _giving_up_in_order(folder, name), shared_cores(at_once):
            results = launcher.launch(batch, initial_job_idx=first)
            for each in results:
                _ = each.return_value  # raises what went wrong around the job
        returns.append(results)
    return returns


@contextmanager
def _giving_up_in_order(folder: Path, launcher: str) -> Iterator[None]:
    """Turn the failure of a launcher, such as a process that was killed, into one line and the table."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        write_text(folder / LAUNCHER_ERROR, traceback.format_exc())
        write_sweep_table(folder)
        reason = next(iter(str(error).strip().splitlines()), "")
        raise UserError(
            f"hydra/launcher={launcher} gave up ({type(error).__name__}: {reason}), see "
            f"{folder / LAUNCHER_ERROR}; the same command with hydra.sweep.dir={folder} goes on with the "
            "jobs that are left"
        ) from error


def _job(
    number: int, overrides: Sequence[str], folder: Path, context: HydraContext, sweep_config: DictConfig
) -> Job:
    """Compose a job, which tells mistakes before anything starts, and look what became of it."""
    config = context.config_loader.load_sweep_config(sweep_config, list(overrides))
    with read_write(config), open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        name = str(config.hydra.sweep.subdir)
        state = JobState.new
        if (folder / name / CONFIG_FILE).is_file():
            state = job_state(folder / name, plain_settings(config))
    finally:
        HydraConfig.instance().cfg = before
    return Job(number, tuple(overrides), name, state)


def plain_settings(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration of a training as plain values, without Hydra's own part."""
    kept = {str(key): config._get_node(key) for key in config if key != "hydra"}
    bare = OmegaConf.masked_copy(config, list(kept))
    plain = OmegaConf.to_container(bare, resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _refuse_strangers(folder: Path, jobs: Sequence[Job]) -> None:
    """Refuse a sweep whose folder has jobs of another one, or two of whose jobs would share a folder."""
    names = [each.name for each in jobs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(
            f"two jobs of the sweep have the folder {twice[0]}; give hydra.sweep.subdir with "
            "${hydra.job.num}, or with all that they differ in"
        )
    if not folder.is_dir():
        return
    strangers = sorted(
        str(path.parents[1].relative_to(folder))
        for path in folder.rglob(".hydra/overrides.yaml")
        if str(path.parents[1].relative_to(folder)) not in names
    )
    if strangers:
        raise UserError(
            f"{folder} holds {', '.join(strangers[:3])}{' and more' * (len(strangers) > 3)}, no job of this "
            "sweep; repeat the sweep's command, with further values at the end of the first list only, or "
            "give another hydra.sweep.dir"
        )


def _announce(folder: Path, jobs: Sequence[Job], there: bool) -> None:
    count = {state: sum(each.state is state for each in jobs) for state in JobState}
    if there and count[JobState.new] < len(jobs):
        logger.info(
            "sweep   %s: %d of %d jobs have finished; cut off or failed, and going on: %d",
            folder,
            count[JobState.finished],
            len(jobs),
            count[JobState.cut_off],
        )
        if count[JobState.running]:
            logger.info("        %d are still running in other processes", count[JobState.running])
    else:
        logger.info(
            "sweep   %s: if it is cut off, the same command with hydra.sweep.dir=%s goes on", folder, folder
        )
