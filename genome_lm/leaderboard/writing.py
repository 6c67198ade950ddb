"""The files of a leaderboard."""

import json
from pathlib import Path

from genome_lm.atomic import write_text
from genome_lm.leaderboard.board import Leaderboard
from genome_lm.leaderboard.text import leaderboard_markdown, leaderboard_tsv


def write_leaderboard(folder: Path, board: Leaderboard) -> list[Path]:
    """Write leaderboard.{json,tsv,md} and report.html into `folder`, each whole or not at all.

    Returns:
        What was written.

    Raises:
        UserError: the folder cannot be written, or the chosen run's evaluation cannot be read.
    """
    from genome_lm.report.page import write_leaderboard_page  # loads what draws: not for --help

    content = board.as_dict()
    texts = {
        "leaderboard.json": json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "leaderboard.tsv": leaderboard_tsv(board),
        "leaderboard.md": leaderboard_markdown(board),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    chosen = board.chosen
    evaluated = (chosen.path, chosen.evaluation.folder) if chosen and chosen.evaluation else None
    page = write_leaderboard_page(folder, content, evaluated)
    return [*(folder / name for name in texts), page]
