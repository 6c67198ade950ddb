"""`genome-lm tune` refuses mistakes before it writes anything; spaces of the package and of users compose."""

import builtins

import pytest
from small_run import files, run_command

from genome_lm.commands import tune as command
from genome_lm.config_files import config_dir
from genome_lm.tuning.study import JOURNAL

LM = "task=language_model"
LEARNING_RATE = "optimizer.learning_rate=choice(1e-7,0.02)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "tune.space searches nothing; give at least one KEY=choice(a, b)"),
        (("tune=recpe",), "Could not find 'tune/recpe'"),
        ((LEARNING_RATE, "n_trails=3"), "n_trails does not exist; possible at the top level: "),
        ((LEARNING_RATE, "n_trails=3"), "of the study itself: tune, n_trials, runs_dir"),
        ((LEARNING_RATE, "n_trials=0"), "n_trials is 0; expected at least 1"),
        (("optimizer.learning_rat=1,2",), "did you mean optimizer.learning_rate?"),
        (("optimizer.learning_rat=1,2",), "(searched: optimizer.learning_rat=1)"),
        (
            ("optimizer.learning_rate=interval(-1,1)",),
            "optimizer.learning_rate is -1.0; expected more than 0",
        ),
        (("optimizer.learning_rate=choice(0.1,x)",), "optimizer.learning_rate: Value 'x' is not a number"),
        (("model=gru,lstn",), "Could not find 'model/lstn'"),
        (("tokenizer.k=range(3,5)", "tokenizer=onehot"), "tokenizer.k does not exist"),
        ((LEARNING_RATE, "trainer.devices=2"), "a study trains each trial on 1 device"),
        (
            (LEARNING_RATE, "sampler.name=tp"),
            "sampler.name: Invalid value 'tp', expected one of [tpe, random]",
        ),
        ((LEARNING_RATE, "pruner.min_epochs=0"), "pruner.min_epochs is 0; expected at least 1"),
        ((LEARNING_RATE, "-m"), "tune runs one job at a time"),
        (
            ("data.min_positive_rate=choice(0.01, 0.2)",),
            "data.min_positive_rate is searched (0.01, 0.2), but",
        ),
        (("data.tasks.groups=choice([a],[b])",), "data.tasks.groups is searched (['a'], ['b']), but decides"),
        (("task=choice(multitask,language_model)",), "task is searched (multitask, language_model), but"),
        ((LM, "data=choice(default,poster100)"), "data.context_bp is searched (920, 100), but decides"),
        ((LM, "data.context_bp=choice(60,90)"), "data.context_bp is searched (60, 90), but decides what"),
        ((LM, "task.regions.buffer_bp=choice(60,90)"), "task.regions.buffer_bp is searched (60, 90), but"),
        ((LM, "head.dropout=interval(0,0.5)"), "head.dropout is searched, but has no effect with task=lang"),
        ((LM, LEARNING_RATE, "data.tasks.ids=[a]"), "data.tasks.ids is ['a'], which has no effect with"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(arguments, message, small_file, tmp_path, capsys):
    shared = ("tune=command_line", f"data.path={small_file}", f"runs_dir={tmp_path / 'runs'}")
    if any(each.startswith(("tune=", "tokenizer=")) for each in arguments):
        shared = tuple(
            each for each in shared if not each.startswith("tune=") or "tune=recpe" not in arguments
        )
    assert run_command("tune", *shared, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "runs").exists()


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "notes.txt").touch()
    assert run_command("tune", "tune=command_line", LEARNING_RATE, f"study_dir={tmp_path}") == 2
    assert "is not empty and holds no study" in capsys.readouterr().err
    assert files(tmp_path) == {"notes.txt"}


def test_without_optuna_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    original = builtins.__import__

    def absent(name, *more):
        if name == "genome_lm.commands.tune":
            raise ModuleNotFoundError("No module named 'optuna'", name="optuna")
        return original(name, *more)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert run_command("tune", f"runs_dir={tmp_path}") == 2
    assert "pip install 'genome-lm[tune]'" in capsys.readouterr().err
    assert files(tmp_path) == set()


def test_our_spaces_can_be_composed_and_those_of_a_user_too(small_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "_run", lambda study, trial, *_: study.fail(trial, "not trained here"))
    shared = (f"data.path={small_file}", f"runs_dir={tmp_path}", "n_trials=1")
    for name in ("recipe", "words"):
        assert run_command("tune", f"tune={name}", *shared) == 2
        assert "no trial of" in capsys.readouterr().err
        assert (tmp_path / f"tune_{name}" / JOURNAL).is_file()
    mine = tmp_path / "conf" / "tune" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("name: mine\nspace:\n  seed: range(0, 3)\n  trainer.max_epochs: 1\n")
    assert run_command("tune", "--config-dir", str(tmp_path / "conf"), "tune=mine", *shared) == 2
    assert "search  seed\n" in capsys.readouterr().out


def test_help_shows_spaces_keys_and_three_examples(capsys):
    assert run_command("tune", "--help") == 0
    shown = capsys.readouterr().out
    assert shown.count("\n  genome-lm tune") >= 3
    assert (
        f"tune: {', '.join(sorted(path.stem for path in (config_dir() / 'tune').glob('*.yaml')))}\n" in shown
    )
    assert all(f"\n{key}:" in shown for key in ("n_trials", "study_dir", "sampler", "pruner"))
