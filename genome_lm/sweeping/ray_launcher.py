"""A Hydra launcher on Ray: each job of a sweep is a task."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from genome_lm.atomic import write_text
from genome_lm.errors import UserError
from genome_lm.leaderboard.training import ERROR_FILE

logger = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 80 * 2**20
"""Close to the least that Ray takes: jobs hand over a configuration and a number, their results are files."""


class LauncherOnRay(Launcher):
    """Runs the jobs of a sweep as tasks of Ray, as many at a time as their resources allow.

    The jobs write into the sweep's folder, which all machines of a cluster must share.

    Args:
        init: arguments of `ray.init`.
        remote: arguments of `ray.remote` for each job.
    """

    def __init__(self, init: DictConfig, remote: DictConfig) -> None:
        self._init = _plain(init)
        self._remote = _plain(remote)
        self._context: HydraContext | None = None
        self._task: TaskFunction | None = None
        self._config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to every launcher."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and wait for all of them; one whose process dies leaves its reason and NaN.

        Raises:
            UserError: Ray is not installed or cannot be started.
        """
        assert self._context is not None
        assert self._task is not None
        assert self._config is not None
        try:
            import ray
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise UserError(
                "hydra/launcher=ray needs the ray package; pip install 'genome-lm[sweeps]'"
            ) from error
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        own = not ray.is_initialized()
        if own:
            _start(ray, self._init)
        try:
            remote = ray.remote(**self._remote)(run_on_ray)
            configs = [
                self._job_config(initial_job_idx + place, each) for place, each in enumerate(job_overrides)
            ]
            # One copy for all jobs: it holds the whole configuration store.
            shared = ray.put((self._context, self._task, Singleton.get_state(), os.getcwd()))
            running = [remote.remote(shared, config) for config in configs]
            return [_result(ray, each, config) for each, config in zip(running, configs, strict=True)]
        finally:
            if own:
                ray.shutdown()

    def _job_config(self, number: int, overrides: Sequence[str]) -> DictConfig:
        assert self._context is not None
        assert self._config is not None
        logger.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = f"job_id_for_{number}"
            config.hydra.job.num = number
        return config


def run_on_ray(shared: tuple[HydraContext, TaskFunction, Any, str], config: DictConfig) -> JobReturn:
    """One job, in a process of Ray.

    Args:
        shared: Hydra's context, what to run, Hydra's state, and the folder that paths are relative to.
        config: of the job, with Hydra's own part.
    """
    context, task, state, folder = shared
    os.chdir(folder)
    setup_globals()
    Singleton.set_state(state)
    HydraConfig.instance().set_config(config)
    return run_job(
        hydra_context=context,
        task_function=task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _plain(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _start(ray: Any, arguments: dict[str, Any]) -> None:
    if arguments["address"] is None:
        arguments = {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False} | arguments
    try:
        ray.init(**arguments)
    except (ConnectionError, RuntimeError, TypeError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"Ray cannot be started: {reason}; check hydra.launcher.init (docs/sweeps.md)"
        ) from error


def _result(ray: Any, running: Any, config: DictConfig) -> JobReturn:
    """What a job returns. Its process may die (killed, out of memory); the other jobs go on."""
    try:
        result: JobReturn = ray.get(running)
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())
        folder = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
        write_text(folder / ERROR_FILE, f"{type(error).__name__}: {reason}\n")
        logger.error("job %s failed: %s", folder.name, reason)
        result = JobReturn(status=JobStatus.COMPLETED)
        result.return_value = math.nan
    return result
