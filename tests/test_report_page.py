"""The report page as text: what it says and holds, and what it does when pieces are missing or hostile."""

import csv
import html
import json
import re
from pathlib import Path

import pytest
from small_report import small_evaluation, small_summary, small_tasks, visible, write_evaluation

from genome_lm.errors import UserError
from genome_lm.report.inputs import read_epochs, read_inputs, read_overrides
from genome_lm.report.page import report_page, write_report
from genome_lm.report.render import embedded, render
from genome_lm.report.run_details import repeat_command

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">&amp;\'"\u2028'


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, str]:
    """The folder and the page of an evaluation of 40 tasks."""
    run, evaluation = small_evaluation(tmp_path_factory.mktemp("report"))
    page = write_report(run, evaluation)
    assert page == evaluation / "report.html"
    return evaluation, page.read_text(encoding="utf-8")


def page_of(run: Path, evaluation: Path) -> str:
    return render(report_page(read_inputs(run, evaluation)))


def data_of(page: str) -> dict:
    """What the script reads."""
    (found,) = re.findall(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found)


def test_the_answer_is_that_of_the_summary(written):
    evaluation, page = written
    test = json.loads((evaluation / "summary.json").read_text())["test"]
    low, high = test["intervals"]["100000"]["f1"]["difference"]
    assert low > 0, "the fixture's model is ahead"
    text = visible(page)
    assert "The model beats the k-mer regression" in text
    assert f"difference {test['f1']['difference']:+.3f}, 95% interval {low:+.3f} to {high:+.3f}" in text
    assert f"{test['wins']} of 39 tasks" in text
    untested = test["untested"]
    sure = f"{test['significant_wins']} wins and {test['significant_losses']} losses are significant"
    assert untested > 0
    assert f"Of {39 - untested} tasks tested one by one, {sure}; {untested} tasks could not be" in text
    assert f"significant of {39 - untested} tested: {test['significant_wins']} won" in text


def test_a_caution_comes_first(tmp_path):
    run, evaluation = small_evaluation(tmp_path)
    summary = json.loads((evaluation / "summary.json").read_text())
    (evaluation / "summary.json").write_text(json.dumps(summary | {"caution": "Seen in <training>."}))
    page = page_of(run, evaluation)
    assert '<p class="lead">Seen in &lt;training&gt;.</p>' in page


def test_both_skills_are_named_for_what_they_are(written):
    evaluation, page = written
    test = json.loads((evaluation / "summary.json").read_text())["test"]
    pooled, own, text = test["skill"]["model"], test["task_skill"]["model"], visible(page)
    assert f"summed over all tasks and windows, is {pooled:.1%} less than that of a constant" in text
    assert f"the mean of the tasks' own skills is {own:.1%}" in text
    assert f"mean of the tasks' own: {own:.1%}" in text
    assert "averaged over tasks" not in text


def test_tiles_have_the_interval_of_the_difference(written):
    """The intervals of model and baseline overlap, although that of their difference is far from zero."""
    evaluation, page = written
    scores = json.loads((evaluation / "summary.json").read_text())["test"]["intervals"]["100000"]
    tiles = re.search(r'<dl class="tiles">(.*?)</dl>', page, re.DOTALL)[1]
    for measure in ("auroc", "ap"):
        low, high = scores[measure]["difference"]
        assert f"95% interval {low:+.3f} to {high:+.3f}".replace("-", "\N{MINUS SIGN}") in tiles
    assert "difference \N{MINUS SIGN}0.0028" in tiles, "of perplexity, from its two values"


def test_tasks_that_were_not_tested_say_so(written):
    page = written[1]
    columns = data_of(page)["datasets"]["tasks"]
    told = dict(zip(columns["id"], columns["q_text"], strict=True))
    assert told["ENCFF0005"] == "not tested"
    assert told["ENCFF0000"] == "-", "it has no score"
    assert "not tested" not in (told["ENCFF0001"], told["ENCFF0002"])
    assert '<option value="untested">not tested</option>' in page


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ([0.01, 0.02], "The model beats the k-mer regression"),
        ([-0.02, -0.01], "The k-mer regression beats the model"),
        ([-0.01, 0.02], "cannot be told apart"),
        (None, "How sure that is was not estimated"),
    ],
)
def test_the_verdict_follows_the_interval(tmp_path, interval, words):
    rows = small_tasks(6)
    summary = small_summary(rows)
    summary["test"]["intervals"]["100000"]["f1"]["difference"] = interval
    run, evaluation = tmp_path, tmp_path / "evaluation"
    write_evaluation(evaluation, summary, rows)
    assert words in visible(page_of(run, evaluation))


def test_nothing_is_asked_for_and_no_script_but_its_own_runs(written):
    page = written[1]
    assert not re.search(r"<(link|iframe|object|embed|base|form)\b", page)
    outside = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(src|srcset|action)=", outside)
    assert not re.search(r"\son\w+=", outside), "inline event handlers"
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', outside))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in html.unescape(policy)
    assert "unsafe-eval" not in policy
    assert html.unescape(policy).count("'sha256-") == 2
    assert len(re.findall("<script", page)) == 3


def test_every_figure_is_in_the_page_with_its_words(written):
    evaluation, page = written
    charts = data_of(page)["charts"]
    names = {path.stem for path in (evaluation / "figures").iterdir()}
    assert names == set(charts)
    assert len(charts) == 9
    for name in charts:
        (label,) = re.findall(rf'data-chart="{name}" role="img" aria-label="([^"]+)"', page)
        assert len(label) > 60
        assert label.partition(". ")[2] in page


def test_the_table_has_every_task_and_marks_those_of_few_positives(written):
    evaluation, page = written
    with (evaluation / "tasks.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    body = re.search(r"<tbody>(?:(?!</tbody>).)*ENCFF0001.*?</tbody>", page, re.DOTALL)[0]
    shown = re.findall(r'<th scope="row">(\w+)(.*?)</th>', body)
    assert {name for name, _ in shown} == {row["id"] for row in rows}
    marked = {name for name, mark in shown if "†" in mark}
    assert marked == {row["id"] for row in rows if row["few_valid_positives"] == "1"}
    assert shown[-1][0] == "ENCFF0000", "the task without a score is last"
    columns = data_of(page)["datasets"]["tasks"]
    assert columns["id"] == [name for name, _ in shown], "the script pairs rows with data by position"
    assert columns["difference"][-1] is None
    assert columns["difference"][:-1] == sorted(columns["difference"][:-1], reverse=True)


def test_how_it_was_made(written):
    text = visible(written[1])
    for words in (
        "genome-lm train model=bigru seed=0",
        "genome-lm evaluate ckpt_path=checkpoints/best.ckpt evaluate.min_positive_rate=0.01",
        "sha256:0b06c701",
        "probability 0.5 for every task and predictor",
        "100 kb (80 on test), 500 kb (16 on test)",
        "the trained network, its thresholds and the baseline as they are",
        "torch 2.13.0",
        "Checkpoints one by one",
        "Calibration error and Brier score",
        "0.276 sd 0.004",
        "tuned on validation",
        "408 of 498",
    ):
        assert words in text, words


@pytest.mark.parametrize("name", ["metrics.csv", "training.json", "config.yaml"])
def test_a_missing_file_is_said_in_words(tmp_path, name):
    run, evaluation = small_evaluation(tmp_path, 6)
    (run / name).unlink()
    text = visible(page_of(run, evaluation))
    assert f"There is no {name}" in text


def test_an_old_evaluation_says_what_it_lacks(tmp_path):
    """As evaluations were before intervals, calibration and numbers of positives."""
    rows = small_tasks(6)
    summary = small_summary(rows)
    for key in ("bootstrap", "checkpoints", "command", "members", "tuned"):
        del summary[key]
    old = {
        "windows",
        "windows_in_dataset",
        "n_tasks",
        "wins",
        "ties",
        "losses",
        "f1",
        "perplexity",
        "auroc",
        "ap",
    }
    test = {key: value for key, value in summary["test"].items() if key in old}
    summary["test"] = {**test, "groups": {"tf": dict(test)}}
    for row in rows:
        for name in [
            name for name in row if "f1_difference" in name or "reference" in name or "signif" in name
        ]:
            del row[name]
    write_evaluation(tmp_path / "evaluation", summary, rows)
    page = page_of(tmp_path, tmp_path / "evaluation")
    text = visible(page)
    for words in (
        "has no bootstrap intervals",
        "no calibration on test",
        "no outcomes by number of positives",
        "No task of this dataset carries a published AUROC",
        "The command of this run is not known",
        "The command of this evaluation was not recorded",
        "No test of single tasks is stored",
    ):
        assert words in text, words
    assert set(data_of(page)["charts"]) == {"f1_model_against_baseline", "f1_differences", "f1_by_positives"}


@pytest.mark.parametrize(
    "summary", [{}, {"test": None, "valid": [], "bootstrap": 3}, {"test": {"groups": {"x": 1}}}]
)
@pytest.mark.parametrize("n", [0, 1])
def test_nearly_nothing(tmp_path, summary, n):
    write_evaluation(tmp_path / "evaluation", summary, small_tasks(n))
    text = visible(page_of(tmp_path, tmp_path / "evaluation"))
    assert "No task has an F1 of both" in text
    assert ("This evaluation has no tasks" in text) == (n == 0)
    assert "None" not in text
    assert "nan" not in text.lower().split()


def test_every_number_null(tmp_path):
    def emptied(value):
        if isinstance(value, dict):
            return {key: emptied(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [emptied(inner) for inner in value]
        return None if isinstance(value, int | float) else value

    rows = [
        {key: value if isinstance(value, str) else "" for key, value in row.items()} for row in small_tasks(5)
    ]
    write_evaluation(tmp_path / "evaluation", emptied(small_summary(small_tasks(5))), rows)
    page = page_of(tmp_path, tmp_path / "evaluation")
    assert data_of(page)["charts"] == {}
    assert "None" not in visible(page)


def test_one_group_and_forty(tmp_path):
    run, evaluation = small_evaluation(tmp_path / "one", 8, ("tf",))
    assert "By group" not in visible(page_of(run, evaluation))
    many = tuple(f"group {number}" for number in range(40))
    run, evaluation = small_evaluation(tmp_path / "many", 80, many)
    page = page_of(run, evaluation)
    shown = data_of(page)["datasets"]["tasks"]["shown"]
    assert len(set(shown)) == 7
    assert "all other groups" in shown
    assert all(f'<option value="{group}">' in page for group in many)


def test_hostile_names_stay_text(tmp_path):
    rows = small_tasks(6)
    for row in rows[1:3]:
        row |= {
            name: HOSTILE.replace("\u2028", " ") for name in ("id", "cell", "target", "treatment", "group")
        }
    summary = small_summary(rows)
    summary["task_set"] = summary["predictors"]["model"] = HOSTILE
    run, evaluation = tmp_path / "<b>run</b>", tmp_path / "<b>run</b>" / "evaluation"
    write_evaluation(evaluation, summary, rows)
    (run / "config.yaml").write_text(HOSTILE, encoding="utf-8")
    (run / "training.json").write_text(json.dumps({"command": HOSTILE, "model": HOSTILE}), encoding="utf-8")
    page = page_of(run, evaluation)
    assert len(re.findall("<script", page)) == 3
    assert len(re.findall("</script", page)) == 3
    assert "<img" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL), "but in Vega's own code"
    assert "<b>run" not in page
    assert HOSTILE.replace("\u2028", " ") in data_of(page)["datasets"]["tasks"]["id"]


@pytest.mark.parametrize(
    "text", ["</script>", "<!--", "]]>", "&", "\u2028\u2029", "ß\N{DNA DOUBLE HELIX}", '"\\']
)
def test_embedded_json_is_inert_and_exact(text):
    written = embedded({text: [text, None, 1.5]})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {text: [text, None, 1.5]}


def test_very_long_names(tmp_path):
    rows = small_tasks(4)
    rows[1]["id"] = "x" * 5000
    write_evaluation(tmp_path / "evaluation", small_summary(rows), rows)
    assert "x" * 5000 in page_of(tmp_path, tmp_path / "evaluation")


def test_919_tasks_stay_below_five_megabytes(tmp_path):
    page = page_of(*small_evaluation(tmp_path, 919))
    assert len(page.encode()) < 5_000_000
    assert page.count("ENCFF0500") == 2, "once in the table, once in the data that all charts share"


def test_no_evaluation_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no readable summary\.json .* run `genome-lm evaluate`"):
        write_report(tmp_path, tmp_path / "evaluation")
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"cannot read .*tasks\.tsv"):
        write_report(tmp_path, tmp_path)
    (tmp_path / "tasks.tsv").write_text("name\tcell\n")
    with pytest.raises(UserError, match="has no column id"):
        write_report(tmp_path, tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_overrides_give_the_command(tmp_path):
    run, evaluation = small_evaluation(tmp_path, 3)
    (run / "training.json").write_text("{}")
    (run / ".hydra").mkdir()
    (run / ".hydra" / "overrides.yaml").write_text("- model=bilstm\n- 'data.path=it''s mine.h5'\n")
    assert (
        repeat_command(read_inputs(run, evaluation))
        == """genome-lm train model=bilstm 'data.path=it'"'"'s mine.h5'"""
    )
    (run / ".hydra" / "overrides.yaml").write_text("[]\n")
    assert repeat_command(read_inputs(run, evaluation)) == "genome-lm train"
    (run / ".hydra" / "overrides.yaml").write_text("- >\n  folded\n")
    assert read_overrides(run / ".hydra" / "overrides.yaml") is None


def test_epochs_of_a_metrics_file(tmp_path):
    run, _ = small_evaluation(tmp_path, 3)
    epochs = read_epochs(run / "metrics.csv")
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert [epoch.valid for epoch in epochs] == [1.23, 1.22, 1.225]
    assert [epoch.train for epoch in epochs] == [1.21, 1.19, 1.18]
    assert read_epochs(run / "absent.csv") == []
