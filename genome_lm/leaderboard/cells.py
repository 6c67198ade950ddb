"""Figures of the leaderboard as cells of its tables."""

from collections.abc import Sequence

from genome_lm.leaderboard.evaluated import Figures, Interval
from genome_lm.leaderboard.rows import STREAMING, Row
from genome_lm.leaderboard.seeds import SeedGroup, Spread

NONE = "-"
ESTIMATE = "~"
"""Before a score that training estimated from histograms."""

RUNS_HEADER = (
    "rank", "run", "model", "seed", "parameters", "epochs", "best epoch", "minutes", "windows/s", "tokens/s",
    "perplexity", "skill", "AUROC", "AP", "F1", "wins",
)  # fmt: skip
PRINTED = (
    "rank",
    "run",
    "model",
    "parameters",
    "minutes",
    "perplexity",
    "skill",
    "AUROC",
    "AP",
    "F1",
    "wins",
)
"""Columns of the runs' table that fit a terminal."""

TEST_HEADER = ("rank", "run", "perplexity", "skill", "AUROC", "AP", "F1", "wins", "F1 difference")
SEEDS_HEADER = ("best run", "model", "seeds", "perplexity", "skill")
SEEDS_TEST_HEADER = ("best run", "seeds", "perplexity", "skill", "AUROC", "AP", "F1", "wins")


def runs_table(rows: Sequence[Row]) -> list[list[str]]:
    """All runs by their validation figures."""
    return [list(RUNS_HEADER), *(_run(row) for row in rows)]


def columns(table: list[list[str]], names: Sequence[str]) -> list[list[str]]:
    """Some columns of a table, by their headers."""
    places = [table[0].index(name) for name in names]
    return [[row[place] for place in places] for row in table]


def test_table(rows: Sequence[Row]) -> list[list[str]]:
    """The rows whose test figures are shown; the header alone if there is none."""
    return [list(TEST_HEADER), *(_test(row, row.test) for row in rows if row.test is not None)]


def seeds_table(groups: Sequence[SeedGroup]) -> list[list[str]]:
    """Validation figures over seeds; a configuration is named by its best run."""
    return [
        list(SEEDS_HEADER),
        *(
            [
                group.runs[0],
                group.model,
                ", ".join(map(str, group.seeds)),
                spread(group.valid_perplexity, 5),
                spread(group.valid_skill, 4),
            ]
            for group in groups
        ),
    ]


def seeds_test_table(groups: Sequence[SeedGroup]) -> list[list[str]]:
    """Test figures over the evaluated seeds, where they are shown; the header alone if nowhere."""
    table = [list(SEEDS_TEST_HEADER)]
    for group in groups:
        if (test := group.test) is not None:
            table.append(
                [
                    group.runs[0],
                    str(test.wins.n) if test.wins else "0",
                    spread(test.perplexity, 5),
                    spread(test.skill, 4),
                    *(spread(each, 4) for each in (test.auroc, test.ap, test.f1)),
                    spread(test.wins, 1),
                ]
            )
    return table


def number(value: float | None, digits: int, sign: bool = False) -> str:
    """A number, or a dash where there is none."""
    return NONE if value is None else f"{value:{'+' if sign else ''},.{digits}f}"


def spread(value: Spread | None, digits: int) -> str:
    """Mean and standard deviation, such as "1.21761 ± 0.00040"."""
    if value is None:
        return NONE
    return f"{value.mean:.{digits}f}" + ("" if value.sd is None else f" ± {value.sd:.{digits}f}")


def outcome(wins: int | None, counted: int | None, interval: Interval | None) -> str:
    """Such as "262/374 [240, 281]"."""
    if wins is None:
        return NONE
    return f"{wins}/{counted}" + (f" [{interval[0]:.0f}, {interval[1]:.0f}]" if interval else "")


def _run(row: Row) -> list[str]:
    mark = ESTIMATE if row.valid_scores == STREAMING else ""
    return [
        str(row.rank),
        row.run,
        row.model,
        str(row.seed),
        f"{row.parameters:,}",
        str(row.epochs),
        str(row.best_epoch),
        number(None if row.seconds is None else row.seconds / 60, 1),
        number(row.windows_per_second, 0),
        number(row.tokens_per_second, 0),
        number(row.valid_perplexity, 5),
        number(row.valid_skill, 4),
        *(
            NONE if value is None else mark + number(value, 3)
            for value in (row.valid_auroc, row.valid_ap, row.valid_f1)
        ),
        outcome(row.valid_wins, row.valid_counted, row.valid_wins_interval),
    ]


def _test(row: Row, test: Figures) -> list[str]:
    difference = number(test.f1_difference, 3, sign=True)
    if test.f1_difference_interval is not None:
        low, high = test.f1_difference_interval
        difference += f" [{low:+.3f}, {high:+.3f}]"
    return [
        str(row.rank),
        row.run,
        number(test.perplexity, 5),
        number(test.skill, 4),
        *(number(value, 3) for value in (test.auroc, test.ap, test.f1)),
        outcome(test.wins, test.counted, test.wins_interval),
        difference,
    ]
