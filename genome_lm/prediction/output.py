"""What the table writers and the HDF5 writer share: which output is meant, and what goes into it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genome_lm.choices import TableLayout
from genome_lm.errors import UserError
from genome_lm.prediction.intervals import Intervals
from genome_lm.prediction.tasks import PredictedTasks
from genome_lm.prediction.thresholds import Thresholds
from genome_lm.prediction.windows import Windows

TABLES = (".tsv", ".tsv.gz")
HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True)
class Content:
    """All of an output but the logits."""

    intervals: Intervals
    windows: Windows
    tasks: PredictedTasks
    thresholds: Thresholds
    bin_bp: int | None  # of the dataset trained on; None where unknown
    provenance: dict[str, str | int | bool]  # attributes of the HDF5 file


def calls(logits: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """Whether each logit is at least its task's threshold, bool [n_windows, n_tasks]; False without one."""
    called: np.ndarray = logits >= thresholds.logit
    return called


def is_table(output: Path) -> bool:
    """Whether an output is a table (True) or HDF5 (False), by the end of its name.

    Raises:
        UserError: the end of the name is neither's.
    """
    name = output.name.lower()
    if name.endswith(TABLES) and name not in TABLES:
        return True
    if name.endswith(HDF5) and name not in HDF5:
        return False
    raise UserError(
        f"output {output}: the end of the name decides on the format; expected one of "
        f"{', '.join(TABLES + HDF5)}"
    )


def check_choices(output: Path, layout: TableLayout, only_calls: bool, thresholds: str) -> None:
    """Refuse settings that do not go together.

    Raises:
        UserError: a setting for tables with HDF5, or `only_calls` where no calls are written.
    """
    if not is_table(output):
        for key, given in (("layout=wide", layout is TableLayout.wide), ("only_calls=true", only_calls)):
            if given:
                raise UserError(f"{key} is for tables, but output is {output}; leave it out or write .tsv")
    if only_calls and layout is TableLayout.wide:
        raise UserError("only_calls=true needs layout=long: layout=wide has a row a window, with all tasks")
    if only_calls and thresholds == "none":
        raise UserError("only_calls=true with thresholds=none would write nothing; leave one of them out")
