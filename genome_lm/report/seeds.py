"""Tables of runs that differ in their seed only: mean and spread, as a leaderboard has them."""

from collections.abc import Mapping

from genome_lm.report.lookup import inner, number, rows, table, text
from genome_lm.report.section import Cell, Table
from genome_lm.report.words import NONE, count, percent, score

HEADER = ("best run", "model", "seeds", "perplexity", "skill")
TEST_HEADER = ("best run", "seeds", "perplexity", "skill", "AUROC", "AP", "F1", "won")


def seed_tables(leaderboard: Mapping[str, object]) -> list[Table]:
    """Validation and, where the leaderboard has it, test over seeds; none if no configuration has two."""
    groups = rows(leaderboard, "seeds")
    if not groups:
        return []
    note = (
        "Means and standard deviations (sd) over runs whose configurations differ in the seed only: what "
        "another seed changes. A seed that was run several times counts once, with its mean."
    )
    found = [Table("Validation, over seeds", HEADER, [_validation(group) for group in groups], note)]
    if tested := [group for group in groups if table(group, "test")]:
        body = [_test(group) for group in tested]
        found.append(Table("Test, over the evaluated seeds; no part in the ranking", TEST_HEADER, body))
    return found


def _validation(group: Mapping[str, object]) -> list[Cell]:
    return [
        _best(group),
        Cell(text(group, "model") or NONE),
        Cell(_seeds(group)),
        _spread(group, "valid_perplexity", 5),
        _share(group, "valid_skill"),
    ]


def _test(group: Mapping[str, object]) -> list[Cell]:
    test = table(group, "test")
    return [
        _best(group),
        Cell(count(number(test, "wins", "n"))),
        _spread(test, "perplexity", 5),
        _share(test, "skill"),
        *(_spread(test, measure, 4) for measure in ("auroc", "ap", "f1")),
        _spread(test, "wins", 1),
    ]


def _best(group: Mapping[str, object]) -> Cell:
    runs = inner(group, "runs")
    first = runs[0] if isinstance(runs, list) and runs else NONE
    return Cell(str(first), heading=True)


def _seeds(group: Mapping[str, object]) -> str:
    seeds = inner(group, "seeds")
    return ", ".join(map(str, seeds)) if isinstance(seeds, list) and seeds else NONE


def _spread(figures: Mapping[str, object], name: str, digits: int) -> Cell:
    mean, deviation = number(figures, name, "mean"), number(figures, name, "sd")
    return Cell(score(mean, digits), "" if deviation is None else f"sd {score(deviation, digits)}")


def _share(figures: Mapping[str, object], name: str) -> Cell:
    mean, deviation = number(figures, name, "mean"), number(figures, name, "sd")
    return Cell(percent(mean, 2), "" if deviation is None else f"sd {score(100 * deviation, 2)}")
