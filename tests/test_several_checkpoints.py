"""`evaluate` with several checkpoints: which are meant, members, ensemble, and what does not go together."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_run import SLICE, TINY, run_command, run_folders

from genome_lm.commands.checkpoints import checkpoint_paths, member_names, output_folder
from genome_lm.dataset.prepare import prepare
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.errors import UserError
from genome_lm.evaluation.members import Member, spread
from genome_lm.evaluation.predictions import mean_predictions, read_predictions

QUICK = (
    "baseline.contexts_bp=[60]",
    "evaluate.threads=1",
    "evaluate.accelerator=cpu",
    "bootstrap.resamples=100",
    "bootstrap.test_resamples=1000",
)


@pytest.fixture(scope="module")
def sweep(small_file, tmp_path_factory) -> Path:
    """The folder of a sweep over two seeds."""
    runs = tmp_path_factory.mktemp("sweep")
    arguments = (f"data.path={small_file}", f"runs_dir={runs}", "seed=0,1", "trainer.max_epochs=1")
    assert run_command("train", "-m", *TINY, *arguments) == 0
    return run_folders(runs)[0].parent


@pytest.fixture(scope="module")
def evaluated(sweep) -> Path:
    assert run_command("evaluate", f"ckpt_path={sweep}", f"runs_dir={sweep.parent}", *QUICK) == 0
    return sweep / "ensemble"


def logits(folder: Path, name: str) -> np.ndarray:
    return read_predictions(folder / "predictions" / f"{name}.h5").logits


def test_the_ensemble_has_the_mean_logits(evaluated):
    members = [logits(evaluated, f"member_{number}") for number in (0, 1)]
    assert not np.allclose(*members)
    np.testing.assert_allclose(logits(evaluated, "model"), (members[0] + members[1]) / 2, atol=1e-6)


def test_each_member_has_the_figures_it_has_alone(evaluated, sweep, tmp_path):
    summary = json.loads((evaluated / "evaluation" / "summary.json").read_text())
    assert [(member["name"], member["seed"]) for member in summary["members"]] == [
        ("0_bigru", 0),
        ("1_bigru", 1),
    ]
    assert len({each["sha256"] for each in summary["checkpoints"]}) == 2
    arguments = (f"ckpt_path={sweep}/1_bigru", f"output_dir={tmp_path}", f"runs_dir={sweep.parent}")
    assert run_command("evaluate", *arguments, *QUICK) == 0
    alone = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert (alone["members"], alone["spread"]) == ([], {})
    for split in ("valid", "test"):
        member = summary["members"][1][split]
        for measure in ("perplexity", "skill", "f1", "auroc", "ap"):
            assert member[measure] == pytest.approx(alone[split][measure]["model"])
        assert member["wins"] == alone[split]["wins"]
        ours = [each[split]["f1"] for each in summary["members"]]
        assert summary["spread"][split]["f1"]["mean"] == pytest.approx(np.mean(ours))
        assert summary["spread"][split]["f1"]["sd"] == pytest.approx(np.std(ours, ddof=1))
    page = (evaluated / "evaluation" / "summary.md").read_text()
    assert "## The 2 checkpoints by themselves" in page


def test_without_the_ensemble_validation_chooses(evaluated, sweep, tmp_path):
    arguments = (f"ckpt_path=[{sweep}/0_bigru,{sweep}/1_bigru]", f"output_dir={tmp_path}")
    assert (
        run_command("evaluate", *arguments, f"runs_dir={sweep.parent}", "evaluate.ensemble=false", *QUICK)
        == 0
    )
    summary = json.loads((evaluated / "evaluation" / "summary.json").read_text())
    best = int(np.argmin([member["valid"]["perplexity"] for member in summary["members"]]))
    np.testing.assert_array_equal(logits(tmp_path, "model"), logits(evaluated, f"member_{best}"))
    words = json.loads((tmp_path / "evaluation" / "summary.json").read_text())["predictors"]["model"]
    assert f"{best}_bigru, of 2 checkpoints the best on validation" in words


def test_members_of_an_earlier_ensemble_do_not_stay(sweep, tmp_path):
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "member_7.h5").write_bytes(b"old")
    arguments = (f"ckpt_path={sweep}/0_bigru", f"output_dir={tmp_path}", f"runs_dir={sweep.parent}")
    assert run_command("evaluate", *arguments, *QUICK, "bootstrap.resamples=0") == 0
    assert not list((tmp_path / "predictions").glob("member_*.h5"))


def test_poster_stands_beside_the_tuned_evaluation_of_the_same_checkpoint(sweep, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(sweep / "0_bigru", run)
    common = (f"ckpt_path={run}", f"runs_dir={sweep.parent}", *QUICK, "bootstrap.resamples=0")
    assert run_command("evaluate", *common) == 0
    assert run_command("evaluate", *common, "protocol=poster") == 0
    tuned = json.loads((run / "evaluation" / "summary.json").read_text())
    poster = json.loads((run / "poster" / "evaluation" / "summary.json").read_text())
    assert poster["tuned"] == tuned["test"]
    page = (run / "poster" / "evaluation" / "summary.md").read_text()
    assert "report's rules" in page
    assert f"{tuned['test']['f1']['baseline']:.3f}" in page
    shutil.copy(sweep / "1_bigru" / "checkpoints" / "best.ckpt", run / "checkpoints" / "best.ckpt")
    assert run_command("evaluate", *common, "protocol=poster") == 0  # another network: no such table
    poster = json.loads((run / "poster" / "evaluation" / "summary.json").read_text())
    assert poster["tuned"] is None


def test_poster_does_not_stand_beside_other_tasks_or_another_rule(sweep, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(sweep / "0_bigru", run)
    common = (f"ckpt_path={run}", f"runs_dir={sweep.parent}", *QUICK, "bootstrap.resamples=0")
    assert run_command("evaluate", *common, "evaluate.min_positive_rate=0.2") == 0
    assert run_command("evaluate", *common, "protocol=poster") == 0
    assert "is of other checkpoints, tasks, data or strands" in capsys.readouterr().out
    poster = json.loads((run / "poster" / "evaluation" / "summary.json").read_text())
    assert poster["tuned"] is None
    assert run_command("evaluate", *common, "protocol=poster", "evaluate.min_positive_rate=0.2") == 2
    assert "expected 0.01 under protocol=poster" in capsys.readouterr().err


@pytest.mark.parametrize(
    "setting",
    [
        "bootstrap.resamples=1",
        "bootstrap.test_resamples=99",
        "bootstrap.level=1",
        "bootstrap.block_bp=[]",
        "bootstrap.block_bp=[100,100]",
        "bootstrap.seed=-1",
    ],
)
def test_settings_without_sense_are_refused(sweep, setting, capsys):
    assert run_command("evaluate", f"ckpt_path={sweep}/0_bigru", setting) == 2
    said = capsys.readouterr().err
    assert f"{setting.partition('=')[0]} is " in said
    assert "expected" in said


def test_copies_of_a_checkpoint_are_no_second_seed(sweep, tmp_path, capsys):
    shutil.copytree(sweep / "0_bigru", tmp_path / "copy")
    assert run_command("evaluate", f"ckpt_path=[{sweep}/0_bigru,{tmp_path}/copy]", *QUICK) == 2
    said = capsys.readouterr().err
    assert "are copies of one" in said
    assert str(tmp_path / "copy") in said


def test_another_dataset_than_that_of_training_is_said_first(sweep, small_file, tmp_path):
    other = tmp_path / "other.h5"
    how = PrepareSettings("hg19", test=("chr20:500,000-900,000",), valid=("chr20:0-500,000",))
    prepare(SLICE / "chr20_47Mb_49Mb.fa.gz", SLICE / "tracks.tsv", other, how)
    arguments = (f"ckpt_path={sweep}/0_bigru", f"data.path={other}", f"output_dir={tmp_path}/out")
    assert run_command("evaluate", *arguments, f"runs_dir={tmp_path}", *QUICK, "bootstrap.resamples=0") == 0
    summary = json.loads((tmp_path / "out" / "evaluation" / "summary.json").read_text())
    assert summary["dataset"]["trained_on"] != summary["dataset"]["checksum"]
    assert "seen in training" in summary["caution"]
    page = (tmp_path / "out" / "evaluation" / "summary.md").read_text()
    assert page.splitlines()[2] == summary["caution"]


# Which checkpoints are meant


def test_folders_stand_for_their_best_checkpoints(sweep):
    first, second = (sweep / name / "checkpoints" / "best.ckpt" for name in ("0_bigru", "1_bigru"))
    assert checkpoint_paths(str(sweep), Path("nowhere")) == [first, second]
    assert checkpoint_paths([str(sweep / "1_bigru"), str(first)], Path("nowhere")) == [second, first]
    assert checkpoint_paths(None, sweep.parent)[0] in (first, second)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("SWEEP SWEEP/0_bigru", "twice"),
        ("SWEEP/0_bigru/checkpoints", "folder without checkpoints/best.ckpt"),
        ("7", "expected a path, or a list"),
        ("", "expected a path, or a list"),
    ],
)
def test_other_settings_are_refused(sweep, given, message):
    value = 7 if given == "7" else [part.replace("SWEEP", str(sweep)) for part in given.split()]
    with pytest.raises(UserError, match=message):
        checkpoint_paths(value, Path("nowhere"))


def test_checkpoints_that_do_not_go_together_are_both_named(sweep, checkpoint, tmp_path, small_file, capsys):
    arguments = (f"data.path={small_file}", f"runs_dir={tmp_path}", "trainer.max_epochs=1")
    assert run_command("train", *TINY, *arguments, "data.context_bp=90") == 0
    (other,) = run_folders(tmp_path)
    assert run_command("evaluate", f"ckpt_path=[{sweep}/0_bigru,{other}]", *QUICK) == 2
    said = capsys.readouterr().err
    assert str(sweep / "0_bigru") in said
    assert str(other) in said
    assert "different contexts (60 and 90)" in said
    assert "Traceback" not in said


def test_names_tell_the_checkpoints_apart(sweep, tmp_path):
    shutil.copytree(sweep, tmp_path / "again")
    paths = checkpoint_paths([str(sweep), str(tmp_path / "again")], Path("nowhere"))
    names = member_names(paths)
    assert names == [f"{sweep.name}/0_bigru", f"{sweep.name}/1_bigru", "again/0_bigru", "again/1_bigru"]
    last = sweep / "0_bigru" / "checkpoints" / "last.ckpt"
    names = member_names([paths[0], last])
    assert names == [f"{sweep.name}/0_bigru/best", f"{sweep.name}/0_bigru/last"]


def test_results_go_beside_the_runs(sweep):
    paths = checkpoint_paths(str(sweep), Path("nowhere"))
    assert output_folder(None, paths) == sweep / "ensemble"
    assert output_folder(None, paths[:1]) == sweep / "0_bigru"
    assert output_folder("elsewhere", paths) == Path("elsewhere")


def test_one_file_is_its_own_mean_and_three_average(evaluated):
    folder = evaluated / "predictions"
    one, two = folder / "member_0.h5", folder / "member_1.h5"
    np.testing.assert_array_equal(mean_predictions("model", [one]).logits, read_predictions(one).logits)
    three = mean_predictions("model", [one, two, two])
    expected = (read_predictions(one).logits + 2 * read_predictions(two).logits) / 3
    np.testing.assert_allclose(three.logits, expected, atol=1e-6)
    assert three.description.startswith("mean logits of 3 networks (3 x bigru")


def test_spread_by_hand():
    def member(f1: float) -> Member:
        figures = {"f1": f1, "wins": 3}
        return Member("name", 0, "path", figures, figures)

    found = spread([member(0.1), member(0.2), member(0.6)])
    assert found["test"]["f1"]["mean"] == pytest.approx(0.3)
    assert found["test"]["f1"]["sd"] == pytest.approx(math.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert found["valid"]["wins"] == {"mean": 3, "sd": 0, "n": 3}
    assert math.isnan(spread([member(0.1)])["test"]["f1"]["sd"])
    assert spread([]) == {}
