"""How a run was made and how to repeat it."""

import shlex
from collections.abc import Mapping

from genome_lm.report.answer import level_of
from genome_lm.report.inputs import FEW_POSITIVES, Inputs
from genome_lm.report.lookup import inner, number, rows, table, text
from genome_lm.report.section import Section
from genome_lm.report.words import NONE, count, score, size


def how_section(inputs: Inputs) -> Section:
    """Commands, settings, data, versions, thresholds, bootstrap and configuration."""
    summary, training = inputs.summary, inputs.training
    blocks = [
        ("Predictors", [(name, str(words)) for name, words in table(summary, "predictors").items()]),
        ("Comparison", _comparison(summary)),
        ("Bootstrap", _bootstrap(summary)),
        ("Data", _data(summary, training)),
        ("Training", _training(training)),
        ("Versions", _versions(training)),
        ("Checkpoints", _checkpoints(summary)),
    ]
    missing = (
        []
        if training
        else ["There is no training.json beside this evaluation, so little is known of the training."]
    )
    return Section(
        "how",
        "How the run was made",
        "how",
        {
            "command": repeat_command(inputs),
            "evaluate": text(summary, "command"),
            "blocks": [(title, pairs) for title, pairs in blocks if pairs],
            "config": inputs.config,
        },
        missing=missing,
    )


def glossary_section() -> Section:
    """What every measure means."""
    return Section("glossary", "What the words mean", "glossary")


def repeat_command(inputs: Inputs) -> str:
    """The command that trains the same run again; empty if it is not known."""
    if recorded := text(inputs.training, "command"):
        return recorded
    if inputs.overrides is None:
        return ""
    return " ".join(["genome-lm train", *map(shlex.quote, inputs.overrides)])


def _comparison(summary: Mapping[str, object]) -> list[tuple[str, str]]:
    pairs = [
        ("tasks", text(summary, "task_set")),
        ("thresholds", text(summary, "thresholds")),
        ("protocol", text(summary, "protocol")),
    ]
    for split in ("test", "valid"):
        windows, whole_split = (number(summary, split, key) for key in ("windows", "windows_in_dataset"))
        scored = count(windows)
        if windows is not None and whole_split is not None and windows != whole_split:
            scored = f"only {scored} of {count(whole_split)}"
        pairs.append(
            (f"{'validation' if split == 'valid' else split} windows", "" if windows is None else scored)
        )
    undefined = table(summary, "test", "undefined")
    shown = {"f1": "F1", "auroc": "AUROC", "ap": "AP"}
    left_out = [f"{words} {count(n)}" for key, words in shown.items() if (n := number(undefined, key))]
    reason = f"{', '.join(left_out)} (no positives or no negatives)" if left_out else ""
    pairs.append(("tasks without a score on test", reason))
    few = number(summary, "test", "few_valid_positives")
    pairs.append(
        (f"tasks with fewer than {FEW_POSITIVES} validation positives", "" if few is None else count(few))
    )
    return _given(pairs)


def _bootstrap(summary: Mapping[str, object]) -> list[tuple[str, str]]:
    settings = table(summary, "bootstrap")
    if not settings:
        return []
    lengths = inner(settings, "block_bp")
    blocks = [
        f"{size(int(length))} ({count(number(settings, 'n_blocks', str(length)))} on test)"
        for length in (lengths if isinstance(lengths, list) else [])
        if isinstance(length, int | float)
    ]
    pairs = [
        ("blocks", ", ".join(blocks)),
        ("resamples of the means", count(number(settings, "resamples"))),
        ("resamples of the test of each task", count(number(settings, "test_resamples"))),
        ("level", level_of(summary)),
        ("seed", count(number(settings, "seed"))),
        ("conditional on", text(settings, "conditional_on")),
        ("resamples of a task without an F1", count(_undefined(summary))),
    ]
    return _given(pairs)


def _undefined(summary: Mapping[str, object]) -> float | None:
    """Over all lengths of blocks."""
    counts = [number(each) for each in table(summary, "test", "undefined_resamples").values()]
    return sum(each for each in counts if each is not None) if counts else None


def _data(summary: Mapping[str, object], training: Mapping[str, object]) -> list[tuple[str, str]]:
    return _given(
        [
            ("genome build", text(summary, "dataset", "genome_build")),
            ("checksum", text(summary, "dataset", "checksum") or text(training, "dataset_checksum")),
            ("positions of windows", text(summary, "dataset", "positions")),
            ("training windows", count(number(summary, "dataset", "train_windows"))),
        ]
    )


def _training(training: Mapping[str, object]) -> list[tuple[str, str]]:
    seconds = number(training, "seconds")
    return _given(
        [
            ("model", text(training, "model")),
            ("parameters", count(number(training, "parameters"))),
            ("seed", NONE if (seed := number(training, "seed")) is None else f"{seed:.0f}"),
            ("epochs", count(number(training, "epochs"))),
            ("epoch kept", count(number(training, "best_epoch"))),
            ("validation perplexity", score(number(training, "valid_perplexity"), 4)),
            ("started", text(training, "started")),
            ("time", "" if seconds is None else duration(seconds)),
            ("windows per second", count(number(training, "windows_per_second"))),
            ("tokens per second", count(number(training, "tokens_per_second"))),
        ]
    )


def duration(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _versions(training: Mapping[str, object]) -> list[tuple[str, str]]:
    pairs = [("genome_lm", text(training, "genome_lm_version")), ("code", text(training, "code_version"))]
    pairs += [(name, str(version)) for name, version in table(training, "versions").items()]
    return _given(pairs)


def _checkpoints(summary: Mapping[str, object]) -> list[tuple[str, str]]:
    return _given(
        [
            (
                text(each, "name") or text(each, "path"),
                f"{text(each, 'path')}, SHA-256 {text(each, 'sha256') or NONE}",
            )
            for each in rows(summary, "checkpoints")
        ]
    )


def _given(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, words) for name, words in pairs if words and words != NONE]
