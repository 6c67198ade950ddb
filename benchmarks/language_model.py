"""Does next-base training help? Pretrain on sequence alone, then fine-tune on 1%, 10% and 100% of the labels.

    OMP_NUM_THREADS=1 nice -n 10 python benchmarks/language_model.py --fasta chr20.fa.gz --output FOLDER

The FASTA is human chromosome 20 (hg19), of which the embedded dataset's validation and test regions are
left out of pretraining. Every training is a folder in FOLDER that is kept: started again, the script
goes on where it was. FOLDER/result.md has the tables so far and result.json their numbers. `--quick`
checks that it runs.

Both arms, from scratch and from the language model, train on the same windows in the same order, with
the same numbers of steps and the same choices: of the recipes tried and of the epochs, that of the
lowest perplexity on the first 2,048 validation windows. Perplexity, AUROC and AP are then computed once
on all of validation and on test, both strands averaged.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from genome_lm.build import dataset_from, network_with_weights
from genome_lm.checkpoint import read_checkpoint
from genome_lm.dataset.contents import Dataset
from genome_lm.evaluation.predict import predict_windows
from genome_lm.metrics import auroc_and_average_precision, binary_cross_entropy_per_task, perplexity
from genome_lm.tables import to_markdown

ROOT = Path(__file__).resolve().parents[1]

# The encoder of 64 units, which more trainings can be afforded of.
COMMON = ("model=bigru_light", "trainer.threads=1", "trainer.accelerator=cpu", "trainer.log_every_n_steps=5")
PARTS = {
    "words": ("tokenizer=kmer_bag", "data.context_bp=500"),  # bags of all 6-mers
    "characters": ("tokenizer=character", "tokenizer.width=8", "data.context_bp=200"),
}
PRETRAINING = {
    "words": ("trainer.max_epochs=2",),
    "characters": ("trainer.max_epochs=3", "trainer.limit_train_batches=60", "trainer.limit_val_batches=4"),
}
FASTER = "optimizer.learning_rate=0.003"  # than adamw_plain's; training is short
# Validating on all windows would take longer than training on few; strands are averaged in the end. The head
# sees what the pretrained parts read, and no motifs beside it.
LABELS = (
    *PARTS["words"],
    "window_features=none",
    "head.pooling=[max,mean]",
    "average_strands=false",
    "trainer.limit_val_batches=4",
    "callbacks.early_stopping=false",
)
RECIPES = {
    "strong decay": (),  # the default optimizer
    "weak decay": ("optimizer=adamw_plain",),
}


@dataclass(frozen=True)
class Setting:
    """A share of the labels, a seed, and how is trained on them."""

    fraction: float
    seed: int
    arguments: tuple[str, ...]
    recipes: tuple[str, ...] = ("strong decay", "weak decay")


FEW = ("trainer.max_epochs=25", "data.batch_size=64")
SOME = ("trainer.max_epochs=12",)
ALL = ("trainer.max_epochs=4",)
SETTINGS = tuple(
    setting
    for seed in range(3)
    for setting in (
        Setting(0.01, seed, FEW),
        Setting(0.1, seed, SOME),
        Setting(1.0, seed, ALL, ("strong decay",)),
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fasta", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="a few steps of everything")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quick = ("trainer.max_epochs=1", "trainer.limit_train_batches=2") if given.quick else ()
    dataset = dataset_from(None)
    result: dict[str, list[dict[str, object]]] = {"language": [], "labels": []}

    def language(parts: str) -> None:
        folder = given.output / f"language_{parts}"
        source = ("task=language_model", f"task.fasta={given.fasta}", FASTER)
        train(folder, *source, *PARTS[parts], *PRETRAINING[parts], *quick)
        scores = folder / "evaluation" / "language_model.json"
        if not scores.exists():
            run("evaluate.py", f"ckpt_path={folder}", "evaluate.threads=1", "evaluate.accelerator=cpu")
        result["language"].append({"parts": parts, "training": training(folder), **read(scores)})
        write(given.output, result)

    language("words")
    for setting in SETTINGS[:3] if given.quick else SETTINGS:
        for start in ("scratch", "language model"):
            result["labels"].append(arm(given.output, dataset, setting, start, quick))
            write(given.output, result)
    language("characters")
    print((given.output / "result.md").read_text())


def arm(
    output: Path, dataset: Dataset, setting: Setting, start: str, quick: tuple[str, ...]
) -> dict[str, object]:
    """Train with each recipe, and score the one of the lowest validation perplexity."""
    tried = {}
    for recipe in setting.recipes:
        name = f"{setting.fraction:g}_{start}_{recipe}_{setting.seed}".replace(" ", "_")
        pretrained = output / "language_words" / "checkpoints" / "best.ckpt"
        source = () if start == "scratch" else (f"model.init_from={pretrained}",)
        share = (f"data.train_fraction={setting.fraction}", f"seed={setting.seed}")
        train(output / name, *LABELS, *setting.arguments, *RECIPES[recipe], *share, *source, *quick)
        tried[recipe] = output / name
    chosen = min(tried, key=lambda recipe: training(tried[recipe])["valid_perplexity"])
    kept = tried[chosen] / "scores.json"
    if not kept.exists():
        kept.write_text(json.dumps(scores_of(tried[chosen], dataset)))
    figures = training(tried[chosen])
    facts = {"fraction": setting.fraction, "start": start, "seed": setting.seed, "recipe": chosen}
    return facts | {"best_epoch": figures["best_epoch"], "epochs": figures["epochs"]} | read(kept)


def train(folder: Path, *arguments: str) -> None:
    """A training in `folder`, unless it is there."""
    if not (folder / "training.json").exists():
        started = time.perf_counter()
        run("train.py", *COMMON, *arguments, f"hydra.run.dir={folder}")
        print(f"{folder.name}: {time.perf_counter() - started:.0f} s", flush=True)


def run(script: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, ROOT / script, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def training(folder: Path) -> dict:
    return read(folder / "training.json")


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def scores_of(folder: Path, dataset: Dataset) -> dict[str, float]:
    """Perplexity, mean AUROC and mean AP over the tasks trained on, on validation and test."""
    saved = read_checkpoint(folder / "checkpoints" / "best.ckpt")
    tasks = np.array([dataset.tasks.id.index(task) for task in saved.description.tasks["id"]])
    network = network_with_weights(saved, ["genome_lm"])
    found = {}
    for split in ("valid", "test"):
        windows = dataset.windows_of(split)
        logits = predict_windows(
            network,
            dataset,
            windows,
            saved.description.context_bp,
            batch_size=512,
            average_strands=True,
            device=torch.device("cpu"),
        )
        labels = dataset.labels(windows, tasks)
        area, precision = auroc_and_average_precision(logits, labels)
        found[f"{split}_perplexity"] = float(perplexity(binary_cross_entropy_per_task(logits, labels).mean()))
        found[f"{split}_auroc"] = float(np.nanmean(area))
        found[f"{split}_ap"] = float(np.nanmean(precision))
    return found


def write(output: Path, result: dict[str, list[dict]]) -> None:
    """Write what there is so far."""
    (output / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    language = [["", "valid", "test"]]
    for each in result["language"]:
        valid, test, best = each["valid"], each["test"], each["markov"]["best_order"]
        name = f"{each['parts']}, {each['stretch_bp']} bp"
        minutes = each["training"]["seconds"] / 60
        rows = {f"network, {minutes:.0f} minutes": (valid["forward"], test["forward"])}
        for order in sorted({0, 3, 5, 8, best}):
            rows[f"Markov chain of order {order}"] = (valid["markov"][order], test["markov"][order])
        language += [[f"{name}: {row}", *(f"{value:.4f}" for value in both)] for row, both in rows.items()]
    measures = [f"{split}_{name}" for split in ("valid", "test") for name in ("perplexity", "auroc", "ap")]
    labels = [["labels", "start", "seed", "recipe", "epoch", *(each.replace("_", " ") for each in measures)]]
    for each in result["labels"]:
        facts = [f"{each['fraction']:.0%}", each["start"], str(each["seed"]), each["recipe"]]
        epoch = f"{each['best_epoch']} of {each['epochs']}"
        scores = [f"{each[name]:.{4 if 'perplexity' in name else 3}f}" for name in measures]
        labels.append([*facts, epoch, *scores])
    text = f"{to_markdown(language, left=(0,))}\n\n{to_markdown(labels, left=(1, 3))}\n"
    (output / "result.md").write_text(text)


if __name__ == "__main__":
    main()
