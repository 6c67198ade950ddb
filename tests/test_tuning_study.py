"""Studies without a network: draws, pruning, going on after an end of any kind, and several processes."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution

from genome_lm.choices import PrunerKind, SamplerKind
from genome_lm.errors import UserError
from genome_lm.locks import FileLock
from genome_lm.tuning.config import PrunerConfig, SamplerConfig
from genome_lm.tuning.space import Dimension, Space, read_space
from genome_lm.tuning.strategy import check_strategy, pruner_from, sampler_from
from genome_lm.tuning.study import JOURNAL, MAX_ATTEMPTS, Study
from genome_lm.tuning.table import best_trial, importances, trial_rows, write_tables

PLANE = read_space({"x": "interval(-5, 5)", "y": "interval(-5, 5)"}, ["seed=1"])
RANDOM = SamplerConfig(SamplerKind.random, 0, 5)
TPE = SamplerConfig(SamplerKind.tpe, 0, 5)
NONE = PrunerConfig(PrunerKind.none, 1, 1)


def study_in(folder: Path, space: Space = PLANE, sampler=RANDOM, pruner=NONE) -> Study:
    return Study(folder, space, partial(sampler_from, sampler), pruner_from(pruner))


def bowl(params) -> float:
    """Lowest at x = 2; y hardly matters."""
    return 1 + (params["x"] - 2) ** 2 + params["y"] / 1000


def work(study: Study, n_trials: int) -> list[dict]:
    done = []
    while (trial := study.next_trial(n_trials)) is not None:
        study.finish(trial, bowl(trial.params), pruned=False)
        done.append(trial.params)
    return done


def test_tpe_draws_better_values_than_chance_once_it_has_seen_some(tmp_path):
    guided = work(study_in(tmp_path / "tpe", sampler=TPE), 30)
    chance = work(study_in(tmp_path / "random"), 30)
    assert guided[:5] == chance[:5]
    assert sum(map(bowl, guided[10:])) < 0.7 * sum(map(bowl, chance[10:]))


@pytest.mark.parametrize("sampler", [RANDOM, TPE])
def test_a_study_in_two_calls_draws_what_one_call_draws(tmp_path, sampler):
    whole = work(study_in(tmp_path / "one", sampler=sampler), 9)
    parts = work(study_in(tmp_path / "two", sampler=sampler), 6)
    assert work(study_in(tmp_path / "two", sampler=sampler), 6) == []  # it has them all
    parts += work(study_in(tmp_path / "two", sampler=sampler), 9)
    assert parts == whole


def test_what_was_left_in_the_middle_is_tried_again_and_changes_no_later_draw(tmp_path):
    whole = work(study_in(tmp_path / "whole"), 4)
    study = study_in(tmp_path / "cut")
    first = study.next_trial(4)
    study.finish(first, 1.0, pruned=False)
    second = study.next_trial(4)
    study.leave(second)
    again = study_in(tmp_path / "cut").next_trial(4)
    assert (again.params, again.attempt) == (second.params, 2)
    study.finish(again, 1.0, pruned=False)
    assert work(study_in(tmp_path / "cut"), 4) == whole[2:]
    rows = trial_rows(study_in(tmp_path / "cut"))[1:]
    assert sorted(row[0] for row in rows) == ["0", "2", "3", "4"]  # 1 is shown as 2
    assert {row[1] for row in rows} == {"finished"}


def test_values_that_end_every_process_are_given_up(tmp_path):
    params = []
    for attempt in range(1, MAX_ATTEMPTS + 1):
        study = study_in(tmp_path)
        trial = study.next_trial(2)
        assert trial.attempt == attempt
        params.append(trial.params)
        study.leave(trial)
    assert all(each == params[0] for each in params)
    study = study_in(tmp_path)
    following = study.next_trial(2)
    study.leave(following)
    assert (following.attempt, following.params != params[0]) == (1, True)


CLAIM = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_tuning_study import study_in
trial = study_in(Path(sys.argv[1])).next_trial(3)
print(trial.number, flush=True)
time.sleep(600)
"""


def test_a_trial_belongs_to_its_process_until_that_is_killed(tmp_path):
    command = [sys.executable, "-c", CLAIM, str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout.readline().strip() == "0"
            beside = study_in(tmp_path)
            assert beside.running_elsewhere() == 1
            trial = beside.next_trial(2)
            assert (trial.number, trial.attempt) == (1, 1)
            assert beside.next_trial(2) is None  # one here, one there
        finally:
            worker.send_signal(signal.SIGKILL)
    again = beside.next_trial(2)
    assert (again.number, again.attempt) == (2, 2)
    for each in (trial, again):
        beside.leave(each)


def test_equal_values_are_not_tried_twice_and_an_exhausted_space_ends_the_study(tmp_path):
    space = read_space({"a": "choice(x, y)", "b": "range(0, 2)"}, ())
    study = study_in(tmp_path, space)
    done = []
    while (trial := study.next_trial(10)) is not None:
        study.finish(trial, 1.0, pruned=False)
        done.append(tuple(trial.params.values()))
    assert sorted(done) == [("x", 0), ("x", 1), ("y", 0), ("y", 1)]
    assert study.exhausted
    assert len(trial_rows(study)) == 5


def test_median_pruner_gives_up_the_worse_after_the_epochs_that_all_have(tmp_path):
    study = study_in(tmp_path, pruner=PrunerConfig(PrunerKind.median, startup_trials=2, min_epochs=2))
    for perplexity in (1.2, 1.3):
        trial = study.next_trial(9)
        assert not any(study.gives_up(trial, epoch, perplexity) for epoch in (1, 2, 3))
        study.finish(trial, perplexity, pruned=False)
    worse = study.next_trial(9)
    assert [study.gives_up(worse, epoch, 1.4) for epoch in (1, 2)] == [False, True]
    study.finish(worse, 1.4, pruned=True)
    better = study.next_trial(9)
    assert not any(study.gives_up(better, epoch, 1.1) for epoch in (1, 2, 3))
    study.finish(better, 1.1, pruned=False)
    assert best_trial(study).number == better.number
    assert [row[:2] for row in trial_rows(study)[1:]] == [
        ["3", "finished"], ["0", "finished"], ["1", "finished"], ["2", "pruned"]
    ]  # fmt: skip


def test_halving_pruner_lets_the_better_half_go_on(tmp_path):
    study = study_in(tmp_path, pruner=PrunerConfig(PrunerKind.halving, startup_trials=1, min_epochs=1))
    kept = []
    for perplexity in (1.30, 1.28, 1.40, 1.27):
        trial = study.next_trial(9)
        kept.append(not study.gives_up(trial, 1, perplexity))
        study.finish(trial, perplexity, pruned=not kept[-1])
    assert kept == [True, True, False, True]


def test_another_space_or_other_settings_are_refused(tmp_path):
    study_in(tmp_path)
    wider = read_space({"x": "interval(-9, 5)", "y": "interval(-5, 5)"}, ["seed=1"])
    with pytest.raises(UserError, match=r"another space: x was interval\(-5, 5\), now interval\(-9, 5\)"):
        study_in(tmp_path, wider)
    with pytest.raises(UserError, match=r"y was interval\(-5, 5\), now not searched"):
        study_in(tmp_path, read_space({"x": "interval(-5, 5)"}, ["seed=1"]))
    with pytest.raises(UserError, match="other settings: seed=1, now seed=2"):
        study_in(tmp_path, read_space({"x": "interval(-5, 5)", "y": "interval(-5, 5)"}, ["seed=2"]))


def test_a_shuffled_choice_is_the_same_space_at_every_call(tmp_path):
    for _ in range(4):
        study = study_in(tmp_path, read_space({}, ["a=shuffle(1,2,3,4,5)", "b=interval(0,1)"]))
        trial = study.next_trial(9)
        study.finish(trial, 1.0, pruned=False)


def test_a_pattern_that_stands_for_other_choices_now_is_another_space(tmp_path):
    def space(*options: str) -> Space:
        spread = CategoricalDistribution(options)
        return Space((Dimension("model", "glob(*)", spread, options),), ())

    study_in(tmp_path, space("gru", "lstm"))
    study_in(tmp_path, space("gru", "lstm"))
    with pytest.raises(UserError, match=r"another space: model was glob\(\*\): gru, lstm, now"):
        study_in(tmp_path, space("gru", "lstm", "mine"))


def test_perplexities_on_other_scales_are_refused(tmp_path):
    study = study_in(tmp_path)
    study.check_scale({"dataset": "a", "limit": None, "prior": 1.25})
    study_in(tmp_path).check_scale({"dataset": "a", "limit": None, "prior": 1.25 + 1e-8})
    with pytest.raises(UserError, match=r"its prior is 1\.2501, that of the first trial 1\.25:"):
        study.check_scale({"dataset": "a", "limit": None, "prior": 1.2501})
    with pytest.raises(UserError, match="its dataset is b, that of the first trial a"):
        study.check_scale({"dataset": "b", "limit": None})


def test_a_line_cut_short_is_dropped_and_a_damaged_one_is_told(tmp_path):
    work(study_in(tmp_path), 2)
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "wor')
    assert len(work(study_in(tmp_path), 3)) == 1
    assert journal.read_bytes().startswith(whole)
    for wrong in (b"no json\n", b'{"op_code": 99, "worker_id": "a"}\n'):
        journal.write_bytes(wrong + whole)
        with pytest.raises(UserError, match="is damaged"):
            study_in(tmp_path)


def test_importances_find_what_matters_and_wait_for_enough_trials(tmp_path):
    study = study_in(tmp_path)
    work(study, 19)
    assert importances(study) == {}
    work(study, 60)
    found = importances(study)
    assert sum(found.values()) == pytest.approx(1)
    assert found["x"] > 2 * found["y"]
    write_tables(study, "genome-lm train x=2")
    page = (tmp_path / "tuning.md").read_text()
    assert "Trials: 60 finished." in page
    assert "    genome-lm train x=2" in page
    assert page.index("| x ") < page.index("| y ")


def test_numbers_out_of_range():
    with pytest.raises(UserError, match=r"sampler\.seed is -1; expected at least 0"):
        check_strategy(SamplerConfig(SamplerKind.tpe, -1, 5), NONE)
    with pytest.raises(UserError, match=r"pruner\.min_epochs is 0; expected at least 1"):
        check_strategy(TPE, PrunerConfig(PrunerKind.median, 1, 0))


def test_a_lock_is_held_by_one(tmp_path):
    first, second = FileLock(tmp_path / "a" / "lock"), FileLock(tmp_path / "a" / "lock")
    assert first.acquire(wait=False)
    assert not second.acquire(wait=False)
    first.release()
    assert second.acquire(wait=False)
    second.release()
    second.release()
