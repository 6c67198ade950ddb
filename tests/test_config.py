"""Every file of the configuration composes, and every mistyped key or value is answered in one line."""

import copy
import math
import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from small_run import TINY, files, run_command

from genome_lm.build import module_from
from genome_lm.commands.train import describe, train
from genome_lm.config import EvaluateConfig, Precision, PredictConfig, PrepareConfig, TrainConfig
from genome_lm.config_errors import refuse_added_keys
from genome_lm.config_files import config_dir
from genome_lm.dataset.reading import embedded_dataset_path, open_dataset
from genome_lm.errors import UserError

ROOTS = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "prepare": PrepareConfig,
    "predict": PredictConfig,
}
MISSING = {"prepare": {"fasta", "manifest", "output", "genome_build"}, "predict": {"fasta", "output"}}
GROUPS = {"protocol": "evaluate", "source": "prepare"}  # the others belong to train
CHOICES = [
    (path.parent.name, path.stem)
    for path in sorted(config_dir().glob("*/*.yaml"))
    if path.parent.name not in {"hydra", "tune"}  # spaces of tune: tests/test_tuning_space.py
]


def composed(command: str, *overrides: str):
    """The typed configuration, as a command would get it."""
    for name, root in ROOTS.items():
        ConfigStore.instance().store(name=f"{name}_schema", node=root)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose(command, overrides=list(overrides))
    refuse_added_keys(config)
    return config


@pytest.fixture(scope="module")
def embedded():
    return open_dataset(embedded_dataset_path())


@pytest.fixture(scope="module")
def tiny(small_file) -> TrainConfig:
    return OmegaConf.to_object(composed("train", *TINY, f"data.path={small_file}"))


@pytest.mark.parametrize("command", ROOTS)
def test_the_roots_compose(command):
    config = composed(command)
    missing = MISSING.get(command, set())
    assert OmegaConf.missing_keys(config) == missing
    if not missing:
        assert isinstance(OmegaConf.to_object(config), ROOTS[command])


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_builds(group, choice, small):
    # A head without norm takes no features of windows: tested below.
    plain = ["window_features=none"] if (group, choice) == ("head", "last") else []
    plain += ["source.folder=x", "fasta=a", "manifest=b", "output=c", "genome_build=d"] * (group == "source")
    config = OmegaConf.to_object(composed(GROUPS.get(group, "train"), f"{group}={choice}", *plain))
    if group in GROUPS:
        assert getattr(config, group).name == choice.removesuffix("_poster")
        return
    if group != "model":  # a model may need the context that its file chooses
        config.data.context_bp = 60
    module = module_from(describe(config, small, range(3)), config.optimizer, config.allowed_packages)
    assert module.network.head.n_tasks == 3


def test_window_features_want_a_norm_and_room(small):
    def built(*overrides: str) -> None:
        config = OmegaConf.to_object(composed("train", "data.context_bp=60", *overrides))
        module_from(describe(config, small, range(3)), config.optimizer, config.allowed_packages)

    with pytest.raises(UserError, match=r"head\.norm is none; .*head\.norm=batch, or window_features=none"):
        built("head=last")
    with pytest.raises(UserError, match=r"data\.context_bp is 20; these window_features need at least 33 bp"):
        built("data.context_bp=20")


def test_poster_is_the_set_up_of_the_report(embedded):
    """Characters in two dimensions, two bidirectional GRU layers of 128, two outputs a task."""
    config = OmegaConf.to_object(composed("train", "experiment=poster"))
    description = describe(config, embedded, range(560))
    module = module_from(description, config.optimizer, config.allowed_packages)
    first, second = 3 * 128 * (2 + 128 + 2), 3 * 128 * (256 + 128 + 2)
    expected = 5 * 2 + 2 * (first + second) + (256 + 1) * 2 * 560
    assert sum(parameter.numel() for parameter in module.parameters()) == expected == 685_674
    assert description.task_set == "560 of 560 tasks"
    assert description.head == {
        "pooling": ["last"],
        "centre": 0.5,
        "norm": "none",
        "kind": "two_way_softmax",
        "dropout": 0.05,
        "input_dropout": 0.0,
    }
    data, optimizer, trainer = config.data, config.optimizer, config.trainer
    assert (data.context_bp, data.batch_size, data.max_shift_bp, data.reverse_complement) == (
        100,
        20,
        0,
        False,
    )
    assert (optimizer.name, optimizer.learning_rate, optimizer.schedule) == ("adam", 0.001, "constant")
    assert (optimizer.weight_decay, optimizer.embedding_decay, optimizer.warmup_fraction) == (0, 0, 0)
    assert (trainer.max_epochs, trainer.gradient_clip_norm) == (61, 0)
    assert (config.average_strands, config.callbacks.early_stopping) == (False, False)


def test_the_command_line_has_the_last_word_over_an_experiment():
    config = composed("train", "experiment=poster", "data.batch_size=7", "model=bilstm", "seed=4")
    assert (config.data.batch_size, config.model.encoder.cell, config.seed) == (7, "lstm", 4)


MISTAKES = {
    "epochs=3": "epochs does not exist; possible at the top level: allowed_packages, average_strands,",
    "modle=bigru": "modle does not exist; did you mean model?",
    "trainer.max_epoch=3": "trainer.max_epoch does not exist; did you mean trainer.max_epochs?",
    "data.tasks.id=[a]": "data.tasks.id does not exist; did you mean data.tasks.ids?",
    "model.encoder.hidden=3": "model.encoder.hidden does not exist; did you mean model.encoder.hidden_size?",
    "+nonsense=1": "nonsense does not exist; possible at the top level",
    "+data.nonsense=1": "data.nonsense does not exist; possible in data: batch_size, context_bp",
    "+model.encoder.nonsense=1": "model.encoder.nonsense does not exist; RecurrentEncoder takes cell,",
    "model=bigruu": "Could not find 'model/bigruu' Available options in 'model': basset",
    "experiment=postr": "Could not find 'experiment/postr' Available options in 'experiment': poster",
    "model.encoder.cell=gruu": "model.encoder.cell is 'gruu'; expected rnn or gru or lstm",
    "head.pooling=[lst]": "head.pooling[0]: Invalid value 'lst', expected one of [last, mean, max,",
    "optimizer.learning_rate=fast": "optimizer.learning_rate: Value 'fast' is not a number",
    "trainer.max_epochs=ten": "trainer.max_epochs: Value 'ten' is not a whole number",
    "trainer.precision=bf17": "trainer.precision: Invalid value 'bf17', expected one of [float32, bf16,",
    "data.path=missing.h5": "missing.h5",
    "data.batch_size=0": "data.batch_size is 0; expected at least 1",
    "seed=": "seed: Value '' is not a whole number",
    "model=[": "'model=['",
}


@pytest.mark.parametrize(("mistake", "answer"), MISTAKES.items())
def test_a_mistake_in_train_is_one_line_and_leaves_no_run(
    mistake, answer, small_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run_command("train", *TINY, f"data.path={small_file}", mistake) == 2
    assert_one_line(capsys.readouterr(), answer)
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        ("seed", -1, "seed is -1; expected 0 to 4294967295"),
        ("seed", 2**32, "seed is 4294967296; expected 0 to 4294967295"),
        ("trainer.max_epochs", 0, "trainer.max_epochs is 0; expected at least 1"),
        ("trainer.max_time", "10m", "trainer.max_time is 10m; expected DD:HH:MM:SS"),
        ("trainer.devices", 0, "trainer.devices is 0; expected at least 1"),
        (
            "data.eval_batch_size",
            0,
            "data.eval_batch_size is 0; expected at least 1, the number of trainer.dev",
        ),
        ("trainer.log_every_n_steps", 0, "trainer.log_every_n_steps is 0; expected at least 1"),
        ("trainer.threads", 0, "trainer.threads is 0; expected at least 1, or null for all cores"),
        ("trainer.precision", Precision.fp16, "trainer.precision is fp16, which needs a GPU"),
        ("trainer.gradient_clip_norm", -1.0, "trainer.gradient_clip_norm is -1.0; expected 0 (off) or more"),
        ("trainer.gradient_clip_norm", math.nan, "trainer.gradient_clip_norm is nan"),
        ("trainer.limit_train_batches", 0, "trainer.limit_train_batches is 0; expected at least 1, or null"),
        ("trainer.limit_val_batches", -1, "trainer.limit_val_batches is -1; expected at least 1, or null"),
        ("callbacks.patience", 0, "callbacks.patience is 0; expected at least 1"),
        ("callbacks.norm_windows", 1, "callbacks.norm_windows is 1; expected 0 (off), or 2 or more"),
        ("callbacks.min_delta", math.nan, "callbacks.min_delta is nan; expected 0 or more"),
        ("optimizer.learning_rate", -1.0, "optimizer.learning_rate is -1.0; expected more than 0"),
        ("data.context_bp", 1002, "context of 1002 bp does not fit the stored windows"),
        ("data.context_bp", 2, "data.context_bp is 2; this tokenizer needs at least 3 bp"),
        ("data.max_shift_bp", 500, "shift of 500 bp leaves the stored windows"),
        ("data.min_positive_rate", 2.0, "min_positive_rate=2.0: expected a share from 0 to 1"),
        ("data.tasks.ids", ["CTCF"], "task id 'CTCF' does not exist in "),
        ("data.tasks.groups", ["histones"], "group 'histones' does not exist in "),
        ("ckpt_path", "none.ckpt", "checkpoint none.ckpt does not exist"),
        ("head.pooling", [], "head.pooling is []; expected one or more"),
        ("head.dropout", 1.0, "head.dropout is 1.0; expected 0 <= dropout < 1"),
        ("head.input_dropout", -1.0, "head.input_dropout is -1.0; expected 0 <= input_dropout < 1"),
        ("tokenizer.k", 11, "tokenizer.k is 11; expected 1 to 10"),
        ("tokenizer.kk", 1, "tokenizer.kk does not exist; did you mean k? KmerTokenizer takes k,"),
        ("model.encoder.hidden_size", "big", "model.encoder.hidden_size is 'big'; expected a whole number"),
        ("model.encoder.hidden_size", 2.5, "model.encoder.hidden_size is 2.5; expected a whole number"),
        (
            "model.encoder.hidden_size",
            2 * 10**9,
            "model.encoder: the weights of RecurrentEncoder do not fit into memory (hidden_size 2000000000",
        ),
        ("model.encoder.bidirectional", 1, "model.encoder.bidirectional is 1; expected true or false"),
        ("model.encoder.dropout", "no", "model.encoder.dropout is 'no'; expected a number"),
        ("model.encoder._target_", "os.system", "expected a class of the packages genome_lm"),
    ],
)
def test_values_out_of_range_are_refused_before_anything_is_written(key, value, answer, tiny, tmp_path):
    config = copy.deepcopy(tiny)
    *parents, name = key.split(".")
    part = config
    for parent in parents:
        part = part[parent] if isinstance(part, dict) else getattr(part, parent)
    if isinstance(part, dict):
        part[name] = value
    else:
        setattr(part, name, value)
    with pytest.raises(UserError, match=re.escape(answer)) as error:
        train(config, tmp_path / "run", interactive=False, command="genome-lm train")
    assert len(str(error.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_texts_that_the_shell_took_for_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command("train", "tokenizer.masks=[11]") == 2
    assert_one_line(capsys.readouterr(), """expected a list, each text, as 'KEY=["one","two"]'""")


def test_a_gpu_that_is_not_there(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert run_command("train", "trainer.accelerator=gpu") == 2
    assert_one_line(capsys.readouterr(), "trainer.accelerator is gpu, but torch sees none")


@pytest.mark.parametrize(
    ("command", "arguments", "answer"),
    [
        ("evaluate", ["ckpt=best.ckpt"], "ckpt does not exist; did you mean ckpt_path?"),
        ("evaluate", ["data=default"], "data is not a group of evaluate; possible groups: protocol"),
        (
            "train",
            ["protocol=poster"],
            "protocol is not a group of train; possible groups: data, tokenizer, ",
        ),
        (
            "evaluate",
            ["-m", "protocol=tuned,poster"],
            "evaluate runs one job at a time; -m sweeps are for train",
        ),
        ("evaluate", ["protocol=strict"], "Available options in 'protocol': poster tuned"),
        ("evaluate", ["evaluate.batch_size=0"], "evaluate.batch_size is 0; expected at least 1"),
        ("evaluate", ["evaluate.threads=0"], "evaluate.threads is 0; expected at least 1"),
        ("evaluate", ["baseline.penalty_choice=best"], "expected one of [per_task, overall, poster]"),
        ("evaluate", [], "no run with a checkpoint in runs; run `genome-lm train` first"),
        ("evaluate", ["ckpt_path=none.ckpt"], "checkpoint none.ckpt does not exist"),
        ("prepare", [], "fasta, genome_build, manifest, output must be given; see genome-lm prepare --help"),
        ("prepare", ["window=100"], "window does not exist; did you mean window_bp?"),
        (
            "prepare",
            ["n_policy=drop"],
            "n_policy: Invalid value 'drop', expected one of [core, window, keep]",
        ),
        ("prepare", ["fasta=a", "manifest=b", "output=c", "genome_build=d"], "a"),
        ("train", ["runs_dir=/dev/null/runs"], "cannot use /dev/null"),
    ],
)
def test_mistakes_in_the_other_commands(command, arguments, answer, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(command, *arguments) == 2
    assert_one_line(capsys.readouterr(), answer)
    assert list(tmp_path.iterdir()) == []


def test_a_choice_of_ones_own(tmp_path, monkeypatch, capsys):
    """--config-dir adds files to the groups, and does not get into the way of the messages."""
    (tmp_path / "mine" / "model").mkdir(parents=True)
    own = (config_dir() / "model" / "gru.yaml").read_text().replace("name: gru", "name: own")
    (tmp_path / "mine" / "model" / "own.yaml").write_text(own)
    monkeypatch.chdir(tmp_path)
    arguments = ["--config-dir", str(tmp_path / "mine"), "model=own"]
    assert run_command("train", *arguments, "--cfg", "job") == 0
    assert "name: own" in capsys.readouterr().out
    assert run_command("train", *arguments, "trainer.epochs=3") == 2
    assert_one_line(capsys.readouterr(), "trainer.epochs does not exist")


def assert_one_line(captured, answer: str) -> None:
    lines = [line for line in captured.err.splitlines() if line.strip()]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("genome-lm: error: ")
    assert answer in lines[0]
    assert "Traceback" not in captured.out
