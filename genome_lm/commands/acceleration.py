"""What a GPU is told about products, and compilation of the network."""

import importlib.util
import os
import shutil

import torch
from torch import nn

from genome_lm.commands.device import device_from
from genome_lm.config import TrainerConfig
from genome_lm.errors import UserError


def accelerate(network: nn.Module, settings: TrainerConfig) -> None:
    """Set the precision of a GPU's products of float32, and compile the network if asked to.

    A CPU keeps torch's full float32: it has little to gain, and results there are compared bit for bit.

    Args:
        network: any; its parameters and their names stay as they are.
        settings: of the configuration.

    Raises:
        UserError: what compiling needs is not installed.
    """
    device = device_from(settings.accelerator, "trainer")
    if device.type == "cuda":
        torch.set_float32_matmul_precision(settings.matmul_precision.value)
    if settings.compile:
        check_compiler(device)
        network.compile()


def check_compiler(device: torch.device) -> None:
    """Raises UserError where torch.compile lacks what it makes code with for the device."""
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            raise UserError(
                "trainer.compile is true, which needs Triton on a GPU; pip install triton, "
                "or use trainer.compile=false"
            )
        return
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"trainer.compile is true, which needs a C++ compiler on a CPU, and there is no {compiler}; "
            "install one, name yours in CXX, or use trainer.compile=false"
        )
