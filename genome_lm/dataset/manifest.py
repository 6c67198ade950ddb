"""The manifest: a tab-separated table with one peak file a line."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genome_lm.errors import UserError

logger = logging.getLogger(__name__)

_ID_COLUMNS = ("task_id", "id")
_TEXT_COLUMNS = ("cell", "target", "treatment", "group", "accession")
# Known and not references: `n_peaks` is counted from the file itself, `source` is a note.
_OTHER_COLUMNS = ("file", "selects_bins", "n_peaks", "source")
_YES_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True)
class Track:
    """One task: its peak file and what is known of the experiment."""

    id: str
    file: Path
    cell: str
    target: str
    treatment: str
    group: str
    accession: str
    selects_bins: bool


@dataclass(frozen=True)
class Manifest:
    """Tracks in file order; `reference` maps a column name to float64 [n_tracks], NaN where unknown."""

    path: Path
    tracks: tuple[Track, ...]
    reference: dict[str, np.ndarray]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Required columns: `task_id` (or `id`) and `file` (relative to the manifest's folder). Optional: cell,
    target, treatment, group, accession, selects_bins (1 or 0; absent: all 1). Any other column of which
    every filled entry is a number becomes a reference score; entries that are empty or begin with "NA" are
    unknown. Empty lines and lines that begin with "#" are passed over.

    Raises:
        UserError: unreadable, empty, a required column missing; names the line: a wrong number of columns,
            an id that is empty or repeated, a file that does not exist, a selects_bins other than 0 or 1.
    """
    header, rows = read_rows(path, "tracks", "manifest")
    id_column = next((name for name in _ID_COLUMNS if name in header), None)
    for name, present in (("task_id", id_column is not None), ("file", "file" in header)):
        if not present:
            found = ", ".join(header)
            raise UserError(
                f"{path}: no column {name!r}; found {found}; the first line must name the columns, by tabs"
            )
    assert id_column is not None
    tracks = []
    line_of: dict[str, int] = {}
    for number, row in rows:
        track = _track(path, number, row, row[id_column])
        if track.id in line_of:
            raise UserError(
                f"{path}: line {number}: task id {track.id!r} was used on line {line_of[track.id]}; ids "
                "must be unique"
            )
        line_of[track.id] = number
        tracks.append(track)
    if not any(track.selects_bins for track in tracks):
        raise UserError(
            f"{path}: no track has selects_bins = 1, so no bin would be kept; set it for some tracks"
        )
    known = {id_column, *_TEXT_COLUMNS, *_OTHER_COLUMNS}
    reference = {}
    for name in header:
        if name not in known:
            scores = scores_of(path, name, [row[name] for _, row in rows])
            if scores is not None:
                reference[name] = scores
    return Manifest(path, tuple(tracks), reference)


def read_rows(
    path: Path, content: str, kind: str = "table"
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Column names, and (line number, entries by column) of each line, of a tab-separated table.

    Args:
        content, kind: what the lines and the table are, for messages.

    Raises:
        UserError: unreadable or empty, a column named twice, or a line with another number of columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text table (no UTF-8); expected tab-separated columns") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path of the {kind}") from error
    lines = [
        (number, [entry.strip() for entry in line.split("\t")])
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if len(lines) < 2:
        raise UserError(f"{path}: no {content}; expected a line of column names, and a line for each")
    header = lines[0][1]
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise UserError(f"{path}: column {min(repeated)!r} appears twice; column names must be unique")
    rows = []
    for number, entries in lines[1:]:
        if len(entries) != len(header):
            raise UserError(
                f"{path}: line {number}: {len(entries)} columns, the header has {len(header)}; separate "
                "them by tabs"
            )
        rows.append((number, dict(zip(header, entries, strict=True))))
    return header, rows


def _track(path: Path, number: int, row: dict[str, str], task_id: str) -> Track:
    where = f"{path}: line {number}"
    if not task_id or not task_id.isprintable() or "/" in task_id:
        raise UserError(f"{where}: task id {task_id!r}; expected a name of printable characters without '/'")
    if not row["file"]:
        raise UserError(f"{where}: no file for task {task_id!r}; give the path of its peak file")
    file = path.parent / row["file"]
    try:
        there = file.is_file()
    except OSError:  # a name that no file can have, such as one of a thousand letters
        there = False
    if not there:
        raise UserError(
            f"{where}: file {row['file'][:200]} does not exist in {path.parent}; paths start at the manifest"
        )
    selects = row.get("selects_bins", "1").lower()
    if selects not in _YES_NO:
        raise UserError(f"{where}: selects_bins is {selects!r}; expected 1 or 0")
    texts = {name: row.get(name, "") for name in _TEXT_COLUMNS}
    return Track(id=task_id, file=file, selects_bins=_YES_NO[selects], **texts)


def scores_of(path: Path, name: str, entries: list[str]) -> np.ndarray | None:
    """The column as float64, NaN where unknown; None when it is no column of numbers."""
    scores = np.full(len(entries), math.nan)
    for index, entry in enumerate(entries):
        if not entry or entry.upper().startswith("NA"):
            continue
        try:
            scores[index] = float(entry)
        except ValueError:
            logger.info("%s: column %r is not numeric and is left out", path, name)
            return None
    return None if np.isnan(scores).all() or "/" in name or not name else scores
