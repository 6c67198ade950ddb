"""The dashboard as a W&B workspace.

    python docs/dashboards/workspace.py                  write workspace.json, the definition
    python docs/dashboards/workspace.py ENTITY PROJECT   save it there as a view (needs `wandb login`)

Needs wandb-workspaces, which the extra `dev` installs.
"""

import json
import sys
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces

sys.path.insert(0, str(Path(__file__).parent))
from panels import SECTIONS, Bars, Curves, Panel, Pictures, Scatter

DEFINITION = Path(__file__).with_name("workspace.json")

MODEL = "model.name"
"""The key of the run's configuration by which models are told apart."""


def build(entity: str, project: str) -> workspaces.Workspace:
    """The workspace for a project; nothing is sent."""
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name="genome_lm",
        auto_generate_panels=False,
        settings=workspaces.WorkspaceSettings(x_axis="epoch", max_runs=20),
        runset_settings=workspaces.RunsetSettings(
            order=[workspaces.Ordering(workspaces.Summary("best/valid_perplexity"), ascending=True)],
        ),
        sections=[
            workspaces.Section(name=name, is_open=True, panels=[_panel(panel) for panel in panels])
            for name, panels in SECTIONS
        ],
    )


def _panel(panel: Panel) -> Any:
    if isinstance(panel, Curves):
        return reports.LinePlot(title=panel.title, x=panel.over, y=list(panel.keys))
    if isinstance(panel, Bars):
        group = reports.Config(MODEL) if panel.by_model else None
        return reports.BarPlot(title=panel.title, metrics=list(panel.keys), groupby=group)
    if isinstance(panel, Scatter):
        x, y = reports.SummaryMetric(panel.x), reports.SummaryMetric(panel.y)
        return reports.ScatterPlot(title=panel.title, x=x, y=y)
    if isinstance(panel, Pictures):
        return reports.MediaBrowser(title=panel.title, media_keys=list(panel.keys))
    return reports.WeavePanelSummaryTable(table_name=panel.key)


def definition(workspace: workspaces.Workspace) -> str:
    """What would be saved, as JSON; the panels' random ids become numbers, so that it can be compared."""
    spec = json.loads(workspace._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    for section in spec["section"]["panelBankConfig"]["sections"]:
        for number, panel in enumerate(section["panels"]):
            panel["__id__"] = f"{section['name']} {number}"
    return json.dumps(spec, indent=1) + "\n"


def main() -> None:
    if len(sys.argv) == 3:
        workspace = build(*sys.argv[1:])
        workspace.save()
        print(workspace.url)
    elif len(sys.argv) == 1:
        DEFINITION.write_text(definition(build("ENTITY", "PROJECT")), encoding="utf-8")
        print(DEFINITION)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
