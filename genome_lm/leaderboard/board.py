"""The leaderboard: rows, seeds, the chosen run and what was left out, as leaderboard.json has them."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from genome_lm.leaderboard.comparable import refuse_unlike, whole_validation
from genome_lm.leaderboard.reading import Run, Skipped, read_runs, shown
from genome_lm.leaderboard.rows import Row, chosen_of, rows_of
from genome_lm.leaderboard.seeds import SeedGroup, seed_groups
from genome_lm.leaderboard.verified import verified_order
from genome_lm.provenance import command_line


@dataclass(frozen=True)
class Leaderboard:
    """Runs of one dataset and task set, best validation perplexity first.

    The chosen run is the first one. Its row has test figures, if it is evaluated; with `all_test` every
    evaluated run's has.
    """

    task_set: str
    dataset_checksum: str
    chosen: Run | None  # None where no run has a validation perplexity
    all_test: bool
    rows: list[Row]
    seeds: list[SeedGroup]
    skipped: list[Skipped]

    @property
    def evaluation_overrides(self) -> list[str]:
        """What `genome-lm evaluate` is told to evaluate the chosen run over the tasks it was trained on."""
        if self.chosen is None:
            return []
        rate = self.chosen.configuration.min_positive_rate
        checkpoint = _quoted(shown(self.chosen.checkpoint))
        return [f"ckpt_path={checkpoint}", f"evaluate.min_positive_rate={rate:g}"]

    @property
    def evaluation_command(self) -> str | None:
        """The shell command that evaluates the chosen run; None if it is evaluated or there is none."""
        if self.chosen is None or self.chosen.evaluation is not None:
            return None
        return command_line("evaluate", self.evaluation_overrides)

    def as_dict(self) -> dict[str, object]:
        """Plain values; an undefined figure is None."""
        evaluation = self.chosen.evaluation if self.chosen else None
        return {
            "task_set": self.task_set,
            "dataset_checksum": self.dataset_checksum,
            "chosen": self.chosen.name if self.chosen else None,
            "chosen_by": "lowest validation perplexity",
            "test_shown": "all evaluated runs" if self.all_test else "the chosen run",
            "intervals": {"block_bp": evaluation.block_bp, "level": evaluation.level} if evaluation else None,
            "evaluate": self.evaluation_command,
            "runs": [asdict(row) for row in self.rows],
            "seeds": [asdict(group) for group in self.seeds],
            "skipped": [{"path": shown(each.path), "reason": each.reason} for each in self.skipped],
        }


def read_leaderboard(
    folders: Sequence[Path], all_test: bool = False, exclude: Sequence[Path] = ()
) -> Leaderboard:
    """Read and rank the runs in `folders`.

    Args:
        folders: run folders, sweeps, or folders of both.
        all_test: show the test figures of every evaluated run, not of the chosen one alone.
        exclude: runs or folders of runs to leave out.

    Raises:
        UserError: a folder does not exist, no run is finished, or runs differ in data, tasks or windows.
    """
    found, skipped = read_runs(folders, exclude)
    runs, partial = whole_validation(found)
    refuse_unlike(runs)
    order, unfit = verified_order(runs, all_test)
    chosen = chosen_of(order)
    return Leaderboard(
        task_set=order[0].training.task_set,
        dataset_checksum=order[0].training.dataset_checksum,
        chosen=chosen,
        all_test=all_test,
        rows=rows_of(order, order if all_test else [chosen] if chosen else []),
        seeds=seed_groups(order, chosen, all_test),
        skipped=skipped + partial + unfit,
    )


def _quoted(value: str) -> str:
    """A value as Hydra's grammar of overrides wants it, without interpolation."""
    if re.fullmatch(r"[\w/.+@%:-]+", value, re.ASCII):
        return value
    plain = value.replace("${", "\\${")
    # A backslash means itself unless a quote follows.
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), plain)
    return f"'{escaped}'"
