"""A study: which trial comes next, what became of each, and going on after an interruption."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from genome_lm.errors import UserError
from genome_lm.locks import FileLock, locked
from genome_lm.tuning.journal import open_journal
from genome_lm.tuning.space import Dimension, Space

JOURNAL = "study.journal"
LOCKS = ".locks"
ROUNDING = 1e-6
"""Relative, of a mean over the same labels in batches of other sizes."""
NAME = "genome_lm"
"""Of the study inside its journal, which holds no other."""

MAX_ATTEMPTS = 3
"""How often the same values are tried when the process ends while they run."""
MAX_REPEATS = 50
"""Draws in a row of values already tried, after which the space counts as searched through."""

# What is kept with a study or a trial, beside Optuna's own.
SPACE, FIXED, SCALE = "space", "fixed", "scale"
FOLDER, ERROR, ATTEMPT, AGAIN, REPEATS = "folder", "error", "attempt", "again", "repeats"


@dataclass(frozen=True)
class Trial:
    """A trial that this process runs.

    Attributes:
        number: counted from 0, in the order of the draws.
        params: values by key, as drawn.
        attempt: counted from 1; more if an earlier process ended while it ran these values.
    """

    number: int
    params: dict[str, Any]
    attempt: int
    drawn: optuna.Trial
    lock: FileLock


class Study:
    """Trials of one search space in one folder; any number of processes may work on it at once.

    Everything is in a journal in the folder (Optuna's `JournalStorage`), written as it happens. A trial that
    runs holds a lock: if its process ends early, whoever draws next finds the lock free and tries the values
    again.

    Args:
        folder: of the study; made if needed.
        space: must be that of the trials already there.
        sampler: makes the sampler of a trial from a seed. It has a new one for each trial, so that a study
            that was interrupted goes on as it would have.
        pruner: decides which trials are given up.

    Raises:
        UserError: the folder holds a study of another space or other settings.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        sampler: Callable[[int], optuna.samplers.BaseSampler],
        pruner: optuna.pruners.BasePruner,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the command has lines of its own
        self.folder = folder
        self.space = space
        self.exhausted = False
        """Whether the latest draw found only values that were tried before."""
        self._sampler = sampler
        with self._alone():
            self._study = optuna.create_study(
                storage=open_journal(folder / JOURNAL),
                study_name=NAME,
                direction="minimize",
                pruner=pruner,
                load_if_exists=True,
            )
            self._claim_settings()

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials by number, but for draws of values already tried."""
        return [each for each in self._study.get_trials(deepcopy=False) if REPEATS not in each.user_attrs]

    @property
    def optuna_study(self) -> optuna.Study:
        """For importances."""
        return self._study

    def next_trial(self, n_trials: int) -> Trial | None:
        """Draw the next trial; None if `n_trials` have ended or are running, or nothing new is found."""
        with self._alone():
            self._try_again_what_was_cut_off()
            again = {each.user_attrs.get(AGAIN) for each in self.trials}
            if (
                sum(each.state is not TrialState.WAITING and each.number not in again for each in self.trials)
                >= n_trials
            ):
                return None
            for _ in range(MAX_REPEATS):
                trial = self._draw()
                if trial is not None:
                    return trial
            self.exhausted = True
            return None

    def running_elsewhere(self) -> int:
        """Trials that other processes have in hand; to be asked when this one has none."""
        return sum(each.state is TrialState.RUNNING for each in self.trials)

    def note_folder(self, trial: Trial, name: str) -> None:
        """Remember the name of the trial's run folder."""
        trial.drawn.set_user_attr(FOLDER, name)

    def gives_up(self, trial: Trial, epoch: int, perplexity: float) -> bool:
        """Report the perplexity of an epoch, counted from 1; whether the pruner would stop here."""
        trial.drawn.report(perplexity, epoch)
        return bool(trial.drawn.should_prune())

    def finish(self, trial: Trial, perplexity: float, pruned: bool) -> None:
        """Note the best validation perplexity of a trial that ended, early if `pruned`."""
        if pruned:
            self._study.tell(trial.drawn, state=TrialState.PRUNED)
        else:
            self._study.tell(trial.drawn, perplexity)
        trial.lock.release()

    def fail(self, trial: Trial, reason: str) -> None:
        """Note why a trial has no result."""
        trial.drawn.set_user_attr(ERROR, reason)
        self._study.tell(trial.drawn, state=TrialState.FAIL)
        trial.lock.release()

    def leave(self, trial: Trial) -> None:
        """Let go of a trial in the middle; whoever draws next tries its values again."""
        trial.lock.release()

    def check_scale(self, scale: dict[str, Any]) -> None:
        """Hold a trial's yardstick (data, tasks, validation windows) against that of the first trial.

        Raises:
            UserError: they differ, so that the perplexities cannot be compared.
        """
        with self._alone():
            first = self._study.user_attrs.get(SCALE)
            if first is None:
                self._study.set_user_attr(SCALE, scale)
                return
        for name, value in scale.items():
            if name in first and not _same(first[name], value):
                raise UserError(
                    f"its {name} is {value}, that of the first trial {first[name]}: perplexities of "
                    "different data, tasks or windows cannot be compared; do not search these settings"
                )

    def _draw(self) -> Trial | None:
        """The next trial, or None if its values were tried before. Under the study's lock."""
        earlier = self._study.get_trials(deepcopy=False)
        # Counted without second attempts, so that a study that was cut off draws as it would have.
        place = sum(each.state is not TrialState.WAITING and AGAIN not in each.user_attrs for each in earlier)
        self._study.sampler = self._sampler(place)
        drawn = self._study.ask(fixed_distributions=self.space.distributions())
        attempt = int(drawn.user_attrs.get(ATTEMPT, 1))
        same = [
            each.number
            for each in earlier
            if each.params == drawn.params
            and each.state is not TrialState.WAITING
            and REPEATS not in each.user_attrs
        ]
        if attempt == 1 and same:
            drawn.set_user_attr(REPEATS, same[0])
            self._study.tell(drawn, state=TrialState.FAIL)
            return None
        lock = self._lock_of(drawn.number)
        lock.acquire(wait=True)
        return Trial(drawn.number, dict(drawn.params), attempt, drawn, lock)

    def _try_again_what_was_cut_off(self) -> None:
        """Queue the values of trials whose process is gone. Under the study's lock."""
        for each in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            lock = self._lock_of(each.number)
            if not lock.acquire(wait=False):
                continue  # its process lives
            lock.release()
            attempt = int(each.user_attrs.get(ATTEMPT, 1))
            if attempt < MAX_ATTEMPTS and REPEATS not in each.user_attrs:
                # Queued first: if this process ends between the two steps, values run twice but are not lost.
                self._study.enqueue_trial(each.params, user_attrs={ATTEMPT: attempt + 1, AGAIN: each.number})
            self._study.tell(each.number, state=TrialState.FAIL)

    def _claim_settings(self) -> None:
        """Note what the study is of, or refuse to mix it with something else. Under the study's lock."""
        ours: dict[str, Any] = {
            SPACE: {each.key: _written(each) for each in self.space.dimensions},
            FIXED: sorted(self.space.fixed),
        }
        theirs = self._study.user_attrs
        if SPACE not in theirs:
            for name in (FIXED, SPACE):
                self._study.set_user_attr(name, ours[name])
            return
        remedy = "repeat its settings, or give another study_dir"
        for key in sorted(ours[SPACE].keys() | theirs[SPACE].keys()):
            now, then = ours[SPACE].get(key, "not searched"), theirs[SPACE].get(key, "not searched")
            if now != then:
                raise UserError(
                    f"the study in {self.folder} has another space: {key} was {then}, now {now}; {remedy}"
                )
        if ours[FIXED] != theirs[FIXED]:
            raise UserError(
                f"the study in {self.folder} has other settings: {_words(theirs[FIXED])}, "
                f"now {_words(ours[FIXED])}; {remedy}"
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with locked(self.folder / LOCKS / "study"):
            yield

    def _lock_of(self, number: int) -> FileLock:
        return FileLock(self.folder / LOCKS / f"trial_{number}")


def _written(dimension: Dimension) -> str:
    """A dimension as it was written, and what a pattern such as glob(*) stands for at present."""
    drawn = isinstance(dimension.distribution, optuna.distributions.CategoricalDistribution)
    if drawn and "glob" in dimension.written:
        return f"{dimension.written}: {', '.join(dimension.options)}"
    return dimension.written


def _same(first: Any, value: Any) -> bool:
    """Equal, or numbers that differ by rounding only."""
    if isinstance(first, float) and isinstance(value, float):
        return math.isclose(first, value, rel_tol=ROUNDING)
    return bool(first == value)


def _words(overrides: Sequence[str]) -> str:
    return " ".join(overrides) or "none"
