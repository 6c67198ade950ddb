// The report's own script: charts drawn when they come into view, and a table to search, filter and sort.
// Data and charts come from the JSON in #page-data; each dataset is there once, as columns.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const datasets = new Map();

  function rowsOf(name) {
    if (!datasets.has(name)) {
      const columns = Object.entries(page.datasets[name]);
      const length = columns.length ? columns[0][1].length : 0;
      datasets.set(name, Array.from({ length }, (_, i) => Object.fromEntries(columns.map(([key, values]) => [key, values[i]]))));
    }
    return datasets.get(name);
  }

  function namesIn(spec, found = new Set()) {
    if (spec && typeof spec === "object") {
      if (spec.data && typeof spec.data.name === "string") found.add(spec.data.name);
      Object.values(spec).forEach((part) => namesIn(part, found));
    }
    return found;
  }

  // Charts. Colours are CSS variables, so a change of theme needs no drawing.
  const drawn = new Map();

  function heightFor(chart, holder) {
    // A drawing of some aspect is as high as its plot is wide: without the axis at the left.
    const plot = Math.max(holder.clientWidth - 60, 120);
    return chart.aspect ? Math.min(chart.height, Math.round(plot * chart.aspect)) : chart.height;
  }

  function draw(holder) {
    const name = holder.dataset.chart;
    if (drawn.has(name)) return drawn.get(name);
    const chart = page.charts[name];
    const spec = structuredClone(chart.spec);
    const own = [...namesIn(spec)].filter((each) => each in page.datasets);
    spec.datasets = { ...spec.datasets, ...Object.fromEntries(own.map((each) => [each, rowsOf(each).map((row) => ({ ...row }))])) };
    spec.height = heightFor(chart, holder);
    const options = {
      actions: false, ast: true, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true },
    };
    const ready = vegaEmbed(holder, spec, options).then((result) => {
      holder.dataset.drawn = "";
      return result.view;
    });
    drawn.set(name, ready);
    return ready;
  }

  const holders = [...document.querySelectorAll("div.chart")];
  for (const holder of holders) holder.style.minHeight = `${heightFor(page.charts[holder.dataset.chart], holder)}px`;
  const inView = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        inView.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "200px 0px" });
  holders.forEach((holder) => inView.observe(holder));

  // vegaEmbed only waits for microtasks here, so every chart is there before the browser lays out the paper.
  window.addEventListener("beforeprint", () => {
    holders.forEach(draw);
    document.querySelectorAll("details:not([open])").forEach((each) => { each.open = true; each.dataset.printed = ""; });
  });
  window.addEventListener("afterprint", () => {
    document.querySelectorAll("details[data-printed]").forEach((each) => { each.open = false; delete each.dataset.printed; });
  });

  window.addEventListener("resize", () => {
    for (const holder of holders) {
      const chart = page.charts[holder.dataset.chart];
      if (chart.aspect && drawn.has(holder.dataset.chart)) {
        draw(holder).then((view) => view.height(heightFor(chart, holder)).runAsync());
      }
    }
  });

  for (const select of document.querySelectorAll("select[data-parameter]")) {
    select.addEventListener("change", () => {
      const holder = holders.find((each) => each.dataset.chart === select.dataset.chart);
      draw(holder).then((view) => view.signal(select.dataset.parameter, select.value).runAsync());
    });
  }

  // The table of tasks: its rows are in the order of the dataset until they are sorted.
  const table = document.getElementById("task-table");
  if (!table) return;
  const tasks = rowsOf("tasks");
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const lines = [...body.rows].map((element, i) => ({ element, task: tasks[i] }));
  const searched = ["id", "cell", "target", "treatment"];
  for (const line of lines) line.text = searched.map((field) => line.task[field]).join("\n").toLowerCase();
  const search = document.getElementById("task-search");
  const group = document.getElementById("task-group");
  const outcome = document.getElementById("task-outcome");
  const status = document.getElementById("task-count");
  const download = document.getElementById("task-download");
  let shown = lines;

  function hasOutcome(task, wanted) {
    if (wanted === "") return true;
    if (wanted === "none") return task.outcome === "";
    if (wanted === "untested") return task.outcome !== "" && task.q === null;
    if (wanted === "sure") return task.significance !== "";
    if (wanted.startsWith("sure-")) return task.significance === wanted.slice(5);
    return task.outcome === wanted;
  }

  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = lines.filter(({ task, text }) =>
      words.every((word) => text.includes(word)) && (group.value === "" || task.group === group.value) && hasOutcome(task, outcome.value));
    body.replaceChildren(...shown.map((line) => line.element));
    status.textContent = `${shown.length} of ${lines.length} tasks`;
  }

  function compare(a, b, sign) {
    const empty = (value) => value === null || value === undefined || value === "";
    if (empty(a) || empty(b)) return empty(a) - empty(b); // what is undefined comes last either way
    if (typeof a === "number") return sign * (a - b);
    return sign * a.localeCompare(b, "en", { numeric: true, sensitivity: "base" });
  }

  for (const heading of headings) {
    heading.querySelector("button").addEventListener("click", () => {
      const first = heading.classList.contains("number") ? "descending" : "ascending";
      const other = first === "descending" ? "ascending" : "descending";
      const order = heading.getAttribute("aria-sort") === first ? other : first;
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const field = heading.dataset.field;
      lines.sort((a, b) => compare(a.task[field], b.task[field], order === "ascending" ? 1 : -1));
      show();
    });
  }
  for (const control of [search, group, outcome]) control.addEventListener("input", show);

  // What is shown, in the order shown, with all digits; tabs and line breaks inside a field become spaces.
  download.hidden = false;
  download.addEventListener("click", () => {
    const fields = [...Object.keys(page.datasets.tasks)].filter((field) => !["shown", "place"].includes(field) && !field.endsWith("_text"));
    const formula = /^'*[=+\-@]./; // to a spreadsheet; guarded as in tasks.tsv
    const guarded = (text) => (formula.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);
    const cell = (value) => (value === null ? "" : guarded(String(value).replace(/[\t\r\n]/g, " ")));
    const text = [fields.join("\t"), ...shown.map(({ task }) => fields.map((field) => cell(task[field])).join("\t"))].join("\n");
    if (download.href.startsWith("blob:")) URL.revokeObjectURL(download.href);
    download.href = URL.createObjectURL(new Blob([text + "\n"], { type: "text/tab-separated-values" }));
  });
})();
