"""Checkpoints of a real run: what they hold, and that no bad file gets past the reader."""

import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import yaml
from models import compose_model, description_of

from genome_lm import __version__
from genome_lm.build import network_from, network_with_weights
from genome_lm.checkpoint import KEY, VERSION, read_checkpoint
from genome_lm.commands.evaluate import trained_tasks
from genome_lm.dataset.tasks import choose_tasks
from genome_lm.errors import UserError


@pytest.fixture(scope="module")
def content(checkpoint: Path) -> dict:
    return torch.load(checkpoint, map_location="cpu", weights_only=True)


def changed(content: dict, path: Path, **values: object) -> Path:
    """A copy of the checkpoint with other values in its description, or lacking those that are None."""
    description = {name: value for name, value in (content[KEY] | values).items() if value is not None}
    torch.save(content | {KEY: description}, path)
    return path


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return type(value) in (dict, OrderedDict) and all(plain(k) and plain(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return type(value) in (list, tuple) and all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool, torch.Tensor)


def test_it_holds_plain_values_only(content):
    assert {name for name, value in content.items() if not plain(value)} == set()


def test_it_describes_itself(content, run, small, checkpoint):
    saved = read_checkpoint(checkpoint)
    description = saved.description
    tasks = choose_tasks(small, 0.01)
    table = small.tasks.subset(tasks)
    assert (description.version, description.genome_lm_version) == (VERSION, __version__)
    assert description.tasks == {
        name: list(getattr(table, name)) for name in ("id", "cell", "target", "treatment", "group")
    }
    assert description.positive_rate == small.positive_rate()[tasks].tolist()
    assert description.dataset == {
        "path": str(small.path),
        "checksum": small.checksum,
        "genome_build": "hg19",
        "regions": {"valid": ["chr20:500,000-900,000"], "test": ["chr20:0-500,000"]},
        "window_bp": 1000,
        "bin_bp": 200,
        "train_fraction": 1.0,
    }
    assert (description.context_bp, description.model_name) == (60, "bigru")
    assert description.config == yaml.safe_load((run / "config.yaml").read_text())
    assert description.task_set == "19 of 21 tasks with >= 1% positives in train"
    assert saved.epochs in (1, 2)
    assert read_checkpoint(run / "checkpoints" / "last.ckpt").epochs == 2


def test_the_network_is_built_from_it_alone(content, checkpoint):
    saved = read_checkpoint(checkpoint)
    network = network_with_weights(saved, ["genome_lm"])
    for name, value in network.state_dict().items():
        assert torch.equal(value, content["state_dict"][f"network.{name}"])
    assert len(saved.weights) == len(network.state_dict())


@pytest.mark.parametrize("kept", [0, 10, 1000, -100])
def test_a_truncated_file(checkpoint, tmp_path, kept):
    path = tmp_path / "cut.ckpt"
    path.write_bytes(checkpoint.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"checkpoint .*cut\.ckpt (cannot be read|is refused).*damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"no checkpoint\n", b"\x80\x02.", b"PK\x03\x04", bytes(1000)])
def test_a_foreign_file(tmp_path, content):
    path = tmp_path / "foreign.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"foreign\.ckpt (cannot be read|is refused)"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}, {KEY: 3}])
def test_somebody_elses_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match=r"other\.ckpt is not a checkpoint of genome_lm"):
        read_checkpoint(tmp_path / "other.ckpt")


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.ckpt", tmp_path):
        with pytest.raises(UserError, match=f"checkpoint {path} does not exist"):
            read_checkpoint(path)


class Trap:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "the code ran")


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_checkpoint_is_not_run(content, tmp_path, save):
    proof, path = tmp_path / "proof", tmp_path / "trap.ckpt"
    save(content | {"extra": Trap(proof)}, path)
    with pytest.raises(
        UserError, match=r"trap\.ckpt is refused: it is damaged or holds objects that could run"
    ):
        read_checkpoint(path)
    assert not proof.exists()
    if save is torch.save:
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())
    assert proof.exists()  # the trap is a real one


def test_a_newer_version(content, tmp_path):
    path = changed(content, tmp_path / "new.ckpt", version=VERSION + 1)
    with pytest.raises(
        UserError, match=rf"layout version {VERSION + 1}; this genome_lm reads up to {VERSION}"
    ):
        read_checkpoint(path)


def test_an_older_one_has_no_stem_and_reads_one_strand(tmp_path):
    """Version 1, of the time before stems, shared strands and window features."""
    description = description_of(compose_model("bigru", "window_features=none"), context_bp=60)
    network = network_from(description, ["genome_lm"]).eval()
    later = {"stem", "strand_encoding", "window_features"}
    saved = {name: value for name, value in description.as_dict().items() if name not in later}
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    path = tmp_path / "old.ckpt"
    torch.save({"epoch": 0, "state_dict": weights, KEY: saved | {"version": 1}}, path)
    old = read_checkpoint(path)
    assert old.description.stem == {"_target_": "genome_lm.stems.NoStem"}
    assert old.description.strand_encoding == "single"
    codes = torch.randint(0, 5, (3, 60), dtype=torch.uint8)
    assert torch.equal(network_with_weights(old, ["genome_lm"]).eval()(codes), network(codes))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"tokenizer": None}, "tokenizer"),
        ({"context_bp": "60"}, "context_bp"),
        ({"version": None, "head": None}, "version, head"),
        ({"positive_rate": [0.5]}, "tasks"),
        ({"tasks": {"id": []}}, "tasks"),
        ({"head": {"pooling": ["max"]}}, "head"),
        ({"stem": None}, "stem"),  # of the present version
        ({"stem": "none"}, "stem"),
        ({"strand_encoding": "both"}, "strand_encoding"),
    ],
)
def test_a_description_with_holes(content, tmp_path, values, named):
    path = changed(content, tmp_path / "holes.ckpt", **values)
    with pytest.raises(UserError, match=f"is damaged: its description lacks a valid {named};"):
        read_checkpoint(path)


def test_no_weights_or_no_epoch(content, tmp_path):
    path = tmp_path / "no.ckpt"
    torch.save(content | {"state_dict": None}, path)
    with pytest.raises(UserError, match="it holds no weights"):
        read_checkpoint(path)
    torch.save({name: value for name, value in content.items() if name != "epoch"}, path)
    with pytest.raises(UserError, match="it names no epoch"):
        read_checkpoint(path)


def test_weights_that_do_not_fit(content, tmp_path):
    encoder = content[KEY]["encoder"] | {"hidden_size": 5}
    saved = read_checkpoint(changed(content, tmp_path / "odd.ckpt", encoder=encoder))
    with pytest.raises(UserError, match=r"odd\.ckpt is damaged: its weights do not fit"):
        network_with_weights(saved, ["genome_lm"])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("os.system", "expected a class of the packages genome_lm"),
        ("subprocess.Popen", "expected a class of the packages genome_lm"),
        ("genome_lm.encoders.base.Encoder", "expected a concrete subclass of Encoder"),
        ("genome_lm.heads.Pooling", "expected a concrete subclass of Encoder"),
        ("genome_lm.encoders.recurrent.Missing", "there is no such class"),
        ("genome_lm.missing.Encoder", "there is no such class"),
        ("", "expected the dotted name of a class"),
        (None, "expected the dotted name of a class"),
    ],
)
def test_only_encoders_of_allowed_packages_are_constructed(content, tmp_path, target, message):
    encoder = content[KEY]["encoder"] | {"_target_": target}
    saved = read_checkpoint(changed(content, tmp_path / "target.ckpt", encoder=encoder))
    with pytest.raises(UserError, match=rf"model\.encoder\._target_ is .*{message}"):
        network_with_weights(saved, ["genome_lm"])


def test_other_tasks_and_another_order(content, tmp_path, small):
    tasks = content[KEY]["tasks"]
    renamed = tasks | {"id": ["CTCF in a cell not here", *tasks["id"][1:]]}
    path = changed(content, tmp_path / "tasks.ckpt", tasks=renamed)
    with pytest.raises(UserError, match="trained on other tasks: 1 of its 19 tasks, such as CTCF in a cell"):
        trained_tasks(read_checkpoint(path).description, small, path)
    path = changed(content, tmp_path / "order.ckpt", tasks=tasks | {"id": tasks["id"][::-1]})
    with pytest.raises(UserError, match="has its tasks in another order"):
        trained_tasks(read_checkpoint(path).description, small, path)
