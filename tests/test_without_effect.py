"""Settings of the other kind of training are refused or named, and not passed over."""

import pytest
from small_run import TINY, run_command

from genome_lm.choices import TaskKind
from genome_lm.commands.without_effect import without_effect


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("task=language_model", "data.tasks.groups=[TF]"),
            "data.tasks.groups is ['TF'], which has no effect",
        ),
        (("task=language_model", "task.weighting=inverse_entropy"), "task.weighting is inverse_entropy"),
        (("task=language_model", "strand_encoding=shared"), "or use task=multitask"),
        (("task.markov_order=3",), "task.markov_order is 3, which has no effect with task=multitask"),
        (("task.regions.valid=[chr1]",), "task.regions is given, which has no effect with task=multitask"),
    ],
)
def test_what_only_a_user_can_have_set_is_refused(arguments, message, small_file, tmp_path, capsys):
    shared = (*TINY, f"data.path={small_file}", f"runs_dir={tmp_path / 'runs'}")
    assert run_command("train", *shared, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.glob("runs/*"))


def test_what_a_model_may_have_set_is_named_when_it_is_on_the_command_line():
    given = [
        "head=last",
        "head.dropout=0.1",
        "+window_features=none",
        "headless=1",
        "data.max_shift_bp=0",
        "seed=1",
    ]
    assert without_effect(given, TaskKind.language_model) == [
        "head", "head.dropout", "window_features", "data.max_shift_bp"
    ]  # fmt: skip
    assert without_effect(given, TaskKind.multitask) == []
    assert without_effect(["task.fasta=a.fa", "~task.regions"], TaskKind.multitask) == [
        "task.fasta", "task.regions"
    ]  # fmt: skip


def test_the_note_stands_in_the_output_of_a_run(small_file, tmp_path, capsys):
    few = ("trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "trainer.max_epochs=1")
    shared = (*TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", *few)
    assert (
        run_command("train", *shared, "task=language_model", "task.markov_order=1", "head.dropout=0.3") == 0
    )
    shown = capsys.readouterr().out
    assert "no effect with task=language_model: window_features, head.dropout\n" in shown
