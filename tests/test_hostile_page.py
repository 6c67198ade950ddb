"""Names, notes and settings that are scripts are text: on the page, in Markdown and in tables."""

import csv
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import browser as started_browser
from hypothesis import given
from hypothesis import strategies as st
from small_report import small_summary, small_tasks, write_evaluation

from genome_lm.report.inputs import read_inputs, read_tasks
from genome_lm.report.page import leaderboard_page, report_page
from genome_lm.report.render import write_page
from genome_lm.tables import guarded, in_markdown, read_tsv, to_markdown, to_tsv, unguarded

HARM = "window.harmed=1"
TEXTS = (
    f"</script><script>{HARM}</script>",
    f'<img src=x onerror="{HARM}">',
    f'"><svg onload={HARM}>',
    f"' onmouseover='{HARM}",
    f"javascript:{HARM}",
    f"]]><script>{HARM}</script>",
    f"\u2028{HARM}//\u2029",
    "<!--<script>",
    f"{{{{{HARM}}}}} {{% raw %}} ${{{HARM}}}",
    f"'-{HARM}-'",
    f"</style><style>@import 'data:text/css,x'</style></title><base href=//x>{HARM}",
    f"&lt;script&gt;{HARM}&lt;/script&gt;",
    "a|b\tc",
)


def harmed(value: object, count: list[int], keep: Callable[[str], bool]) -> object:
    """The value with a hostile text behind every text in it, each in turn; keys of groups too."""
    if isinstance(value, dict):
        return {key: harmed(each, count, keep) for key, each in value.items()}
    if isinstance(value, list):
        return [harmed(each, count, keep) for each in value]
    if isinstance(value, str) and not keep(value):
        count[0] += 1
        return f"{value} {TEXTS[count[0] % len(TEXTS)]}"
    return value


class Elements(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "style")]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """The folder of a run of which every text is hostile, and its evaluation in it."""
    folder = tmp_path_factory.mktemp("hostile") / "<img src=x onerror=alert(1)>"
    rows = small_tasks(2 * len(TEXTS))
    for number, row in enumerate(rows):
        for place, name in enumerate(("id", "cell", "target", "treatment", "group")):
            text = TEXTS[(number + place) % len(TEXTS)]
            row[name] = TEXTS[number % 5] if name == "group" else f"{number} {text}"
    summary = small_summary(rows)
    summary = harmed(summary, [0], lambda text: text in ("poster", "tuned"))
    write_evaluation(folder / "evaluation", summary, rows)
    training = {
        "model": TEXTS[0],
        "seed": 0,
        "command": TEXTS[1],
        "versions": {"python": TEXTS[2]},
        "code_version": TEXTS[3],
    }
    (folder / "training.json").write_text(json.dumps(training))
    (folder / "config.yaml").write_text("\n".join(f"- {text}" for text in TEXTS), encoding="utf-8")
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text("\n".join(f"- run_name={text}" for text in TEXTS[:5]))
    return folder


@pytest.fixture(scope="module")
def pages(hostile) -> dict[str, Path]:
    run = {"run": TEXTS[0], "path": TEXTS[1], "rank": 1, "model": TEXTS[2], "valid_perplexity": 1.2}
    board = {
        "chosen": TEXTS[0],
        "task_set": TEXTS[3],
        "runs": [run, run | {"run": TEXTS[4], "rank": 2}],
        "seeds": [{"runs": [TEXTS[5]], "seeds": [0, TEXTS[6]], "model": TEXTS[7]}],
        "skipped": [{"path": TEXTS[0], "reason": TEXTS[8]}],
        "evaluate": TEXTS[9],
    }
    inputs = read_inputs(hostile, hostile / "evaluation")
    found = {}
    for name, page in {
        "report": report_page(inputs),
        "leaderboard": leaderboard_page(hostile, board, inputs),
        "unevaluated": leaderboard_page(hostile, board, None),
    }.items():
        found[name] = hostile / f"{name}.html"
        write_page(page, found[name])
    return found


@pytest.mark.parametrize("name", ["report", "leaderboard", "unevaluated"])
def test_no_element_comes_from_a_text(pages, name):
    text = pages[name].read_text(encoding="utf-8")
    assert HARM in text  # the texts are there
    found = Elements()
    found.feed(text)
    assert found.scripts == (3 if 'class="chart"' in text else 2)
    assert found.handlers == []
    assert not found.tags & {"img", "base", "iframe", "object", "embed"}
    assert [link for link in found.links if not link.startswith("#")] == []


def test_the_data_are_one_inert_script(pages):
    text = pages["report"].read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="page-data">(.*?)</script>', text, re.DOTALL)
    assert not set("<>&\u2028\u2029") & set(data)
    ids = json.loads(data)["datasets"]["tasks"]["id"]
    assert {text for task in ids for text in TEXTS if text in task} == set(TEXTS)


def test_nothing_runs_in_a_browser(pages):
    """The flag that every text sets stays unset, also where charts are drawn and pointed at."""
    with started_browser() as browser:
        for name, path in pages.items():
            page, said, asked = browser.new_page(), [], []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(path.as_uri())
            charts = page.locator("div.chart")
            for number in range(charts.count()):
                charts.nth(number).scroll_into_view_if_needed()
                charts.nth(number).locator("svg").wait_for()
            if name == "report":
                chart = page.locator('div.chart[data-chart="f1_differences"]')
                chart.scroll_into_view_if_needed()
                for point in chart.locator(".mark-symbol.role-mark path").all()[:6]:
                    point.hover(force=True)
                page.fill("#task-search", "<img")
                page.fill("#task-search", "")
                page.locator('#task-table th[data-field="id"] button').click()
            assert page.evaluate("window.harmed") is None, name
            assert page.title().startswith(("Sequence model", "Leaderboard"))
            assert page.locator("img, base, iframe").count() == 0
            assert [url for url in asked if url != path.as_uri()] == []
            assert said == []
            page.close()


@pytest.mark.parametrize("text", TEXTS)
def test_markdown_has_no_html_and_no_links(text):
    linked = f"[x](javascript:{HARM}) {text} ![y](http://x)"
    for shown in (in_markdown(linked), to_markdown([("a", "b"), (linked, linked)])):
        assert not re.search(r"<[A-Za-z/!?]", shown)
        assert "](" not in shown
    assert len(to_markdown([("a", "b"), (linked, text)]).split("\n")) == 3


any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)
formulas = st.builds(lambda guard, sign, rest: guard + sign + rest, st.sampled_from(["", "'", "''"]),
                     st.sampled_from(list("=+-@\t")), any_text)  # fmt: skip


@given(st.one_of(any_text, formulas, st.floats().map(repr), st.integers().map(str)))
def test_a_guarded_cell_is_no_formula_and_comes_back(text):
    written = guarded(text)
    assert unguarded(written) == text
    try:
        float(written)
    except ValueError:
        assert len(written) < 2 or written[0] not in "=+-@\t"
    else:
        assert written == text, "numbers stay as they are"


def test_tables_with_formulas_are_read_back(tmp_path):
    rows = [
        ("id", "value"),
        *((text, "-1.5") for text in ("=1+1", "'=1", "+49", "@x", "-", "-3", "-H3K4", "'")),
    ]
    (tmp_path / "tasks.tsv").write_text(to_tsv(rows), encoding="utf-8")
    assert [tuple(row.values()) for row in read_tsv(tmp_path / "tasks.tsv")] == rows[1:]
    assert [task.id for task in read_tasks(tmp_path / "tasks.tsv")] == [row[0] for row in rows[1:]]
    with (tmp_path / "tasks.tsv").open() as file:
        written = [row[0] for row in csv.reader(file, delimiter="\t")]
    assert written == ["id", "'=1+1", "''=1", "+49", "'@x", "-", "-3", "'-H3K4", "'"]
