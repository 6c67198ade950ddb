"""The figures of the report: what they show, what they say, and their files."""

import re
import struct
import xml.etree.ElementTree as ET

import pytest
from small_report import calibration, small_evaluation, small_summary, small_tasks, write_evaluation

from genome_lm.report.drawing import WIDTH, static_spec, uses, write_figure
from genome_lm.report.figures.positives import (
    difference_by_positives,
    f1_by_positives,
    positives_rows,
    wins_by_positives,
)
from genome_lm.report.figures.published import published_auroc
from genome_lm.report.figures.reliability import reliability_curves, reliability_rows
from genome_lm.report.figures.rivalry import difference_of, f1_differences, f1_scatter, scored
from genome_lm.report.figures.runs import runs_rows, validation_curves
from genome_lm.report.figures.training import curve_rows, training_curves
from genome_lm.report.inputs import Epoch, read_inputs, read_tasks
from genome_lm.report.page import report_page
from genome_lm.report.palette import COLOURS, OTHERS, css, shown_groups, static
from genome_lm.report.task_data import task_rows


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    rows = small_tasks(30)
    write_evaluation(folder, small_summary(rows), rows)
    return read_tasks(folder / "tasks.tsv")


def contrast(one: str, other: str) -> float:
    """Contrast of two colours by WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_stand_out(theme):
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    paper = COLOURS["paper"][theme]
    for name in ("ink", "muted"):
        assert contrast(COLOURS[name][theme], paper) >= 4.5, name
    for name in set(COLOURS) - {"paper", "ink", "muted", "grid"}:
        assert contrast(COLOURS[name][theme], paper) >= 3, name


def test_static_colours_replace_every_variable():
    spec = {"a": [css("blue"), {"b": css("paper")}], "c": "variable", "d": 3}
    assert static(spec) == {"a": ["#0072b2", {"b": "#ffffff"}], "c": "variable", "d": 3}


def test_groups_shown_are_the_largest():
    names = ["b"] * 3 + ["a"] * 3 + ["c"]
    assert shown_groups(names) == ["a", "b", "c"]
    many = shown_groups([f"g{number}" for number in range(40) for _ in range(40 - number)])
    assert many == ["g0", "g1", "g2", "g3", "g4", "g5", OTHERS]


def test_every_figure_becomes_wellformed_files(tmp_path):
    page = report_page(read_inputs(*small_evaluation(tmp_path, 12)))
    assert len(page.figures()) == 9
    for figure in page.figures():
        write_figure(figure, page.datasets, tmp_path)
        drawing = (tmp_path / f"{figure.name}.svg").read_text(encoding="utf-8")
        root = ET.fromstring(drawing)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in drawing, "a file on its own knows no variables"
        assert figure.title in "".join(root.itertext())
        written = (tmp_path / f"{figure.name}.png").read_bytes()
        assert written.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", written[16:24])
        assert abs(width - 2 * float(root.attrib["width"])) <= 2
        assert height > 400


def test_one_point_a_task_with_both_scores(tasks, tmp_path):
    figure = f1_scatter(tasks)
    write_figure(figure, {"tasks": task_rows(tasks)}, tmp_path)
    drawing = (tmp_path / f"{figure.name}.svg").read_text()
    (points,) = re.findall(r'<g class="mark-symbol role-mark[^"]*"[^>]*>(.*?)</g>', drawing, re.DOTALL)
    assert points.count("<path") == len(scored(tasks)) == 29
    sure = sum(bool(task.significance) for task in tasks)
    assert points.count('fill-opacity="0.8"') == sure
    assert points.count('fill-opacity="0"') == 29 - sure
    untested = sum(task.get("test_f1_difference_q") is None for task in scored(tasks))
    assert points.count('d="M1.62,0A') == untested == 3, "small circles: all three are of one group"
    assert f"of {29 - untested} tasks tested" in figure.caption
    assert f"Small hollow points, {untested} tasks, were not tested" in figure.caption


def test_captions_say_what_is_found(tasks):
    above = sum(difference_of(task) > 0 for task in scored(tasks))
    caption = f1_scatter(tasks).caption
    assert f"{above} tasks lie above" in caption
    assert f"{29 - above} tasks below" in caption
    best = max(scored(tasks), key=difference_of)
    assert f"to {difference_of(best):+.3f} ({best.target} in {best.cell})" in f1_differences(tasks).caption
    few = sum(task.few for task in scored(tasks))
    assert f"the {few} tasks with fewer than 30 positives" in f1_differences(tasks).caption


def test_training_curves():
    epochs = [Epoch(1, 1.21, 1.23, 1.24), Epoch(2, 1.19, None, None), Epoch(3, 1.18, 1.225, 1.24)]
    rows = curve_rows(epochs, 1.2187)
    assert [row["perplexity"] for row in rows if row["series"] == "model, validation"] == [1.23, 1.225]
    assert sum(row["perplexity"] == 1.2187 for row in rows) == 3
    caption = training_curves(epochs, 1.2187, 3).caption
    assert "from 1.2300 in epoch 1 to 1.2250 in epoch 3" in caption
    assert "prior has 1.2400 and the k-mer regression has 1.2187" in caption
    assert training_curves([], 1.2187, None) is None
    worse = training_curves([Epoch(1, None, 1.2, None), Epoch(2, None, 1.3, None)], None, None)
    assert worse.caption == "Validation perplexity is lowest in epoch 1, 1.2000, and 1.3000 in the last, 2."


def test_published_scores(tasks):
    both = [task for task in scored(tasks) if task.get("reference_danq_auroc") is not None]
    mine = sum(task.values["test_auroc_model"] for task in both) / len(both)
    caption = published_auroc(tasks, "danq").caption
    assert f"{len(both)} tasks have a published value. Their mean AUROC is {mine:.3f} here" in caption
    assert published_auroc([task for task in tasks if task not in both], "danq") is None


def test_calibration_is_of_one_set_at_a_time():
    bins = calibration(("tf", "histone"))
    rows = reliability_rows(bins)
    assert len(rows) == 2 * (6 + 6 + 5), "model and baseline; two sets with six bins, one with five"
    assert {row["set"] for row in rows} == {"all tasks", "transcription factors", "histone marks"}
    figure = reliability_curves(bins)
    assert figure.choice.options[0] == "all tasks"
    assert "the model lies above the diagonal in 0 of 5 bins" in figure.caption, "the sixth is too small"
    assert figure.caption.count("For all tasks, the ") == 2
    off = {"model": {"all": [
        {"low": 0.0, "high": 0.1, "windows": 500, "predicted": 0.05, "observed": 0.04},
        {"low": 0.1, "high": 0.5, "windows": 500, "predicted": 0.2, "observed": 0.28},
        {"low": 0.5, "high": 1.0, "windows": 500, "predicted": 0.7, "observed": 0.8},
        {"low": 0.5, "high": 1.0, "windows": 99, "predicted": 0.9, "observed": 0.1},
    ]}}  # fmt: skip
    assert (
        "the model lies above the diagonal in 2 of 3 bins of at least 100 predictions; it is furthest off, "
        "as a share of the prediction, where it predicts 20.0% and 28.0% are positive."
        in reliability_curves(off).caption
    )
    assert reliability_curves({"model": {"all": [{"predicted": None, "observed": 0.1}]}}) is None


def test_bins_of_positives():
    ends = ((300, 999), (1000, 1999), (2000, None))
    outcomes = ((1, 1, 2), (0, 0, 0), (3, 0, 1))
    means = ((-0.01, [-0.03, 0.01]), (None, None), (0.04, [0.01, 0.06]))
    bins = [
        {
            "low": low,
            "high": high,
            "wins": wins,
            "ties": ties,
            "losses": losses,
            "f1_difference": f1,
            "interval": span,
        }
        for (low, high), (wins, ties, losses), (f1, span) in zip(ends, outcomes, means, strict=True)
    ]
    first, last = positives_rows(bins)
    assert (first["label"], first["share"]) == ("1/4", 0.25)
    assert last["positives"] == "2,000 or more"
    shares = wins_by_positives(bins).caption
    assert "wins 25% of those with 300\N{EN DASH}999 positives in train and 75% of those with" in shares
    words = difference_by_positives(bins, [(2000.0, 9000.0)]).caption
    assert "ahead, its bootstrap interval (the rule) wholly above zero, with 2,000 to 9,000 train" in words
    assert (
        "No bootstrap interval (the rules) lies wholly above zero"
        in difference_by_positives(bins, []).caption
    )
    assert wins_by_positives([]) is difference_by_positives([], []) is None


def test_f1_by_positives(tasks, tmp_path):
    figure = f1_by_positives(tasks)
    ordered = sorted(scored(tasks), key=lambda task: task.values["train_positives"])
    few, many = ordered[:14], ordered[14:]
    for words, half in (("14 tasks with the fewest", few), ("15 tasks with the most", many)):
        ends = [f"{half[at].values['train_positives']:,.0f}" for at in (0, -1)]
        means = [
            sum(task.values[f"test_f1_{name}"] for task in half) / len(half) for name in ("model", "baseline")
        ]
        found = f"of the {words} positives ({ends[0]} to {ends[1]}) {means[0]:.3f} and {means[1]:.3f}"
        assert found in figure.caption
    write_figure(figure, {"tasks": task_rows(tasks)}, tmp_path)
    drawing = (tmp_path / "f1_by_positives.svg").read_text()
    (points,) = re.findall(r'<g class="mark-symbol role-mark[^"]*"[^>]*>(.*?)</g>', drawing, re.DOTALL)
    assert points.count("<path") == 29
    assert f1_by_positives([task for task in tasks if task not in ordered]) is None


def test_curves_of_many_runs():
    names = [f"2026-11-22_18-25-35_sweep_of_everything/{number}_bigru" for number in range(50)]
    curves = {name: [Epoch(1, None, 1.2 + place / 100, None)] for place, name in enumerate(names)}
    figure = validation_curves(curves)
    assert f"1.20000, is that of {names[0]}" in figure.caption
    assert "Thin lines are the runs after the best 10" in figure.caption
    lines, points = (layer["encoding"] for layer in figure.spec()["layer"])
    scales = [lines["color"]["scale"], lines["strokeDash"]["scale"], points["shape"]["scale"]]
    labels = scales[0]["domain"]
    assert all(scale["domain"] == labels for scale in scales)
    assert labels[0] == "1: \N{HORIZONTAL ELLIPSIS}of_everything/0_bigru"
    assert (len(labels), labels[-1]) == (11, "places 11 to 50")
    colours, dashes, shapes = (list(map(str, scale["range"])) for scale in scales)
    assert len(set(zip(colours, dashes, strict=True))) == 11
    assert len(set(zip(dashes[:10], shapes[:10], strict=True))) == 10, "without colour too"
    assert len(set(zip(colours, shapes, strict=True))) == 11, "as the legend shows them"
    assert {row["shown"] for row in runs_rows(curves)} == set(labels)
    assert validation_curves({"empty": [Epoch(1, 1.2, None, None)]}) is None


def test_the_legend_of_many_runs_fits_its_file(tmp_path):
    names = [f"2026-11-22_18-25-35_sweep_of_everything/{number}_bigru" for number in range(50)]
    curves = {name: [Epoch(1, None, 1.2, None), Epoch(2, None, 1.19, None)] for name in names}
    write_figure(validation_curves(curves), {"runs": runs_rows(curves)}, tmp_path)
    drawing = (tmp_path / "validation_curves.svg").read_text(encoding="utf-8")
    legend = drawing.partition("role-legend")[2]
    width = float(re.search(r'd="M0,0h(\d+)v', legend)[1])
    assert 100 < width < WIDTH
    assert "entries" not in legend, "none is left out"
    assert legend.count("of_everything/") == 10
    assert "places 11 to 50" in legend


def test_a_chart_holds_no_data_of_its_own(tasks):
    figure = f1_differences(tasks)
    assert uses(figure.spec(), "tasks")
    assert not uses(figure.spec(), "epochs")
    assert "ENCFF0001" not in str(figure.spec())
    assert "ENCFF0001" in str(static_spec(figure, {"tasks": task_rows(tasks)}))
