"""The report page in a real browser: drawn, sorted, searched, printed, and read by axe-core."""

import csv
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import browser as started_browser
from small_report import small_evaluation, small_summary, small_tasks, write_evaluation

from genome_lm.report.inputs import read_inputs
from genome_lm.report.page import leaderboard_page, report_page
from genome_lm.report.render import write_page

HOSTILE = '</script><script>document.title="broken"</script><img src=x onerror="document.title=1">&lt;\'"'


@pytest.fixture(scope="module")
def browser():
    with started_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    run, evaluation = small_evaluation(tmp_path_factory.mktemp("browser"), 40)
    write_page(report_page(read_inputs(run, evaluation)), evaluation / "report.html")
    return evaluation / "report.html"


@pytest.fixture
def opened(browser):
    """Opens pages; at the end, no console has said anything and nothing but the pages was asked for."""
    pages, said, asked = [], [], []

    def go(path: Path, width: int = 1200, theme: str = "light"):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        pages.append((page, path.as_uri()))
        return page

    yield go
    assert said == []
    assert [url for url in asked if not url.startswith("blob:")] == [url for _, url in pages]
    for page, _ in pages:
        page.close()


def draw_all(page) -> int:
    """Scroll to every chart and wait until it is drawn; how many there are."""
    charts = page.locator("div.chart")
    for number in range(charts.count()):
        charts.nth(number).scroll_into_view_if_needed()
        charts.nth(number).locator("svg").wait_for()
    return charts.count()


def ids(page) -> list[str]:
    """The tasks in the table, in order."""
    return [re.match(r"\S+", text)[0] for text in page.locator("#task-table tbody th").all_inner_texts()]


def test_charts_are_drawn_as_they_come_into_view(opened, report):
    page = opened(report)
    assert page.locator("div.chart svg").count() == 0
    page.locator("div.chart").first.scroll_into_view_if_needed()
    page.locator("div.chart svg").first.wait_for()
    assert page.locator("div.chart svg").count() < 9
    assert draw_all(page) == 9
    points = page.locator('div.chart[data-chart="f1_model_against_baseline"] .mark-symbol.role-mark path')
    assert points.count() == 39


def test_pointing_at_a_task_tells_of_it(opened, report):
    page = opened(report)
    chart = page.locator('div.chart[data-chart="f1_model_against_baseline"]')
    chart.scroll_into_view_if_needed()
    chart.locator(".mark-symbol.role-mark path").last.hover(force=True)
    tip = page.locator("#vg-tooltip-element")
    tip.wait_for(state="visible")
    shown = tip.inner_text()
    assert "ENCFF00" in shown
    for words in ("cell", "target", "positives in test", "F1, model", "F1, baseline", "difference", "q"):
        assert words in shown, words


def test_sorting(opened, report):
    with (report.parent / "tasks.tsv").open() as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["test_f1_model"]]
    page = opened(report)
    heading = page.locator('#task-table th[data-field="f1_model"]')
    for order, reverse in (("descending", True), ("ascending", False)):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == order
        expected = [
            row["id"] for row in sorted(rows, key=lambda row: float(row["test_f1_model"]), reverse=reverse)
        ]
        assert ids(page) == [*expected, "ENCFF0000"], "a task without a score is last either way"
    assert page.locator("#task-table th[aria-sort]").count() == 1
    by_name = page.locator('#task-table th[data-field="id"] button')
    by_name.focus()
    page.keyboard.press("Enter")
    assert ids(page) == sorted(row["id"] for row in [*rows, {"id": "ENCFF0000"}])


def test_searching_and_filters(opened, report):
    with (report.parent / "tasks.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    page = opened(report)
    status = page.locator("#task-count")

    def expect(chosen: list[dict[str, str]]) -> None:
        assert set(ids(page)) == {row["id"] for row in chosen}
        assert status.inner_text() == f"{len(chosen)} of 40 tasks"

    page.fill("#task-search", "k562 GATA")
    expect([row for row in rows if row["cell"] == "K562" and row["target"] == "GATA1"])
    page.fill("#task-search", "")
    page.select_option("#task-outcome", "sure-win")
    expect([row for row in rows if row["test_significance"] == "win"])
    page.select_option("#task-group", "histone marks")
    expect([row for row in rows if row["test_significance"] == "win" and row["group"] == "histone"])
    page.fill("#task-search", "nothing of the kind")
    expect([])


def test_what_is_shown_can_be_downloaded(opened, report):
    page = opened(report)
    page.fill("#task-search", "CTCF")
    with page.expect_download() as download:
        page.click("#task-download")
    text = Path(download.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    assert [row["id"] for row in rows] == ids(page)
    assert {row["target"] for row in rows} == {"CTCF"}
    assert len(rows) == 8


def test_calibration_of_a_group(opened, report):
    page = opened(report)
    chart = page.locator('div.chart[data-chart="calibration"]')
    chart.scroll_into_view_if_needed()
    chart.locator("svg").wait_for()
    page.select_option("#choice-calibration", "histone marks")
    chart.locator(".mark-symbol.role-mark path").nth(10).wait_for(state="detached")
    assert chart.locator(".mark-symbol.role-mark path").count() == 10
    assert chart.locator("svg").count() == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(opened, report, theme):
    page = opened(report, theme=theme)
    draw_all(page)
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["impact"], each["nodes"][0]["html"][:200]) for each in found] == []


def test_dark_is_dark(opened, report):
    colours = {
        theme: opened(report, theme=theme).evaluate("getComputedStyle(document.body).backgroundColor")
        for theme in ("light", "dark")
    }
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}


def test_a_phone_scrolls_down_only(opened, report):
    page = opened(report, width=360)
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    bottom = "document.querySelector('main').getBoundingClientRect().bottom + window.scrollY"
    below = page.evaluate(f"document.documentElement.scrollHeight - ({bottom})")
    assert below < 100, "nothing hangs out below the last section"
    wide = page.evaluate(
        "[...document.querySelectorAll('div.chart svg')].filter((svg) => svg.clientWidth > 328).length"
    )
    assert wide == 0


def test_paper_has_every_chart(opened, report, tmp_path):
    page = opened(report)
    paper = page.pdf(format="A4")
    assert paper.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) >= 5
    assert page.locator("div.chart svg").count() == 9, "drawn though never scrolled to"
    assert page.locator("details[open]").count() == 0, "opened for the paper only"


def test_hostile_names_are_inert(opened, tmp_path):
    rows = small_tasks(12)
    for row in rows[1:6]:
        row |= dict.fromkeys(("id", "cell", "target", "group"), HOSTILE)
    summary = small_summary(rows)
    summary["task_set"] = HOSTILE
    write_evaluation(tmp_path / "evaluation", summary, rows)
    (tmp_path / "config.yaml").write_text(HOSTILE, encoding="utf-8")
    write_page(report_page(read_inputs(tmp_path, tmp_path / "evaluation")), tmp_path / "report.html")
    page = opened(tmp_path / "report.html")
    draw_all(page)
    page.locator('div.chart[data-chart="f1_differences"]').scroll_into_view_if_needed()
    for point in page.locator('div.chart[data-chart="f1_differences"] .mark-symbol.role-mark path').all()[:8]:
        point.hover(force=True)
    assert page.title().startswith("Sequence model against k-mer baseline")
    assert page.locator("img").count() == 0
    assert page.locator("#task-table tbody th", has_text="</script>").count() == 5


def test_fifty_runs(opened, tmp_path):
    """Vega warns on the console if a legend has too many entries; a phone must not scroll sideways."""
    runs = [
        {"run": f"2026-11-22_18-25-35_sweep/{place}_bigru", "path": str(place), "rank": place,
         "valid_perplexity": 1.2 + place / 1000, "valid_scores": "streaming", "valid_f1": 0.3,
         "parameters": 437622, "seconds": 178.4, "epochs": 8, "best_epoch": 8, "windows_per_second": 1867.0}
        for place in range(1, 51)
    ]  # fmt: skip
    for run in runs:
        folder = tmp_path / str(run["path"])
        folder.mkdir()
        lines = [f"{epoch},{run['valid_perplexity'] + 0.1 / (epoch + 1)}" for epoch in range(8)]
        (folder / "metrics.csv").write_text("\n".join(["epoch,valid/perplexity", *lines]) + "\n")
    board = {"chosen": runs[0]["run"], "runs": runs, "evaluate": "genome-lm evaluate"}
    write_page(leaderboard_page(tmp_path, board, None), tmp_path / "report.html")
    for width in (360, 1300):
        page = opened(tmp_path / "report.html", width=width)
        assert draw_all(page) == 1
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator(".role-legend-entry .mark-text text").count() == 11
        drawn = page.locator(".mark-line.role-mark path").count()
        assert drawn == 50
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []


def test_leaderboard_page(opened, report, tmp_path):
    run = report.parents[1]
    board = {"chosen": "a", "runs": [{"run": "a", "path": str(run), "rank": 1, "valid_perplexity": 1.22}]}
    write_page(leaderboard_page(tmp_path, board, read_inputs(run, report.parent)), tmp_path / "report.html")
    page = opened(tmp_path / "report.html")
    assert draw_all(page) == 10
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
