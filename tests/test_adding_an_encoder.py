"""docs/adding_an_encoder.md does what it says: its files are written, checked and trained."""

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import model_checks
import pytest
import torch
import yaml
from models import compose_model, description_of
from small_run import run_command, run_folders

import genome_lm.encoders
from genome_lm.build import network_with_weights
from genome_lm.checkpoint import read_checkpoint
from genome_lm.encoders.base import Encoder
from genome_lm.errors import UserError
from genome_lm.parts import class_from

PAGE = (Path(__file__).parent.parent / "docs" / "adding_an_encoder.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))
(COMMAND,) = re.findall(r"```sh\n(.*?)\n```", PAGE)
PACKAGES = ["genome_lm", "my_encoders"]
FEW_STEPS = (
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=3",
    "trainer.limit_val_batches=1",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "data.batch_size=64",
    "data.context_bp=100",
)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The folder of a user who has followed the page."""
    assert set(FILES) == {"my_encoders/indrnn.py", "mine/model/indrnn.yaml"}
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_encoders"]:
        del sys.modules[name]
    sys.modules.pop("genome_lm.encoders.indrnn", None)


@pytest.fixture
def description(here):
    config = yaml.safe_load((here / "mine" / "model" / "indrnn.yaml").read_text())
    described = description_of(compose_model("bigru", "tokenizer=kmer", "window_features=none"))
    return replace(described, encoder=config["encoder"], model_name=config["name"])


@pytest.mark.parametrize("check", model_checks.CHECKS, ids=lambda check: check.__name__)
def test_the_encoder_of_the_page_keeps_the_contract(description, check):
    check(description, PACKAGES)


def test_its_checkpoint_and_its_states(description, tmp_path):
    model_checks.checkpoint(description, PACKAGES, tmp_path)
    encoder = class_from("", Encoder, description.encoder, PACKAGES)(2, 3, 2)
    tokens = torch.randn(1, 6, 2, requires_grad=True)
    encoder.causal_states(tokens).forward[0, 2].sum().backward()
    assert not tokens.grad[0, 3:].any()
    tokens = torch.rand(1, 2, 2)
    with torch.no_grad():  # two steps of the first layer, by hand
        one = class_from("", Encoder, description.encoder, PACKAGES)(2, 3, 1)
        first = torch.relu(one.inputs[0](tokens[0, 0]))
        second = torch.relu(one.inputs[0](tokens[0, 1]) + one.memory[0] * first)
        torch.testing.assert_close(one(tokens)[0][0], torch.stack([first, second]))
        torch.testing.assert_close(one(tokens)[1][0], second)
    with pytest.raises(UserError, match="hidden_size 0 and num_layers 2; expected at least 1"):
        model_checks.fresh(replace(description, encoder=description.encoder | {"hidden_size": 0}), PACKAGES)


def test_the_command_of_the_page_trains_it(here, small_file, capsys):
    path, program, command, *arguments = shlex.split(COMMAND)
    assert (path, program, command) == ("PYTHONPATH=.", "genome-lm", "train")
    assert run_command(command, *arguments, *FEW_STEPS, f"data.path={small_file}") == 0
    (folder,) = run_folders(here / "runs")
    saved = read_checkpoint(folder / "checkpoints" / "best.ckpt")
    assert saved.description.encoder["_target_"] == "my_encoders.indrnn.IndRNNEncoder"
    assert saved.description.tokenizer["stride"] == 6  # tokenizer=kmer, as its file asks for
    assert saved.description.config["optimizer"]["weight_decay"] == 0.01
    network = network_with_weights(saved, PACKAGES).eval()
    assert network(torch.zeros(2, 100, dtype=torch.uint8)).isfinite().all()
    with pytest.raises(UserError, match=r"my_encoders\.indrnn.*extend allowed_packages if you trust it"):
        network_with_weights(saved, ["genome_lm"])
    capsys.readouterr()
    assert run_command(command, *arguments[:-1], *FEW_STEPS, f"data.path={small_file}") == 2
    assert "expected a class of the packages genome_lm (extend allowed_packages" in capsys.readouterr().err


def test_inside_the_package_only_the_target_is_another(here, small_file, monkeypatch):
    """As if the file lay in genome_lm/encoders: the folder is added to where that package is looked for."""
    assert "`_target_: genome_lm.encoders.indrnn.IndRNNEncoder`" in PAGE
    monkeypatch.setattr(
        genome_lm.encoders, "__path__", [*genome_lm.encoders.__path__, str(here / "my_encoders")]
    )
    path = here / "mine" / "model" / "indrnn.yaml"
    path.write_text(path.read_text().replace("my_encoders.indrnn.", "genome_lm.encoders.indrnn."))
    arguments = ("--config-dir", "mine", "model=indrnn", f"data.path={small_file}")
    assert run_command("train", *arguments, *FEW_STEPS) == 0
