"""The files of a leaderboard."""

import json
from pathlib import Path

from genome_lm.atomic import check_output, write_text
from genome_lm.errors import UserError
from genome_lm.leaderboard.board import Leaderboard
from genome_lm.leaderboard.text import leaderboard_markdown, leaderboard_tsv

JSON, TSV, MARKDOWN, PAGE = "leaderboard.json", "leaderboard.tsv", "leaderboard.md", "report.html"


def check_folder(folder: Path) -> None:
    """Refuse a folder that could not take the files, before the work is done.

    Raises:
        UserError: it is no folder, may not be written, or has folders in place of the files.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder} is no folder; give a folder")
    for name in (JSON, TSV, MARKDOWN, PAGE):
        if (folder / name).is_dir():
            raise UserError(f"{folder / name} is a folder; expected a file or nothing there: remove it")
        check_output(folder / name, [], name)


def write_leaderboard(folder: Path, board: Leaderboard) -> list[Path]:
    """Write report.html and leaderboard.{json,tsv,md} into `folder`, each whole or not at all.

    The page comes first: if it cannot be made, there are no tables beside it that are newer or older.

    Returns:
        What was written.

    Raises:
        UserError: the folder cannot be written, or the chosen run's evaluation cannot be read.
    """
    from genome_lm.report.page import write_leaderboard_page  # loads what draws: not for --help

    content = board.as_dict()
    texts = {
        JSON: json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        TSV: leaderboard_tsv(board),
        MARKDOWN: leaderboard_markdown(board),
    }
    chosen = board.chosen
    evaluated = (chosen.path, chosen.evaluation.folder) if chosen and chosen.evaluation else None
    page = write_leaderboard_page(folder, content, evaluated)
    for name, text in texts.items():
        write_text(folder / name, text)
    return [*(folder / name for name in texts), page]
