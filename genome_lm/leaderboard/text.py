"""The leaderboard in words: as Markdown, for a terminal, and tab-separated."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from textwrap import fill

from genome_lm.leaderboard import cells
from genome_lm.leaderboard.board import Leaderboard
from genome_lm.leaderboard.evaluated import Figures
from genome_lm.leaderboard.reading import shown
from genome_lm.leaderboard.rows import STREAMING, Row
from genome_lm.tables import to_markdown, to_text, to_tsv

TERMINAL = 120
"""Characters a line in print."""

SEEDS_NOTE = (
    "Validation over seeds: mean and standard deviation of runs whose configurations differ in the seed "
    "only; a seed that was run several times counts once, with its mean."
)
SEEDS_TEST_NOTE = "Test over the evaluated seeds of a configuration:"


def leaderboard_tsv(board: Leaderboard) -> str:
    """One line a run with all figures at full precision; an unknown one, or one not shown, is empty.

    Columns are those of a run in leaderboard.json; an interval is two of them, ending in _low and _high, and
    the test figures begin with test_.
    """
    names = [field.name for field in fields(Row) if field.name != "test"]
    test_names = [field.name for field in fields(Figures)]
    table = []
    for row in board.rows:
        own = asdict(row)
        test = own["test"] or dict.fromkeys(test_names)
        flat = {name: own[name] for name in names} | {f"test_{name}": test[name] for name in test_names}
        table.append(_two_ends(flat))
    return to_tsv([list(table[0]), *([_plain(value) for value in flat.values()] for flat in table)])


def leaderboard_markdown(board: Leaderboard) -> str:
    """The page: runs, the chosen one on test, seeds, and what was left out."""
    sections = [
        "# Leaderboard",
        _scope(board),
        to_markdown(cells.runs_table(board.rows), left=(1, 2)),
        _legend(board),
        "## Test",
        _chosen(board),
        f"    {board.evaluation_command}" if board.evaluation_command else "",
    ]
    if len(table := cells.test_table(board.rows)) > 1:
        sections.append(to_markdown(table, left=(1,)))
    if board.seeds:
        sections += ["## Seeds", SEEDS_NOTE, to_markdown(cells.seeds_table(board.seeds), left=(0, 1, 2))]
        if len(table := cells.seeds_test_table(board.seeds)) > 1:
            sections += [SEEDS_TEST_NOTE, to_markdown(table)]
    if board.skipped:
        lines = [f"- `{shown(each.path)}`: {each.reason}" for each in board.skipped]
        sections += ["## Left out", "\n".join(lines)]
    return "\n\n".join(section for section in sections if section) + "\n"


def leaderboard_print(board: Leaderboard) -> str:
    """The same for a terminal of `TERMINAL` characters, with fewer columns."""
    narrow = cells.columns(cells.runs_table(board.rows), cells.PRINTED)
    narrow[0][narrow[0].index("parameters")] = "weights"
    for row in narrow[1:]:
        row[-1] = row[-1].partition(" ")[0]  # intervals are in the files
    sections = [
        _wrapped(_scope(board)),
        _fitted(narrow, place=1, left=(1, 2)),
        _wrapped(_legend(board)),
        _wrapped(_chosen(board)),
        board.evaluation_command or "",
    ]
    if len(table := cells.test_table(board.rows)) > 1:
        sections.append("Test\n" + _fitted(table, place=1, left=(1,)))
    if board.seeds:
        table = cells.seeds_table(board.seeds)
        sections.append(f"{_wrapped(SEEDS_NOTE)}\n{_fitted(table, place=0, left=(0, 1, 2))}")
        if len(table := cells.seeds_test_table(board.seeds)) > 1:
            sections.append(f"{SEEDS_TEST_NOTE}\n{_fitted(table, place=0, left=(0,))}")
    if board.skipped:
        lines = [f"  {shown(each.path)}: {each.reason}" for each in board.skipped]
        sections.append("Left out\n" + "\n".join(lines))
    return "\n\n".join(section for section in sections if section)


def _scope(board: Leaderboard) -> str:
    prior = next((row.valid_prior_perplexity for row in board.rows if row.valid_prior_perplexity), None)
    number = f"{len(board.rows)} run{'s' if len(board.rows) > 1 else ''}"
    return (
        f"{number} by validation perplexity over {board.task_set}; "
        f"the constant prior has {cells.number(prior, 5)}."
    )


def _legend(board: Leaderboard) -> str:
    lines = ["Skill is the share of the prior's cross-entropy that a model removes."]
    if any(row.valid_scores == STREAMING for row in board.rows):
        lines.append(
            f"{cells.ESTIMATE} marks estimates from histograms during training, of runs not evaluated."
        )
    if any(row.evaluated for row in board.rows):
        lines.append("Wins are tasks on which F1 is higher than the k-mer baseline's, on validation.")
    if any(row.valid_f1 is not None for row in board.rows):
        what = "F1 and wins are" if any(row.evaluated for row in board.rows) else "F1 is"
        lines.append(f"{what} at thresholds chosen on these same windows, so optimistic.")
    return " ".join(lines)


def _chosen(board: Leaderboard) -> str:
    if board.chosen is None:
        return "No run has a validation perplexity, so none is chosen."
    ties = sum(row.rank == 1 for row in board.rows) - 1
    among = (
        f" ({ties} more with the same: fewer parameters first, then evaluated ones, then by name)"
        if ties
        else ""
    )
    sentences = [f"Chosen by validation perplexity alone: {board.chosen.name}{among}."]
    if board.all_test:
        sentences.append("The test figures of others are no reason to choose another run.")
    if board.chosen.evaluation is None:
        sentences.append("It is not evaluated, so it has no test figures yet. This command evaluates it:")
    elif board.chosen.evaluation.block_bp is not None and board.chosen.evaluation.level is not None:
        level, block = board.chosen.evaluation.level, board.chosen.evaluation.block_bp
        sentences.append(
            f"Brackets are {level:.0%} intervals from resampling blocks of {block / 1000:g} kb of the genome."
        )
    return " ".join(sentences)


def _wrapped(text: str) -> str:
    return fill(text, TERMINAL, break_long_words=False, break_on_hyphens=False)


def _fitted(table: list[list[str]], place: int, left: Sequence[int]) -> str:
    """A table for the terminal; the column at `place` loses the beginnings of its cells as far as needed."""
    rest = [row[:place] + row[place + 1 :] for row in table]
    width = max(map(len, to_text(rest).splitlines()))
    room = max(12, TERMINAL - width - 2)
    shortened = [[*row[:place], _end(row[place], room), *row[place + 1 :]] for row in table]
    return to_text(shortened, left)


def _end(text: str, room: int) -> str:
    return text if len(text) <= room else "…" + text[len(text) - room + 1 :]


def _two_ends(flat: dict[str, object]) -> dict[str, object]:
    ends: dict[str, object] = {}
    for name, value in flat.items():
        if name.endswith("_interval"):
            low, high = value if isinstance(value, tuple) else (None, None)
            ends |= {f"{name}_low": low, f"{name}_high": high}
        else:
            ends[name] = value
    return ends


def _plain(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
