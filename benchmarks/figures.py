"""The figure of the README, drawn from an evaluated run.

    python benchmarks/figures.py RUN_FOLDER docs/images/f1.png

Left: F1 on test of the network and of the k-mer regression at the same context, one point a task. Right:
validation perplexity by epoch beside that of the constant prior.
"""

import argparse
import csv
import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")

MARKERS = {"tf": "o", "histone": "s", "accessibility": "^"}
NAMES = {"tf": "transcription factors", "histone": "histone marks", "accessibility": "accessibility"}
# Okabe and Ito's colours, told apart by colour-blind readers; the shapes tell them apart in grey.
COLOURS = {"tf": "#0072B2", "histone": "#E69F00", "accessibility": "#009E73"}


def read_tasks(path: Path) -> list[dict[str, str]]:
    """Rows of a tasks.tsv."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read_curve(path: Path) -> tuple[list[int], list[float], float]:
    """Epochs, validation perplexities and the prior's perplexity of a metrics.csv."""
    epochs, values, prior = [], [], float("nan")
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["valid/perplexity"]:
                epochs.append(int(row["epoch"]) + 1)
                values.append(float(row["valid/perplexity"]))
                prior = float(row["valid/prior_perplexity"])
    return epochs, values, prior


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    rows = read_tasks(arguments.run / "evaluation" / "tasks.tsv")
    summary = json.loads((arguments.run / "evaluation" / "summary.json").read_text(encoding="utf-8"))
    epochs, values, prior = read_curve(arguments.run / "metrics.csv")
    test = summary["test"]
    baseline = summary["valid"]["perplexity"]["baseline"]

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.3), width_ratios=(1, 1), layout="constrained")
    for group, marker in MARKERS.items():
        points = [
            (float(row["test_f1_baseline"]), float(row["test_f1_model"]))
            for row in rows
            if row["group"] == group and row["test_f1_model"]
        ]
        if points:
            x, y = zip(*points, strict=True)
            left.scatter(
                x,
                y,
                s=16,
                marker=marker,
                color=COLOURS[group],
                alpha=0.75,
                linewidths=0,
                label=f"{NAMES[group]} ({len(points)})",
            )
    left.axline((0, 0), slope=1, color="0.4", linewidth=1)
    left.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="F1 of the k-mer regression",
        ylabel="F1 of the network",
        title=f"Test: {test['wins']} wins, {test['ties']} ties, {test['losses']} losses",
    )
    left.legend(frameon=False, loc="lower right", fontsize=9)
    right.plot(epochs, values, marker="o", markersize=4, color=COLOURS["tf"], label="network")
    right.axhline(prior, color="0.4", linestyle=":", label="constant prior")
    right.axhline(baseline, color=COLOURS["histone"], linestyle="--", label="k-mer regression")
    right.set(xlabel="epoch", ylabel="validation perplexity", title=summary["task_set"])
    right.legend(frameon=False, fontsize=9)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output, dpi=130)


if __name__ == "__main__":
    main()
