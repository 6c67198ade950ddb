"""`metrics.csv`: one row whenever something is logged, whole rows only, and one curve over all resumptions."""

import csv
import io
import os
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment

from genome_lm.atomic import FULL, write_text
from genome_lm.errors import UserError


class CurveFile(ExperimentWriter):
    """Lightning's writer of `metrics.csv` and `hparams.yaml`, kept whole on a full disk and after a kill.

    Lightning's own removes the file of an earlier part of the run, and writes the whole file anew, in place,
    when a column is added.

    Args:
        folder: for the files.
        rows_before: of an earlier part of the run, to be kept; what was logged after them will be again.
    """

    def __init__(self, folder: Path, rows_before: int) -> None:
        self._path = folder / self.NAME_METRICS_FILE
        self._rows_before = rows_before
        super().__init__(log_dir=str(folder))
        self.rows = 0
        if rows_before:
            self._keep_rows()

    def _check_log_dir_exists(self) -> None:
        if not self._rows_before:
            self._path.unlink(missing_ok=True)

    def _keep_rows(self) -> None:
        """Cut the file to the rows that the checkpoint knows of; a last line that is no row goes too."""
        if not self._path.is_file():
            return
        with self._path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            kept = [row for row, _ in zip(reader, range(self._rows_before), strict=False)]
            self.metrics_keys = list(reader.fieldnames or [])
        self.rows = len(kept)
        write_text(self._path, _as_text(self.metrics_keys, kept, header=True))

    def save(self) -> None:
        """Append what was logged since the last call.

        Raises:
            UserError: the disk is full; the file then holds the rows of before.
        """
        if not self.metrics:
            return
        logged, self.metrics = self.metrics, []
        try:
            if new := {key for row in logged for key in row} - set(self.metrics_keys):
                self._widen(new)
            self._append(_as_text(self.metrics_keys, logged, header=False))
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise UserError(f"cannot write {self._path}: {error.strerror}; free some space") from error
        self.rows += len(logged)

    def flush(self) -> int:
        """Make the rows last, and return their number."""
        if self._path.is_file():
            with self._path.open("rb") as file:
                os.fsync(file.fileno())
        return self.rows

    def _widen(self, new: set[str]) -> None:
        """Add columns, empty in the rows so far."""
        rows: list[dict[str, str]] = []
        if self._path.is_file():
            with self._path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        self.metrics_keys = sorted({*self.metrics_keys, *new})
        write_text(self._path, _as_text(self.metrics_keys, rows, header=True))

    def _append(self, text: str) -> None:
        content = memoryview(text.encode())
        with self._path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                while content:  # a disk that fills up takes a part at first
                    content = content[file.write(content) :]
            except OSError:
                file.truncate(before)
                raise


class CurveLogger(CSVLogger):
    """Logs to `metrics.csv` in a run folder.

    Args:
        run_dir: the run folder.
        rows_before: of an earlier part of the run, to be kept.
    """

    def __init__(self, run_dir: Path, rows_before: int = 0) -> None:
        super().__init__(run_dir, name="", version="")
        self._run_dir = run_dir
        self._rows_before = rows_before

    @property
    @rank_zero_experiment
    def experiment(self) -> CurveFile:
        if not isinstance(self._experiment, CurveFile):
            self._run_dir.mkdir(parents=True, exist_ok=True)
            self._experiment = CurveFile(self._run_dir, self._rows_before)
        return self._experiment

    def rows(self) -> int:
        """Rows so far, flushed to disk."""
        return self.experiment.flush()


def _as_text(columns: list[str], rows: list[dict[str, float]] | list[dict[str, str]], *, header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
