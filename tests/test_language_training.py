"""`task=language_model` from the command line: run folder, evaluation, and what refuses its checkpoint."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from small_genome import random_letters, write_fasta
from small_run import SLICE, TINY, files, run_command, run_folders

from genome_lm.build_language import language_data_from, language_network_with_weights
from genome_lm.checkpoint import KEY
from genome_lm.config import DataConfig
from genome_lm.language.checkpoint import read_language_checkpoint
from genome_lm.language.markov import fit_chains
from genome_lm.language.sequence import sequence_of_dataset, sequence_of_fasta
from genome_lm.language.words import count_words, segment_blocks, stretch_blocks

LANGUAGE = (*TINY, "task=language_model", "task.markov_order=3", "trainer.limit_train_batches=4")
QUICK = ("evaluate.threads=1", "evaluate.accelerator=cpu")


@pytest.fixture(scope="module")
def language_run(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny language model on the stored bases of the small dataset."""
    runs = tmp_path_factory.mktemp("language")
    assert run_command("train", *LANGUAGE, f"data.path={small_file}", f"runs_dir={runs}") == 0
    (folder,) = run_folders(runs)
    return folder


@pytest.fixture(scope="module")
def evaluated(language_run: Path) -> dict:
    best = language_run / "checkpoints" / "best.ckpt"
    assert run_command("evaluate", f"ckpt_path={best}", *QUICK) == 0
    return json.loads((language_run / "evaluation" / "language_model.json").read_text())


def test_a_run_folder(language_run):
    written = {name for name in files(language_run) if not name.startswith("evaluation/")}
    assert written == {
        "config.yaml",
        "hparams.yaml",
        "metrics.csv",
        "training.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    assert language_run.name.endswith("_language_bigru")
    result = json.loads((language_run / "training.json").read_text())
    with (language_run / "metrics.csv").open(newline="") as file:
        epochs = [row for row in csv.DictReader(file) if row["valid/perplexity"]]
    best = min(epochs, key=lambda row: float(row["valid/perplexity"]))
    for name in ("perplexity", "prior_perplexity", "markov_perplexity", "backward_perplexity", "skill"):
        assert result[f"valid_{name}"] == pytest.approx(float(best[f"valid/{name}"])), name
    assert 3 < result["valid_perplexity"] < 5
    assert 3 < result["valid_markov_perplexity"] < result["valid_prior_perplexity"] < 4.1
    assert result["tokens_per_window"] == 20
    assert result["valid_both_perplexity"] == pytest.approx(
        math.sqrt(result["valid_perplexity"] * result["valid_backward_perplexity"]), rel=1e-6
    )


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool)


def test_its_checkpoint_describes_itself(language_run, small):
    path = language_run / "checkpoints" / "best.ckpt"
    content = torch.load(path, map_location="cpu", weights_only=True)
    assert plain(content[KEY])
    saved = read_language_checkpoint(path)
    assert saved.description.kind == "language_model"
    assert saved.description.config == yaml.safe_load((language_run / "config.yaml").read_text())
    assert saved.description.sequence["checksum"] == small.checksum
    network = language_network_with_weights(saved, ["genome_lm"])
    for name, value in network.state_dict().items():
        assert torch.equal(value, content["state_dict"][f"network.{name}"])


def test_the_evaluation_is_that_of_each_base_by_itself(language_run, evaluated, small):
    """Validation as in training; the network's test perplexity and the chains' from their definitions."""
    result = json.loads((language_run / "training.json").read_text())
    assert evaluated["valid"]["forward"] == pytest.approx(result["valid_perplexity"], rel=1e-5)
    assert evaluated["valid"]["backward"] == pytest.approx(result["valid_backward_perplexity"], rel=1e-5)
    best = evaluated["markov"]["best_order"]
    assert best == result["valid_markov_order"]
    assert evaluated["valid"]["markov"][best] == pytest.approx(result["valid_markov_perplexity"], rel=1e-6)
    assert evaluated["valid"]["markov"][0] == pytest.approx(result["valid_prior_perplexity"], rel=1e-6)

    saved = read_language_checkpoint(language_run / "checkpoints" / "best.ckpt")
    network = language_network_with_weights(saved, ["genome_lm"]).eval()
    sequence = sequence_of_dataset(small, 60)
    data = language_data_from(sequence, DataConfig(**_data(60)), seed=0)
    nats, bases = 0.0, 0
    for batch in data.evaluation_loader("test"):
        with torch.inference_mode():
            log_p = torch.log_softmax(network(batch.codes)[0].logits.double(), -1).numpy()
        codes = batch.codes.numpy()
        for token in range(19):  # words of three: the base after each but the last
            for row in range(len(codes)):
                base = codes[row, 3 * (token + 1)]
                if base < 4:
                    nats -= log_p[row, token, base]
                    bases += 1
    assert evaluated["test"]["n_bases"] == bases
    assert evaluated["test"]["forward"] == pytest.approx(math.exp(nats / bases), rel=1e-5)
    train = count_words(segment_blocks(sequence.splits["train"], 3), 3).with_other_strand()
    words = {
        split: count_words(
            stretch_blocks(small.sequence, data.evaluation_starts(split), 60, np.arange(3, 60, 3)), 3
        )
        for split in ("valid", "test")
    }
    chains = fit_chains(train, words["valid"])
    assert evaluated["test"]["markov"] == pytest.approx(
        np.exp(chains.cross_entropies(words["test"])).tolist()
    )
    table = (language_run / "evaluation" / "language_model.md").read_text()
    assert f"{evaluated['test']['forward']:.4f}" in table
    assert f"order {best}, best on validation" in table


def _data(context_bp: int) -> dict:
    return {
        "context_bp": context_bp,
        "batch_size": 64,
        "eval_batch_size": 64,
        "num_workers": 0,
        "reverse_complement": True,
    }


def error_of(capsys, command: str, *arguments: str) -> str:
    assert run_command(command, *arguments) == 2
    return capsys.readouterr().err


def test_what_needs_labels_refuses_it(language_run, run, tmp_path, capsys):
    best = language_run / "checkpoints" / "best.ckpt"
    multitask = run / "checkpoints" / "best.ckpt"
    fasta = write_fasta(tmp_path / "x.fa", {"x": random_letters(80)})
    message = "is one of a language model; expected one of a multitask model: train it from this one with"
    arguments = (f"fasta={fasta}", f"output={tmp_path}/x.tsv", f"ckpt_path={best}")
    assert message in error_of(capsys, "predict", *arguments)
    assert message in error_of(capsys, "evaluate", f"ckpt_path=[{best},{multitask}]")
    dataset = f"data.path={read_language_checkpoint(best).description.sequence['path']}"
    assert message in error_of(capsys, "train", *TINY, dataset, f"ckpt_path={best}", f"runs_dir={tmp_path}")
    arguments = (*LANGUAGE, dataset, f"ckpt_path={multitask}", f"runs_dir={tmp_path}")
    assert "is one of a multitask model; expected one of a language model" in error_of(
        capsys, "train", *arguments
    )


def test_it_is_not_ranked_with_multitask_models(language_run, run, tmp_path, capsys):
    out = f"--output={tmp_path}"
    assert "have different tasks" in error_of(capsys, "compare", str(language_run), str(run), out)
    assert run_command("compare", str(language_run), out) == 0
    assert "next base" in (tmp_path / "leaderboard.md").read_text()


def test_the_same_seed_gives_the_same_run_and_a_run_can_be_resumed(language_run, small_file, tmp_path):
    arguments = (*LANGUAGE, f"data.path={small_file}", f"runs_dir={tmp_path}")
    assert run_command("train", *arguments) == 0
    (again,) = run_folders(tmp_path)
    last = [each / "checkpoints" / "last.ckpt" for each in (language_run, again)]
    first, second = (read_language_checkpoint(each).weights for each in last)
    assert all(torch.equal(first[name], second[name]) for name in first)
    more = (f"ckpt_path={last[1]}", "trainer.max_epochs=3", "run_name=more")
    assert run_command("train", *arguments, *more) == 0
    (resumed,) = (each for each in run_folders(tmp_path) if each != again)
    assert read_language_checkpoint(resumed / "checkpoints" / "last.ckpt").epochs == 3


def test_resuming_needs_the_same_network_and_sequence(language_run, small_file, tmp_path, capsys):
    last = language_run / "checkpoints" / "last.ckpt"
    fasta = write_fasta(tmp_path / "g.fa", {"20": random_letters(3000)})
    common = (*LANGUAGE, f"ckpt_path={last}", f"runs_dir={tmp_path}")
    for changed, message in (
        ((f"data.path={small_file}", "tokenizer.width=5"), "trained with another tokenizer"),
        ((f"data.path={small_file}",), "has 2 epochs behind it"),
        (
            (f"task.fasta={fasta}", "task.regions.valid=['20:0-500']", "task.regions.test=[]"),
            "was trained on another sequence or other regions",
        ),
    ):
        assert message in error_of(capsys, "train", *common, *changed)


def test_a_fasta_with_the_regions_of_the_dataset(small_file, small, tmp_path):
    """No base of the label dataset's validation and test windows is trained on."""
    fasta = SLICE / "chr20_47Mb_49Mb.fa.gz"
    arguments = (f"task.fasta={fasta}", f"data.path={small_file}", f"runs_dir={tmp_path}", "model=gru")
    assert run_command("train", *LANGUAGE, *arguments) == 0
    (folder,) = run_folders(tmp_path)
    saved = read_language_checkpoint(folder / "checkpoints" / "best.ckpt")
    regions = saved.description.sequence["regions"]
    assert regions == {"valid": ["chr20:500,000-900,000"], "test": ["chr20:0-500,000"], "buffer_bp": 1000}
    sequence = sequence_of_fasta(fasta, regions["valid"], regions["test"], 1000, 60)
    train = sequence.splits["train"]
    for split in ("valid", "test"):
        start = small.start[small.windows_of(split)]
        for first, last in zip(train.start, train.end, strict=True):
            assert not np.any((start < last) & (start + small.window_bp > first))
    result = json.loads((folder / "training.json").read_text())
    assert result["valid_backward_perplexity"] is None  # one direction
    assert run_command("evaluate", f"ckpt_path={folder}", *QUICK) == 0
    scores = json.loads((folder / "evaluation" / "language_model.json").read_text())
    assert scores["test"]["n_bases"] == (500_000 // 60) * 19
    assert scores["test"]["backward"] is None


def test_settings_that_do_not_go_together(small_file, tmp_path, capsys):
    fasta = write_fasta(tmp_path / "g.fa", {"x": random_letters(1000)})
    runs = (f"runs_dir={tmp_path}/runs",)
    for arguments, message in (
        ((f"task.fasta={fasta}",), r"valid region 'chr20:48,000,000-53,000,000': no such chromosome"),
        (
            (f"data.path={small_file}", "task.regions.valid=[x]"),
            "task.regions.valid is given without task.fasta",
        ),
        (("data.train_fraction=0.5",), "data.train_fraction is 0.5; expected 1 with task=language_model"),
        (("task.markov_order=13",), "task.markov_order is 13; expected 0 to 12"),
        (("model.encoder.num_layers=2",), "cannot be trained as a language model"),
        (("stem=conv", "data.context_bp=500"), "ConvStem cannot be trained as a language model"),
        (("data.context_bp=3",), "data.context_bp is 3, which this tokenizer makes one token of"),
    ):
        assert message in error_of(capsys, "train", *LANGUAGE, *runs, *arguments)
    assert "task.fasta is" in error_of(capsys, "train", *TINY, *runs, f"+task.fasta={fasta}")
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


def test_without_test_regions_nothing_is_left_to_evaluate_on(tmp_path, capsys):
    fasta = write_fasta(tmp_path / "g.fa", {"x": random_letters(5000), "y": random_letters(1000, 1)})
    arguments = (f"task.fasta={fasta}", "task.regions.valid=[y]", "task.regions.test=[]")
    assert run_command("train", *LANGUAGE, *arguments, f"runs_dir={tmp_path}/runs") == 0
    assert "was trained without test regions" in error_of(
        capsys, "evaluate", f"runs_dir={tmp_path}/runs", *QUICK
    )


def test_an_order_of_chains_that_no_training_has_is_refused(language_run, tmp_path, capsys):
    content = torch.load(language_run / "checkpoints" / "best.ckpt", weights_only=True)
    content["genome_lm"]["config"]["task"]["markov_order"] = 40
    torch.save(content, tmp_path / "other.ckpt")
    assert "its task.markov_order is 40; expected 0 to 12" in error_of(
        capsys, "evaluate", f"ckpt_path={tmp_path / 'other.ckpt'}"
    )
