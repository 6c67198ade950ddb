"""Options for GPUs: what they set, that a compiled network trains the same, and fused steps."""

from types import SimpleNamespace

import pytest
import torch
from small_run import TINY, run_command, run_folders
from torch import nn

from genome_lm.checkpoint import read_checkpoint
from genome_lm.choices import OptimizerKind
from genome_lm.commands import acceleration
from genome_lm.commands.acceleration import accelerate
from genome_lm.config import Accelerator, MatmulPrecision, TrainerConfig
from genome_lm.encoders import cudnn
from genome_lm.encoders.cudnn import run_recurrence
from genome_lm.encoders.scan import gated_scan
from genome_lm.errors import UserError
from genome_lm.optimizer import OptimizerSettings, clip_gradients

# torch's own doing while it traces.
quiet = pytest.mark.filterwarnings(
    "ignore:.*should not be instantiated:DeprecationWarning",
    "ignore:The .grad attribute of a Tensor:UserWarning",
)


def settings(**changes) -> TrainerConfig:
    return TrainerConfig(
        **{"accelerator": Accelerator.auto, "matmul_precision": MatmulPrecision.medium, "compile": False}
        | changes
    )


@pytest.fixture
def precision():
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("precision")
def test_products_are_rounded_on_a_gpu_alone(monkeypatch):
    torch.set_float32_matmul_precision("highest")
    accelerate(nn.Linear(1, 1), settings(accelerator=Accelerator.cpu))
    assert torch.get_float32_matmul_precision() == "highest"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    accelerate(nn.Linear(1, 1), settings())
    assert torch.get_float32_matmul_precision() == "medium"


def test_what_compiling_needs(monkeypatch):
    network = nn.Linear(1, 1)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        UserError, match=r"C.. compiler on a CPU, and there is no no-such-compiler; install one"
    ):
        accelerate(network, settings(accelerator=Accelerator.cpu, compile=True))
    monkeypatch.setattr(acceleration.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs Triton on a GPU; pip install triton"):
        acceleration.check_compiler(torch.device("cuda"))
    assert network._compiled_call_impl is None


@quiet
def test_a_compiled_network_trains_the_same(small_file, tmp_path, monkeypatch):
    """Traced as by torch.compile, without the machine code, which takes a minute to make."""
    compiled = []

    def without_code(network: nn.Module) -> None:
        compiled.append(network)
        network._compiled_call_impl = torch.compile(network._call_impl, backend="eager")

    found = []
    monkeypatch.setattr(nn.Module, "compile", without_code)
    monkeypatch.setattr(acceleration, "check_compiler", lambda device: None)
    for switch in ("false", "true"):
        runs = tmp_path / switch
        options = (
            f"trainer.compile={switch}",
            "trainer.max_epochs=1",
            "data.batch_size=669",
            "model=mingru",
            "window_features=none",
        )
        assert run_command("train", *TINY, *options, f"data.path={small_file}", f"runs_dir={runs}") == 0
        (folder,) = run_folders(runs)
        found.append(read_checkpoint(folder / "checkpoints" / "last.ckpt").weights)
    assert len(compiled) == 1
    assert found[0].keys() == found[1].keys()
    for name, weights in found[0].items():
        torch.testing.assert_close(found[1][name], weights, atol=1e-3, rtol=1e-3)


@quiet
def test_the_scan_of_a_gpu_can_be_compiled():
    torch.manual_seed(0)
    gates, candidates = (torch.randn(11, 3, 4, requires_grad=True) for _ in range(2))
    compiled = torch.compile(gated_scan, backend="aot_eager")
    for reverse in (False, True):
        expected = gated_scan(gates, candidates, reverse=reverse, in_blocks=False)
        found = compiled(gates, candidates, reverse=reverse, in_blocks=False)
        torch.testing.assert_close(found, expected)
        for one, other in zip(
            torch.autograd.grad(found.square().sum(), (gates, candidates)),
            torch.autograd.grad(expected.square().sum(), (gates, candidates)),
            strict=True,
        ):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", list(OptimizerKind))
def test_a_fused_step_is_a_plain_one(name):
    """To rounding; under fp16, whose gradients are scaled, the step stays plain."""
    torch.manual_seed(0)
    start = torch.randn(7, 5)
    found = []
    for precision in ("16-mixed", "bf16-mixed", "32-true"):
        weight, bias = nn.Parameter(start.clone()), nn.Parameter(start[0].clone())
        made = OptimizerSettings(name=name, learning_rate=0.01).configured([weight, bias], [], 10, precision)
        optimizer = made["optimizer"]
        assert bool(optimizer.defaults["fused"]) == (precision != "16-mixed")
        for step in range(10):
            optimizer.zero_grad()
            ((weight * bias - step) ** 2).sum().backward()
            optimizer.step()
        found.append(torch.cat([weight.detach().flatten(), bias.detach()]))
    torch.testing.assert_close(found[1], found[0])
    assert torch.equal(found[1], found[2])


@pytest.mark.parametrize(("norm", "expected"), [(1.0, 1.0), (100.0, 13.0), (None, 13.0), (0.0, 13.0)])
def test_clipping_by_the_norm_of_all_gradients(norm, expected):
    module = nn.Linear(2, 1)
    module.weight.grad, module.bias.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([12.0])
    clip_gradients(module, norm)
    total = torch.cat([module.weight.grad.flatten(), module.bias.grad]).norm().item()
    assert total == pytest.approx(expected, rel=1e-4)


def test_recurrences_on_a_gpu_are_kept_from_float16(monkeypatch):
    """A stand-in says that it lies on a GPU; what is handed on is float32 under bf16, and left alone else."""
    seen = []

    def recurrence(tokens):
        seen.append(tokens)
        return tokens, tokens

    tokens = SimpleNamespace(device=torch.device("cuda", 0), float=lambda: "float32")
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: True)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda kind: torch.bfloat16)
    monkeypatch.setattr(torch, "autocast", lambda kind, enabled: torch.no_grad())
    run_recurrence(recurrence, tokens)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda kind: torch.float16)
    run_recurrence(recurrence, tokens)
    monkeypatch.setattr(cudnn, "_autocast_to_bfloat16", lambda: True)
    run_recurrence(recurrence, on_the_host := torch.zeros(1))
    assert seen[:2] == ["float32", tokens]
    assert seen[2] is on_the_host
