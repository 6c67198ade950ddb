"""Run folders of every kind: finished, failed, killed, damaged, and such that cannot be compared."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_leaderboard import CONFIG, SUMMARY, TRAINING, WORDS, write_evaluation, write_run

from genome_lm.errors import UserError
from genome_lm.leaderboard.board import read_leaderboard
from genome_lm.leaderboard.text import leaderboard_markdown, leaderboard_print, leaderboard_tsv

POSTER = {"task_set": "5 of 5 tasks", "n_tasks": 5, "task_ids_sha256": "def"}


def reasons(folder: Path) -> dict[str, str]:
    """Why each was left out, by name."""
    return {each.path.name: each.reason for each in read_leaderboard([folder]).skipped}


def refusal(*folders: Path) -> str:
    with pytest.raises(UserError) as error:
        read_leaderboard(folders)
    return str(error.value)


def test_runs_are_found_two_levels_deep_and_once(tmp_path):
    write_run(tmp_path / "runs" / "single")
    write_run(tmp_path / "runs" / "sweep" / "0_gru")
    write_run(tmp_path / "runs" / "sweep" / "0_gru" / "inside")
    write_run(tmp_path / "runs" / "too" / "deep" / "run")
    for kind in ("poster", "ensemble"):  # evaluations that are no runs
        (tmp_path / "runs" / "single" / kind / "evaluation").mkdir(parents=True)
        (tmp_path / "runs" / kind / "evaluation").mkdir(parents=True)
    board = read_leaderboard([tmp_path / "runs", tmp_path / "runs" / "single"])
    assert sorted(row.run for row in board.rows) == ["single", "sweep/0_gru"]
    assert board.skipped == []
    assert [row.run for row in read_leaderboard([tmp_path / "runs" / "sweep" / "0_gru"]).rows] == ["0_gru"]


def test_what_did_not_finish_is_listed_with_its_reason(tmp_path):
    write_run(tmp_path / "good")
    for name in ("failed", "crashed", "silent", "begun", "running"):
        (tmp_path / name / ".hydra").mkdir(parents=True)
    (tmp_path / "failed" / "error.txt").write_text("data.context_bp is 2\n")
    (tmp_path / "crashed" / "error.txt").write_text("Traceback:\n  ...\nZeroDivisionError: no\t luck\n\n")
    (tmp_path / "silent" / "error.txt").write_bytes(b"")
    (tmp_path / "running" / "metrics.csv").touch()
    found = reasons(tmp_path)
    assert found["failed"] == "failed: data.context_bp is 2"
    assert found["crashed"] == "failed: ZeroDivisionError: no luck"
    assert found["silent"] == "failed: error.txt is empty"
    assert found["begun"].startswith("no training.json: it stopped before training began")
    assert found["running"].startswith("no training.json: still running, or ended early; metrics.csv last")
    page = leaderboard_markdown(read_leaderboard([tmp_path]))
    assert "failed: ZeroDivisionError: no luck" in page


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("training.json", "{", "training.json is damaged: no JSON"),
        ("training.json", "[" * 100_000, "training.json is damaged: no JSON"),
        ("training.json", "[]", "training.json is damaged: expected a JSON object"),
        ("config.yaml", "a: [", "config.yaml is damaged: no YAML"),
        ("config.yaml", "text", "config.yaml is damaged: expected keys and values"),
        ("config.yaml", "seed: 0", "config.yaml lacks data.min_positive_rate"),
        ("config.yaml", "a: &a [*a]", "config.yaml"),
        ("config.yaml", "when: 2001-99-99", "config.yaml is damaged: no YAML"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, file, content, reason):
    write_run(tmp_path / "good")
    bad = write_run(tmp_path / "bad")
    (bad / file).write_text(content)
    assert reasons(tmp_path)["bad"].startswith(reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"valid_perplexity": "1.2"}, "valid_perplexity is '1.2'; expected a number"),
        ({"valid_perplexity": 0.9}, "valid_perplexity is 0.9; expected a number of at least 1"),
        ({"valid_perplexity": ...}, "training.json lacks valid_perplexity"),
        ({"valid_auroc": 1.2}, "valid_auroc is 1.2; expected a number of 0 to 1"),
        ({"parameters": True}, "parameters is True; expected a whole number of at least 0"),
        ({"seed": -1}, "seed is -1; expected a whole number of at least 0"),
        ({"epochs": 10**30}, "epochs is a huge number; expected"),
        ({"model": {}}, "model is an object; expected a text in one line"),
        ({"model": "two\nlines"}, "model is 'two\\nlines'; expected a text in one line"),
    ],
)
def test_a_figure_edited_by_hand_is_named(tmp_path, changes, reason):
    write_run(tmp_path / "good")
    write_run(tmp_path / "bad", training=changes)
    assert reason in reasons(tmp_path)["bad"]


def test_perplexities_that_are_no_numbers_rank_last(tmp_path):
    for name, value in (("a", None), ("b", float("inf")), ("c", float("nan")), ("d", 1.4)):
        write_run(tmp_path / name, value)
    board = read_leaderboard([tmp_path])
    assert [row.run for row in board.rows] == ["d", "a", "b", "c"]
    assert [row.rank for row in board.rows] == [1, 2, 2, 2]
    assert [row.valid_perplexity for row in board.rows[1:]] == [None] * 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"protocol": "poster"}, "is by protocol=poster; expected protocol=tuned"),
        ({"dataset.checksum": "sha256:2"}, "is of another dataset than the training"),
        ({"n_tasks": 2}, "is over 2 tasks; the run was trained on 3"),
        ({"checkpoints": [{}, {}]}, "is of 2 checkpoints; expected one"),
        (
            {"checkpoints": [{"path": "a/checkpoints/last.ckpt"}]},
            "is of last.ckpt; expected checkpoints/best.ckpt",
        ),
        ({"test.wins": None}, "test.wins is None; expected a whole number of at least 0"),
        ({"valid.f1": ...}, "lacks valid.f1.model"),
        ({"bootstrap.block_bp": [-1]}, "bootstrap.block_bp is -1"),
    ],
)
def test_an_evaluation_that_does_not_belong_is_left_out_and_its_run_kept(tmp_path, changes, reason):
    write_evaluation(write_run(tmp_path / "run", training={"valid_auroc": 0.6}), changes)
    board = read_leaderboard([tmp_path])
    (row,) = board.rows
    assert (row.evaluated, row.test, row.valid_scores, row.valid_auroc) == (False, None, "streaming", 0.6)
    assert reason in board.skipped[0].reason
    assert board.skipped[0].reason.endswith("; the run is ranked without it")
    assert board.skipped[0].path == tmp_path / "run" / "evaluation" / "summary.json"


def test_an_evaluation_of_other_weights_is_left_out(tmp_path):
    """Told by the validation perplexity, as far as training and evaluation measured the same."""
    changes = {"valid.perplexity.model": 1.2025}  # 0.2% from the training's 1.2
    write_evaluation(write_run(tmp_path / "other"), changes)
    write_evaluation(write_run(tmp_path / "near"), {"valid.perplexity.model": 1.2005})
    one_strand = changes | {"baseline.same_context.strands": "given"}
    write_evaluation(write_run(tmp_path / "one_strand"), one_strand)
    older = {"n_tasks": ..., "task_ids_sha256": ..., "task_set": "all tasks"}
    write_evaluation(write_run(tmp_path / "unknown_tasks", training=older), changes)
    board = read_leaderboard([tmp_path])
    assert {row.run: row.evaluated for row in board.rows} == {
        "other": False, "near": True, "one_strand": True, "unknown_tasks": True,
    }  # fmt: skip
    (left_out,) = board.skipped
    assert left_out.path.parts[-3] == "other"
    assert (
        "is of other weights: its validation perplexity is 1.20250, the training's 1.20000" in left_out.reason
    )
    limited = {"trainer.limit_val_batches": 2}
    write_evaluation(write_run(tmp_path / "part", config=limited), changes)
    assert read_leaderboard([tmp_path / "part"]).rows[0].evaluated


def write_checkpoint(run: Path, content: bytes) -> None:
    (run / "checkpoints").mkdir(exist_ok=True)
    (run / "checkpoints" / "best.ckpt").write_bytes(content)


def of_checkpoint(content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    return {"checkpoints": [{"name": "a", "path": "a/checkpoints/best.ckpt", "sha256": digest}]}


def test_the_checkpoint_of_a_shown_evaluation_is_the_one_that_lies_there(tmp_path):
    for name, perplexity in (("best", 1.1), ("second", 1.15)):
        run = write_run(tmp_path / name, perplexity)
        write_checkpoint(run, b"old")
        write_evaluation(run, of_checkpoint(b"old"))
    assert read_leaderboard([tmp_path]).skipped == []
    for name in ("best", "second"):
        write_checkpoint(tmp_path / name, b"new")
    board = read_leaderboard([tmp_path])
    assert board.chosen.name == "best"
    assert [row.test for row in board.rows] == [None, None]
    assert board.evaluation_command is not None
    (left_out,) = board.skipped  # the other one's test figures are not shown
    assert "is of other weights than checkpoints/best.ckpt (by SHA-256)" in left_out.reason
    both = read_leaderboard([tmp_path], all_test=True)
    assert ([row.test for row in both.rows], len(both.skipped)) == ([None, None], 2)
    (tmp_path / "best" / "checkpoints" / "best.ckpt").unlink()  # figures kept without the weights
    assert read_leaderboard([tmp_path]).rows[0].test is not None


def test_of_equal_runs_one_whose_evaluation_can_be_shown_is_chosen(tmp_path):
    for name in ("a", "b", "c"):
        run = write_run(tmp_path / name)
        write_checkpoint(run, b"new")
        write_evaluation(run, of_checkpoint(b"new" if name == "c" else b"old"))
    (tmp_path / "b" / "evaluation" / "tasks.tsv").write_text("")
    board = read_leaderboard([tmp_path])
    assert [row.run for row in board.rows] == ["c", "a", "b"]
    assert board.rows[0].test is not None
    assert [each.path.parts[-3] for each in board.skipped] == ["a", "b"]


def test_runs_and_evaluations_of_older_versions_are_read(tmp_path):
    """Without digest, count of tasks, intervals and checkpoints."""
    old = write_run(
        tmp_path / "old", training=dict.fromkeys(("n_tasks", "task_ids_sha256", "tokens_per_second"), ...)
    )
    bare = dict.fromkeys(("bootstrap", "checkpoints", "valid.intervals"), ...)
    write_evaluation(old, bare)
    write_run(tmp_path / "new")
    board = read_leaderboard([tmp_path])
    row = next(row for row in board.rows if row.run == "old")
    assert row.evaluated
    assert (row.tokens_per_second, row.valid_wins, row.valid_wins_interval) == (None, 2, None)
    (old / "evaluation" / "summary.json").write_text(json.dumps(SUMMARY | {"n_tasks": 2}))
    assert "is over 2 tasks; the run was trained on 3" in reasons(tmp_path)["summary.json"]


def test_what_a_setting_did_before_it_existed(tmp_path):
    """A run without stem and strand_encoding is a further seed of one with their defaults, of no other."""
    write_run(tmp_path / "old", seed=0)
    defaults = {"stem": {"_target_": "genome_lm.stems.NoStem"}, "strand_encoding": "single"}
    write_run(tmp_path / "new", seed=1, config=defaults)
    shared = defaults | {"strand_encoding": "shared", "average_strands": False}
    write_evaluation(write_run(tmp_path / "shared", seed=2, config=shared), {"valid.perplexity.model": 1.3})
    board = read_leaderboard([tmp_path])
    assert [sorted(group.runs) for group in board.seeds] == [["new", "old"]]
    # Shared strands are both strands: its evaluation is comparable, and so of other weights.
    (left_out,) = board.skipped
    assert "is of other weights" in left_out.reason


def test_a_setting_that_came_later_counts_as_its_default_within_its_section(tmp_path):
    """Neither a fraction of 1 nor a start from fresh weights makes another configuration, a half does."""
    write_run(tmp_path / "old", seed=0)
    later = {"data.train_fraction": 1.0, "task": {"name": "multitask"}, "model.init_from": None}
    write_run(tmp_path / "new", seed=1, config=later)
    write_run(tmp_path / "half", seed=2, config=later | {"data.train_fraction": 0.5})
    assert [sorted(group.runs) for group in read_leaderboard([tmp_path]).seeds] == [["new", "old"]]


def test_other_datasets_and_tasks_are_refused_with_both_runs_and_the_remedy(tmp_path):
    first = [write_run(tmp_path / name) for name in ("a", "b")]
    other_data = write_run(tmp_path / "c", training={"dataset_checksum": "sha256:2"})
    poster = write_run(tmp_path / "d", training=POSTER, config={"data.min_positive_rate": 0})
    message = refusal(*first, other_data)
    assert f"{first[0]} (sha256:1) and {other_data} (sha256:2) have different datasets" in message
    assert f"leave out the 1 of 3 runs that differ, such as with --exclude {other_data}" in message
    message = refusal(poster, *first)
    assert f"{first[0]} ({WORDS}) and {poster} (5 of 5 tasks) have different tasks" in message
    board = read_leaderboard([tmp_path], exclude=[other_data, poster])
    assert len(board.rows) == 2
    assert [each.reason for each in board.skipped] == ["left out by --exclude"] * 2


def test_task_ids_decide_where_they_are_recorded_and_the_choice_of_tasks_where_not(tmp_path):
    same_words = write_run(tmp_path / "a", training={"task_ids_sha256": "other"})
    plain = write_run(tmp_path / "b", config={"data.tasks.groups": ["tf"]})
    assert "have different tasks" in refusal(same_words, plain)
    named = write_run(tmp_path / "c", config={"data.tasks.ids": ["x", "y"]})  # the same ids as a run by group
    assert len(read_leaderboard([plain, named]).rows) == 2
    older = {"n_tasks": ..., "task_ids_sha256": ..., "task_set": "3 of 5 tasks, other words"}
    old = write_run(tmp_path / "d", training=older, config={"data.tasks.groups": ["tf"]})
    unlike = write_run(tmp_path / "e", training=older, config={"data.tasks.groups": ["dnase"]})
    assert len(read_leaderboard([plain, old]).rows) == 2
    assert "have different tasks" in refusal(old, unlike)
    assert "have different tasks" in refusal(plain, unlike)


def test_partial_validation_is_left_out_unless_all_have_it(tmp_path):
    whole = write_run(tmp_path / "whole")
    limits = {"trainer.limit_val_batches": 2}
    parts = [
        write_run(tmp_path / name, config=limits, training={"valid_prior_perplexity": 1.26}) for name in "ab"
    ]
    assert reasons(tmp_path) == dict.fromkeys("ab", "validated on 2 batches only (trainer.limit_val_batches)")
    assert len(read_leaderboard(parts).rows) == 2
    elsewhere = write_run(tmp_path / "c", training={"valid_prior_perplexity": 1.24})
    message = refusal(whole, elsewhere)
    assert "(prior 1.25)" in message
    assert "have different validation windows" in message


def test_nothing_to_rank(tmp_path):
    assert (
        refusal(tmp_path / "none")
        == f"{tmp_path / 'none'} does not exist; give folders of runs or sweeps, such as runs"
    )
    assert (
        refusal(tmp_path)
        == f"no finished run in {tmp_path} ({tmp_path}: no run in it); run `genome-lm train` first"
    )
    (tmp_path / "killed" / ".hydra").mkdir(parents=True)
    assert "killed: no training.json: it stopped before" in refusal(tmp_path)
    (tmp_path / "table.tsv").touch()
    good = write_run(tmp_path / "good")
    found = {each.path.name: each.reason for each in read_leaderboard([good, tmp_path / "table.tsv"]).skipped}
    assert found == {"table.tsv": "no folder"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
FILES = {"training.json": TRAINING, "config.yaml": CONFIG, "evaluation/summary.json": SUMMARY}


def entries(content: object, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(content, dict):
        return []
    here = [(*above, key) for key in content]
    return here + [each for key in content for each in entries(content[key], (*above, key))]


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(sorted(FILES)))
def test_arbitrary_damage_gives_a_row_a_reason_or_one_line(data, file):
    root = Path(tempfile.mkdtemp())
    try:
        write_run(root / "good")
        bad = write_run(root / "bad", 1.1)
        write_evaluation(bad)
        if data.draw(st.booleans()):
            (bad / file).write_bytes(data.draw(st.binary(max_size=40)))
        else:
            content = json.loads(json.dumps(FILES[file]))
            *above, last = data.draw(st.sampled_from(entries(content)))
            node = content
            for key in above:
                node = node[key]
            node[last] = data.draw(values)
            (bad / file).write_text(json.dumps(content))  # JSON is YAML, nearly
        try:
            board = read_leaderboard([root], all_test=True)
        except UserError:  # it now seems to have other data or tasks
            return
        assert "good" in [row.run for row in board.rows]
        named = {row.run for row in board.rows} | {each.path.name for each in board.skipped}
        assert "bad" in named
        json.dumps(board.as_dict(), allow_nan=False)
        for text in (leaderboard_tsv(board), leaderboard_markdown(board), leaderboard_print(board)):
            text.encode("utf-8")
    finally:
        shutil.rmtree(root)
