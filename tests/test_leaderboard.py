"""Ranking, choosing, seeds and tables, on figures that can be worked out by hand."""

import csv
import json
import math
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_leaderboard import WORDS, write_evaluation, write_run

from genome_lm.leaderboard.board import Leaderboard, read_leaderboard
from genome_lm.leaderboard.configuration import Configuration
from genome_lm.leaderboard.evaluated import Evaluation, Figures, skill
from genome_lm.leaderboard.reading import Run
from genome_lm.leaderboard.rows import chosen_of, ranked, rows_of
from genome_lm.leaderboard.seeds import seed_groups
from genome_lm.leaderboard.text import leaderboard_markdown, leaderboard_print, leaderboard_tsv
from genome_lm.leaderboard.training import Training


def run(
    name: str,
    perplexity: float | None,
    test_perplexity: float | None = None,
    parameters: int = 10,
    seed: int = 0,
    likeness: str = "",
) -> Run:
    """A run in memory, evaluated if a test perplexity is given."""
    training = Training(
        model="gru",
        seed=seed,
        parameters=parameters,
        epochs=2,
        best_epoch=1,
        seconds=60.0,
        windows_per_second=1.0,
        tokens_per_second=None,
        valid_perplexity=perplexity,
        valid_prior_perplexity=1.25,
        valid_auroc=0.6,
        valid_ap=0.2,
        valid_f1=None,
        task_set=WORDS,
        n_tasks=3,
        task_ids_sha256="abc",
        dataset_checksum="sha256:1",
        best_checkpoint="checkpoints/best.ckpt",
    )
    evaluation = None
    if test_perplexity is not None:
        valid, test = (
            Figures(value, skill(value, 1.25), 0.7, 0.3, 0.4, 2, 3, (1.2, 2.8), 0.1, None)
            for value in (perplexity, test_perplexity)
        )
        evaluation = Evaluation(Path(name) / "evaluation", valid, test, 100_000, 0.95, None)
    configuration = Configuration(likeness or name, "", 0.01, None, True)
    return Run(name, Path(name), training, configuration, evaluation)


def names(runs: list[Run]) -> list[str]:
    return [each.name for each in runs]


def test_skill_by_hand():
    assert skill(math.exp(0.18), math.exp(0.2)) == pytest.approx(0.1)
    assert skill(1.25, 1.25) == 0
    assert skill(1.3, 1.25) < 0
    assert skill(None, 1.25) is skill(1.2, None) is skill(1.2, 1.0) is None


def test_lowest_perplexity_first_and_undefined_last():
    order = ranked([run("a", 1.3), run("b", None), run("c", 1.1), run("d", 1.2)])
    assert names(order) == ["c", "d", "a", "b"]
    assert [row.rank for row in rows_of(order, [])] == [1, 2, 3, 4]
    assert chosen_of(order) is order[0]


def test_nothing_is_chosen_without_a_perplexity():
    order = ranked([run("b", None), run("a", None)])
    assert names(order) == ["a", "b"]
    assert chosen_of(order) is None
    assert chosen_of([]) is None
    assert [row.rank for row in rows_of(order, [])] == [1, 1]


def test_equal_perplexities_share_a_rank_and_order_by_size_then_evaluation_then_name():
    runs = [
        run("d", 1.1, parameters=20),
        run("c", 1.1),
        run("b", 1.1),
        run("e", 1.1, test_perplexity=1.5),
        run("f", 1.2),
    ]
    order = ranked(runs)
    assert names(order) == ["e", "b", "c", "d", "f"]
    assert [row.rank for row in rows_of(order, [])] == [1, 1, 1, 1, 5]


@given(
    st.lists(
        st.tuples(st.floats(1, 2), st.floats(1, 2) | st.none()),
        min_size=1,
        max_size=6,
        unique_by=lambda x: x[0],
    ),
    st.randoms(use_true_random=False),
)
def test_no_test_figure_decides_on_the_choice(figures, random):
    runs = [run(str(place), valid, test) for place, (valid, test) in enumerate(figures)]
    tests = [test for _, test in figures]
    random.shuffle(tests)
    swapped = [run(str(place), valid, tests[place]) for place, (valid, _) in enumerate(figures)]
    assert names(ranked(runs)) == names(ranked(swapped))
    best = min(range(len(figures)), key=lambda place: figures[place][0])
    assert chosen_of(ranked(runs)).name == str(best)


def test_scores_are_exact_where_evaluated_and_marked_where_not():
    exact, streaming = rows_of([run("a", 1.1, 1.2), run("b", 1.2)], [])
    assert (exact.valid_scores, exact.valid_auroc, exact.valid_f1) == ("exact", 0.7, 0.4)
    assert (exact.valid_wins, exact.valid_counted, exact.valid_wins_interval) == (2, 3, (1.2, 2.8))
    assert (streaming.valid_scores, streaming.valid_auroc, streaming.valid_f1) == ("streaming", 0.6, None)
    assert streaming.valid_wins is None


def test_seeds_by_hand():
    runs = [
        run("a", 1.19, 1.30, seed=0, likeness="x"),
        run("b", 1.21, seed=0, likeness="x"),  # seed 0 again: counts once, with 1.20
        run("c", 1.22, 1.34, seed=1, likeness="x"),
        run("d", 1.24, seed=2, likeness="x"),
        run("e", None, seed=3, likeness="x"),
        run("f", 1.18, seed=0, likeness="y"),
        run("g", 1.30, 1.4, seed=0, likeness="z"),
        run("h", 1.40, 1.5, seed=1, likeness="z"),
    ]
    order = ranked(runs)
    chosen = next(each for each in runs if each.name == "a")
    assert [group.test for group in seed_groups(order, chosen, all_test=False)] == [None, None]
    first, second = seed_groups(order, chosen, all_test=True)
    assert first.runs == ["a", "b", "c", "d", "e"]
    assert first.seeds == [0, 1, 2, 3]
    assert (first.chosen, second.chosen) == (True, False)
    assert first.valid_perplexity.mean == pytest.approx(1.22)
    assert first.valid_perplexity.sd == pytest.approx(0.02)
    assert first.valid_perplexity.n == 3
    assert first.test.perplexity.mean == pytest.approx(1.32)
    assert first.test.perplexity.sd == pytest.approx(statistics.stdev([1.30, 1.34]))
    assert first.test.perplexity.n == 2
    assert first.test.wins.mean == 2
    assert second.valid_perplexity.sd == pytest.approx(math.sqrt(0.005))
    assert second.test.perplexity.mean == pytest.approx(1.45)


@pytest.fixture
def runs_dir(tmp_path) -> Path:
    """Two seeds of the best configuration, evaluated, and one other model, evaluated with a better test."""
    folder = tmp_path / "runs"
    for seed, perplexity in enumerate((1.2, 1.1)):
        path = write_run(folder / "sweep" / f"{seed}_bigru", perplexity, seed, config={"runs_dir": str(seed)})
        write_evaluation(path, {"test.perplexity.model": 1.3 + seed / 100, "test.wins": 1 + seed})
    tempting = write_run(
        folder / "tempting|gru", 1.15, training={"model": "gru"}, config={"model.name": "gru"}
    )
    write_evaluation(tempting, {"test.perplexity.model": 1.01, "test.f1.difference": 0.91})
    return folder


def table(board: Leaderboard) -> list[dict[str, str]]:
    return list(csv.DictReader(leaderboard_tsv(board).splitlines(), delimiter="\t"))


def test_test_figures_of_the_chosen_row_only(runs_dir):
    board = read_leaderboard([runs_dir])
    assert [row.run for row in board.rows] == ["sweep/1_bigru", "tempting|gru", "sweep/0_bigru"]
    assert board.chosen.name == "sweep/1_bigru"
    assert [row.test is None for row in board.rows] == [False, True, True]
    assert board.rows[0].test.perplexity == 1.31
    assert [row["test_perplexity"] for row in table(board)] == ["1.31", "", ""]
    (group,) = board.seeds
    assert group.test is None  # another seed's test figures would be in it
    for text in (leaderboard_markdown(board), leaderboard_print(board), json.dumps(board.as_dict())):
        assert "1.01" not in text
        assert "0.91" not in text
        assert "1.305" not in text
        assert "1.31" in text


def test_all_test_figures_when_asked_for_and_the_same_choice(runs_dir):
    board = read_leaderboard([runs_dir], all_test=True)
    assert board.chosen.name == "sweep/1_bigru"
    assert [row["test_perplexity"] for row in table(board)] == ["1.31", "1.01", "1.3"]
    assert "no reason to choose another run" in leaderboard_markdown(board)
    assert "1.01000" in leaderboard_print(board)
    (group,) = board.seeds
    assert group.test.perplexity.mean == pytest.approx(1.305)


def test_scores_on_validation_are_said_to_be_optimistic(runs_dir, tmp_path):
    said = "F1 and wins are at thresholds chosen on these same windows, so optimistic."
    board = read_leaderboard([runs_dir])
    for text in (leaderboard_markdown(board), leaderboard_print(board)):
        assert said in " ".join(text.split())
    estimated = write_run(tmp_path / "estimated", training={"valid_f1": 0.3})
    assert "F1 is at thresholds chosen on" in leaderboard_print(read_leaderboard([estimated]))
    assert "thresholds" not in leaderboard_print(read_leaderboard([write_run(tmp_path / "none")]))


def test_an_unevaluated_choice_names_the_command(tmp_path):
    path = write_run(tmp_path / "it's here", config={"data.min_positive_rate": 0.05})
    board = read_leaderboard([path])
    assert board.rows[0].run == "it's here"
    assert board.rows[0].test is None
    command = board.evaluation_command
    assert command.startswith("genome-lm evaluate ")
    assert "evaluate.min_positive_rate=0.05" in command
    assert command in leaderboard_print(board)
    assert command in leaderboard_markdown(board)
    assert board.as_dict()["evaluate"] == command


@given(st.text("a1 ='\\\",[]{}$:é/", min_size=1, max_size=12))
def test_hydra_reads_the_checkpoint_as_it_is(name):
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    chosen = run("runs/" + name, 1.1)
    board = Leaderboard(WORDS, "sha256:1", chosen, False, [], [], [])
    if "\\$" in name or name.endswith("\\"):  # no folder of ours
        return
    override = OverridesParser.create().parse_override(board.evaluation_overrides[0])
    assert OmegaConf.create({"path": override.value()}).path == str(chosen.checkpoint)


def test_json_is_as_agreed(runs_dir):
    content = json.loads(json.dumps(read_leaderboard([runs_dir]).as_dict(), allow_nan=False))
    assert content["task_set"] == WORDS
    assert content["dataset_checksum"] == "sha256:1"
    assert content["chosen"] == "sweep/1_bigru"
    assert content["skipped"] == []
    assert content["evaluate"] is None
    assert content["intervals"] == {"block_bp": 100_000, "level": 0.95}
    agreed = """rank run path model seed parameters tokens_per_second windows_per_second seconds epochs
        best_epoch valid_perplexity valid_prior_perplexity valid_skill valid_auroc valid_ap valid_f1
        valid_wins valid_counted valid_wins_interval test"""
    assert set(agreed.split()) <= set(content["runs"][0])
    of_test = "perplexity skill auroc ap f1 wins counted wins_interval f1_difference f1_difference_interval"
    assert set(content["runs"][0]["test"]) == set(of_test.split())
    assert content["runs"][0]["valid_wins_interval"] == [1.2, 2.8]


def test_tables_agree_with_the_rows(runs_dir):
    board = read_leaderboard([runs_dir])
    best, second, _ = table(board)
    assert best["path"] == str(runs_dir / "sweep" / "1_bigru")
    assert float(best["valid_skill"]) == skill(1.1, 1.25)
    assert (best["test_wins_interval_low"], best["test_wins_interval_high"]) == ("1.2", "2.8")
    assert second["test_wins_interval_low"] == ""
    page = leaderboard_markdown(board)
    assert "tempting\\|gru" in page
    assert "2/3 [1, 3]" in page
    assert "1.15000 ± 0.07071" in page
    printed = leaderboard_print(board)
    assert max(map(len, printed.splitlines())) <= 120
    assert "Chosen by validation perplexity alone: sweep/1_bigru." in printed


def test_long_names_fit_the_terminal(tmp_path):
    for number in range(2):
        run_dir = write_run(tmp_path / ("long" * 30) / f"{number}_{'x' * 90}", seed=number)
        write_evaluation(run_dir)
        write_run(tmp_path / f"other{number}", seed=number)
    printed = leaderboard_print(read_leaderboard([tmp_path]))
    tables = [line for line in printed.splitlines() if "bigru" in line or "…" in line]
    assert max(map(len, tables)) <= 120
