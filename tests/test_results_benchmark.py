"""The harness of docs/results.md: budgets as steps, recipes from YAML, and tables from run folders."""

import dataclasses
import json
import shutil
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_leaderboard import write_evaluation, write_run

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import results
from results_plan import Contest, Ensemble, Recipe, Speed, plan_for, read_contest
from results_runs import is_trained, keep_speed, known_speed
from results_table import best_four, budget_words, read_entries, test_table, valid_table

from genome_lm.config_files import config_dir

test_table.__test__ = False  # its name is no test's


def speed(windows_per_second: float, batches_per_pass: int = 147) -> Speed:
    return Speed(("model=gru",), windows_per_second, 1.0, 256, batches_per_pass)


@pytest.mark.parametrize(
    ("windows_per_second", "epochs", "batches"),
    [
        (1_000, 5, 140),  # 703 steps: 4.8 passes
        (250, 4, 43),  # 175 steps: 1.2 passes
        (60, 4, 10),  # 42 steps, less than a third of a pass
        (3, 2, 1),  # two steps
        (147 * 256 * 4 / 180, 4, 147),  # four whole passes
    ],
)
def test_a_budget_as_equal_parts_of_at_most_a_pass(windows_per_second, epochs, batches):
    plan = plan_for(speed(windows_per_second), 180)
    assert (plan.epochs, plan.batches) == (epochs, batches)


def test_a_slow_first_pass_costs_its_time():
    slow = dataclasses.replace(speed(2 * 256, 100), first_pass_windows_per_second=256.0)  # 1 step/s, then 2
    assert [slow.steps_in(seconds) for seconds in (0.9, 50, 100, 100.5, 150)] == [0, 50, 100, 101, 200]
    assert plan_for(slow, 150).steps == 200
    assert plan_for(slow, 50).passes == pytest.approx(0.5, abs=0.03)


@settings(deadline=None)
@given(st.floats(2, 1e5), st.floats(1, 1e4), st.integers(1, 5_000), st.none() | st.floats(0.5, 100))
def test_a_plan_keeps_to_the_budget_to_within_a_step_a_part(rate, seconds, batches_per_pass, max_passes):
    fits = rate * seconds / 256
    if max_passes is not None:
        fits = min(fits, max_passes * batches_per_pass)
    if fits < 1:
        with pytest.raises(ValueError, match="less than a step"):
            plan_for(speed(rate, batches_per_pass), seconds, max_passes)
        return
    plan = plan_for(speed(rate, batches_per_pass), seconds, max_passes)
    assert plan.steps <= fits * (1 + 1e-9)
    assert plan.steps > fits - 1 - plan.epochs
    assert 1 <= plan.batches <= batches_per_pass
    assert plan.epochs >= min(4, int(fits))
    assert plan.passes == pytest.approx(plan.steps / batches_per_pass)


def test_every_model_takes_part_and_a_file_adds_and_replaces(tmp_path):
    names = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
    plain = read_contest(None, [0])
    assert [each.name for each in plain.recipes] == names
    assert all(each.overrides == (f"model={each.name}",) and each.seeds == (0,) for each in plain.recipes)
    path = tmp_path / "recipes.yaml"
    path.write_text(
        "recipes:\n- {name: gru, overrides: [model=gru, optimizer=adam], seeds: [1, 2]}\n"
        "- {name: wide, overrides: [model.encoder.hidden_size=256], max_passes: 8}\n"
        "ensembles:\n- {name: all, members: [gru, wide]}\n"
    )
    contest = read_contest(path, [0, 1, 2], ["gru", "wide", "all"])
    assert contest.recipes == (
        Recipe("gru", ("model=gru", "optimizer=adam"), (1, 2)),
        Recipe("wide", ("model.encoder.hidden_size=256",), (0, 1, 2), 8),
    )
    assert contest.ensembles == (Ensemble("all", ("gru", "wide")),)


@pytest.mark.parametrize(
    ("text", "only", "message"),
    [
        ("recipes: [{name: a}]", [], "expected name, overrides"),
        ("recipes: [{name: a, overrides: [], sead: 1}]", [], "if wanted max_passes, seeds"),
        ("recipes: [{name: a, overrides: []}, {name: a, overrides: []}]", [], "different names"),
        ("recipes: [{name: a/b, overrides: []}]", [], "letters, digits"),
        ("receipts: []", [], "expected recipes and ensembles"),
        ("ensembles: [{name: e, members: [nobody]}]", [], "no such members: nobody"),
        ("ensembles: [{name: gru, members: [lstm]}]", [], "give one another name"),
        ("", ["grru"], "no such recipes: grru"),
    ],
)
def test_a_contest_that_cannot_be_read(text, only, message, tmp_path):
    path = tmp_path / "recipes.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_contest(path, [0], only)


def test_a_speed_holds_for_its_threads_and_overrides_only(tmp_path):
    recipe = Recipe("gru", ("model=gru",), (0,))
    keep_speed(tmp_path, "gru", 1, speed(500))
    assert known_speed(tmp_path, recipe, 1) == speed(500)
    assert known_speed(tmp_path, recipe, 2) is None
    assert known_speed(tmp_path, Recipe("gru", ("model=gru", "seed=1"), (0,)), 1) is None


def test_the_budget_is_shared_by_cores_and_jobs(tmp_path, capsys):
    contest = Contest((Recipe("gru", ("model=gru",), (0,)),))
    for threads, rate in ((1, 600), (2, 1_000)):
        keep_speed(tmp_path, "gru", threads, speed(rate))
    given = Namespace(folder=tmp_path, seconds=180, cores=2, jobs=2, max_passes=None)
    (side_by_side,) = (each[1] for each in results._plans(given, contest))
    assert side_by_side == plan_for(speed(600), 360)  # twice the time of one thread
    (alone,) = (each[1] for each in results._plans(Namespace(**vars(given) | {"jobs": 1}), contest))
    assert alone == plan_for(speed(1_000), 180)
    with pytest.raises(SystemExit, match="cannot be shared"):
        results._plans(Namespace(**vars(given) | {"jobs": 3}), contest)
    with pytest.raises(SystemExit, match="gru has no speed; run calibrate --threads 4"):
        results._plans(Namespace(**vars(given) | {"cores": 4, "jobs": 1}), contest)


def test_a_run_of_another_plan_is_not_taken_for_this_one(tmp_path):
    record = {"seed": 0, "epochs": 4}
    assert not is_trained(tmp_path / "gru_seed0", record)
    folder = tmp_path / "gru_seed1"
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps(record))
    assert not is_trained(folder, record)  # begun
    (folder / "training.json").touch()
    assert is_trained(folder, record)
    with pytest.raises(SystemExit, match="of another plan"):
        is_trained(folder, record | {"epochs": 5})
    (tmp_path / "mine").mkdir()
    with pytest.raises(SystemExit, match="another plan or none"):
        is_trained(tmp_path / "mine", record)


PLAN = {"threads": 1, "seconds": 360.0, "windows_per_second": 512.4, "passes": 4.75, "max_passes": None}


@pytest.fixture
def contest(tmp_path) -> Contest:
    """Two seeds of gru, one of lstm that is better, one of rnn that is not evaluated, and an ensemble."""
    for name, perplexity in (
        ("gru_seed0", 1.21),
        ("gru_seed1", 1.23),
        ("lstm_seed0", 1.20),
        ("rnn_seed0", 1.24),
    ):
        seed = int(name[-1])
        run = write_run(tmp_path / name, perplexity, seed, {"parameters": 12_345, "best_epoch": 3 + seed})
        (run / "plan.json").write_text(json.dumps(PLAN))
        if not name.startswith("rnn"):
            test = {
                "test.perplexity.model": perplexity - 0.01,
                "test.wins": 1 + seed,
                "test.losses": 2 - seed,
            }
            if name.startswith("gru"):
                test["test.against"] = {"baseline_best_context": {"wins": 2 + seed}}
            write_evaluation(run, test)
    ensemble = tmp_path / "ensembles" / "both"
    shutil.copytree(tmp_path / "gru_seed0", ensemble)
    summary = json.loads((ensemble / "evaluation" / "summary.json").read_text())
    summary["checkpoints"] *= 3
    summary["valid"]["perplexity"]["model"] = 1.19
    (ensemble / "evaluation" / "summary.json").write_text(json.dumps(summary))
    recipes = tuple(
        Recipe(name, (), seeds) for name, seeds in (("gru", (0, 1)), ("lstm", (0,)), ("rnn", (0,)))
    )
    return Contest((*recipes, Recipe("gone", (), (0,))), (Ensemble("both", ("gru", "lstm")),))


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_tables_of_run_folders_known_by_hand(tmp_path, contest):
    entries, missing = read_entries(tmp_path, contest)
    assert [each.name for each in entries] == ["both", "lstm", "gru", "rnn"]
    assert sorted(each.partition(":")[0] for each in missing) == ["gone", "rnn"]
    assert best_four(entries) == ["lstm", "gru", "rnn"]  # an ensemble is no recipe
    header, _, both, lstm, gru, rnn = cells(valid_table(entries))
    assert header[:7] == ["model", "seeds", "parameters", "windows/s", "passes", "best at", "perplexity"]
    assert both[:7] == ["both", "", "", "", "", "", "1.19000"]
    assert lstm == ["lstm", "1", "12,345", "512", "4.8", "3/8", "1.20000", "0.7000", "0.3000", "0.4000"]
    assert gru[5:8] == ["3/8, 4/8", "1.22000 (0.01414)", "0.7000 (0.0000)"]  # sd of 1.21 and 1.23
    assert rnn[6:] == ["1.24000", "", "", ""]
    header, _, both, lstm, gru, regression, prior = cells(test_table(entries))
    assert header[:6] == ["model", "valid perplexity", "perplexity", "AUROC", "AP", "F1"]
    assert header[6:] == ["wins", "wins, best context"]
    assert lstm[1:3] == ["1.20000", "1.19000"]
    assert lstm[6:] == ["1 of 3 [1 to 3]", "1"]  # its regression has one context
    assert gru[2] == "1.21000 (0.01414)"
    assert gru[6:] == ["1.5 (0.7) of 3", "2.5 (2, 3)"]
    assert regression == ["*k-mer regression*", "1.21000", "1.21000", "0.6000", "0.2000", "0.3000", "", ""]
    assert prior[:3] == ["*prior*", "1.25000", "1.25000"]


def test_test_figures_are_shown_when_asked_for_only(tmp_path, contest, capsys):
    given = Namespace(folder=tmp_path, test=False, output=None)
    assert results.table(given, contest) == 0
    shown = capsys.readouterr().out
    assert "The best by validation perplexity: lstm, gru, rnn." in shown
    assert "1.21000" not in shown  # gru's on test, and the regression's
    output = tmp_path / "table.md"
    assert results.table(Namespace(folder=tmp_path, test=True, output=output), contest) == 0
    assert "1.21000 (0.01414)" in output.read_text()
    assert results.table(given, dataclasses.replace(contest, recipes=())) == 1


def test_the_budget_in_words():
    assert "budget of 360 core-seconds" in budget_words([PLAN])
    assert "in 360 s on one thread of" in budget_words([PLAN])
    assert "at most 8 passes" in budget_words([PLAN, PLAN | {"max_passes": 8}])
    two = budget_words([PLAN | {"threads": 2, "seconds": 180.0}])
    assert "budget of 360 core-seconds" in two
    assert "in 180 s on 2 threads of" in two


def test_without_a_command_the_harness_says_what_it_can_do(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["results.py"])
    assert results.main() == 0
    assert "calibrate" in capsys.readouterr().out
