"""The tables of a study: trials, what the settings mattered, and the best one as a command."""

from collections.abc import Sequence
from pathlib import Path

from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from genome_lm.atomic import write_text
from genome_lm.leaderboard.fields import Damaged
from genome_lm.leaderboard.training import Training, perplexity_order, read_training
from genome_lm.tables import to_markdown, to_tsv
from genome_lm.tuning.study import AGAIN, ERROR, FOLDER, Study

COLUMNS = ("trial", "state", "valid_perplexity", "prior", "auroc", "epochs", "parameters", "minutes")
IMPORTANCE_TRIALS = 20
"""Finished trials from which importances are given: a quarter of them, five, are the good ones."""
STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def write_tables(study: Study, best_command: str | None) -> None:
    """Write `tuning.tsv` and `tuning.md` into the study's folder.

    Args:
        best_command: what trains the best trial again; None before a trial has finished.
    """
    rows = trial_rows(study)
    write_text(study.folder / "tuning.tsv", to_tsv(rows))
    write_text(study.folder / "tuning.md", _page(study, rows, best_command))


def best_trial(study: Study) -> FrozenTrial | None:
    """The finished trial of the lowest validation perplexity, the first of equals."""
    finished = [each for each in study.trials if each.state is TrialState.COMPLETE]
    return min(finished, key=lambda each: (each.value, each.number)) if finished else None


def trial_rows(study: Study) -> list[list[str]]:
    """Header and one row a trial: finished ones by perplexity, then pruned, failed and running ones.

    The figures of pruned trials are of the epochs that they had. Of values that were tried again because a
    process ended, the last attempt is shown.
    """
    order = list(STATES)
    again = {each.user_attrs.get(AGAIN) for each in study.trials}
    shown = [each for each in study.trials if each.number not in again]
    entries = []
    for trial in shown:
        training = _training(study.folder, trial)
        value = training.valid_perplexity if training else trial.value
        place = (order.index(trial.state), perplexity_order(value), trial.number)
        entries.append((place, _row(study, trial, training)))
    header = [*COLUMNS, *(each.key for each in study.space.dimensions), "folder", "reason"]
    return [header, *(row for _, row in sorted(entries, key=lambda entry: entry[0]))]


def importances(study: Study) -> dict[str, float]:
    """How much each setting decides on being in the best quarter, adding up to 1; empty with too few trials.

    PED-ANOVA (Watanabe et al. 2023): the divergence of a setting's values in the best quarter of the finished
    trials from its values in all of them.
    """
    finished = [each for each in study.trials if each.state is TrialState.COMPLETE]
    if len(finished) < IMPORTANCE_TRIALS or len(study.space.dimensions) < 2:
        return {}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.25)
    return dict(get_param_importances(study.optuna_study, evaluator=evaluator))


def _training(folder: Path, trial: FrozenTrial) -> Training | None:
    name = trial.user_attrs.get(FOLDER)
    if name is None or trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
        return None
    try:
        return read_training(folder / name)
    except Damaged:  # removed since
        return None


def _row(study: Study, trial: FrozenTrial, training: Training | None) -> list[str]:
    figures = [""] * (len(COLUMNS) - 2)
    if training is not None:
        figures = [
            _shown(training.valid_perplexity, 5),
            _shown(training.valid_prior_perplexity, 5),
            _shown(training.valid_auroc, 3),
            str(training.epochs),
            str(training.parameters),
            _shown(None if training.seconds is None else training.seconds / 60, 1),
        ]
    elif trial.value is not None:  # its folder was removed
        figures[0] = _shown(trial.value, 5)
    values = [
        _brief(each.text(trial.params[each.key])) if each.key in trial.params else ""
        for each in study.space.dimensions
    ]
    reason = str(trial.user_attrs.get(ERROR, ""))
    if trial.state is TrialState.FAIL and not reason:
        reason = "its process ended"
    return [
        str(trial.number),
        STATES[trial.state],
        *figures,
        *values,
        str(trial.user_attrs.get(FOLDER, "")),
        reason,
    ]


def _page(study: Study, rows: Sequence[Sequence[str]], best_command: str | None) -> str:
    counts = [f"{sum(row[1] == name for row in rows)} {name}" for name in STATES.values()]
    task_sets = sorted({each.task_set for trial in study.trials if (each := _training(study.folder, trial))})
    sections = [
        "# Tuning",
        f"Trials: {', '.join(each for each in counts if not each.startswith('0 '))}. The value is the "
        f"validation perplexity of the best epoch over {'; '.join(task_sets) or 'the tasks trained on'}. "
        "Being the lowest of many, the best trial's is optimistic. Nothing was scored on test.",
        to_markdown(_without_empty(rows), left=(1,)),
    ]
    if best_command is not None:
        sections += ["## The best settings", f"    {best_command}"]
    if found := importances(study):
        table = [["setting", "importance"], *([key, f"{share:.2f}"] for key, share in found.items())]
        sections += [
            "## Importance",
            "How much a setting decides on a trial being in the best quarter (PED-ANOVA), as shares of 1.",
            to_markdown(table),
        ]
    return "\n\n".join(sections) + "\n"


def _without_empty(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Columns that have a cell in some row, so that the page has no empty ones."""
    kept = [place for place in range(len(rows[0])) if len(rows) == 1 or any(row[place] for row in rows[1:])]
    return [[row[place] for place in kept] for row in rows]


def _brief(text: str) -> str:
    """A number of many digits with four of them; other texts as they are."""
    try:
        short = f"{float(text):.4g}"
    except ValueError:
        return text
    return short if len(short) < len(text) else text


def _shown(value: float | None, digits: int) -> str:
    return "nan" if value is None else f"{value:.{digits}f}"
