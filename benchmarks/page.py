"""Size of the report page, and the time until it can be used, in headless Chromium.

    python benchmarks/page.py

Made-up evaluations of 374 and 919 tasks. "written" is all of `write_report`, "usable" the time
from the start of the navigation until every chart in a window of 1280 x 2000 pixels is drawn and the table of
tasks has been sorted by a click and painted: best and worst of five fresh browser windows.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import browser
from small_report import small_evaluation

from genome_lm.report.drawing import javascript
from genome_lm.report.page import write_report

TASKS = (374, 919)
REPEATS = 5

USABLE = """async () => {
  const inView = () => [...document.querySelectorAll('div.chart')].filter(
    (chart) => chart.getBoundingClientRect().top < innerHeight);
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  while (inView().some((chart) => !('drawn' in chart.dataset))) await painted();
  const charts = inView().length;
  const heading = document.querySelector('#task-table th[data-field="f1_model"]');
  heading.querySelector('button').click();
  document.querySelector('#task-table').getBoundingClientRect();
  await painted();
  if (heading.getAttribute('aria-sort') !== 'descending') throw new Error('not sorted');
  return [performance.now(), charts];
}"""


def main() -> None:
    started = time.perf_counter()
    libraries = javascript()
    print(f"Vega, Vega-Lite and vega-embed: {len(libraries) / 1e6:.2f} MB, put together in "
          f"{time.perf_counter() - started:.1f} s, once a process")  # fmt: skip
    print("| tasks | page, MB | written, s | charts in view | usable, s, best and worst of five |")
    print("|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        for n in TASKS:
            run, evaluation = small_evaluation(Path(folder) / str(n), n)
            started = time.perf_counter()
            page = write_report(run, evaluation)
            written = time.perf_counter() - started
            times = []
            for _ in range(REPEATS):
                window = chromium.new_page(viewport={"width": 1280, "height": 2000})
                window.goto(page.as_uri())
                milliseconds, charts = window.evaluate(USABLE)
                times.append(milliseconds / 1000)
                window.close()
            size = page.stat().st_size / 1e6
            print(f"| {n} | {size:.2f} | {written:.1f} | {charts} | {min(times):.2f} and {max(times):.2f} |")


if __name__ == "__main__":
    main()
