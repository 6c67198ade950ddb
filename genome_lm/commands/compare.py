"""Rank runs by validation perplexity: tables, a page, and test figures of the chosen run only."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from genome_lm.commands.arguments import Parser
from genome_lm.leaderboard.board import Leaderboard, read_leaderboard
from genome_lm.leaderboard.text import leaderboard_print
from genome_lm.leaderboard.writing import check_folder, write_leaderboard

DESCRIPTION = """\
genome-lm compare: rank runs by validation perplexity

Writes leaderboard.tsv, leaderboard.md, leaderboard.json and report.html. The best run on validation is
chosen, and test figures are shown for it alone unless --test is given. Runs of other datasets or tasks are
refused; unfinished ones are listed."""

EXAMPLES = """\
examples
  genome-lm compare runs/2026-01-31_12-00-00_sweep
  genome-lm compare runs --evaluate
  genome-lm compare runs/first_sweep runs/second_sweep --output both --test
  genome-lm compare runs --exclude runs/2026-01-31_12-00-00_poster"""

DEFAULT_OUTPUT = Path("leaderboard")


def compare(arguments: Sequence[str], evaluate: Callable[[Sequence[str]], None]) -> None:
    """Run the command.

    Args:
        arguments: its command line.
        evaluate: runs `genome-lm evaluate` with these overrides; called with `--evaluate` only.

    Raises:
        UserError: bad arguments, nothing to rank, runs that cannot be compared, or a folder that cannot be
            written.
        SystemExit: after --help.
    """
    given = _parser().parse_args(arguments)
    output = given.output or (given.folders[0] if len(given.folders) == 1 else DEFAULT_OUTPUT)
    check_folder(output)

    def read() -> Leaderboard:
        return read_leaderboard(given.folders, given.test, given.exclude)

    board = read()
    if given.evaluate and board.evaluation_command is not None:
        evaluate(board.evaluation_overrides)
        board = read()
    written = write_leaderboard(output, board)
    print(leaderboard_print(board), end="\n\n")
    for path in written:
        print(path)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="genome-lm compare",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="RUN_OR_SWEEP_DIR",
        help="folders of runs, of sweeps, or of both, such as runs",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"where the files go (default: the folder given, or ./{DEFAULT_OUTPUT} if several are)",
    )
    parser.add_argument(
        "--exclude",
        type=Path,
        metavar="DIR",
        action="append",
        default=[],
        help="leave out this run or sweep; repeatable",
    )
    parser.add_argument(
        "--test",
        action="store_true",
        help="show the test figures of every evaluated run, and over seeds, not of the chosen one alone",
    )
    parser.add_argument(
        "--evaluate", action="store_true", help="evaluate the chosen run first if it is not evaluated"
    )
    return parser
