"""Which device a command computes on."""

import torch

from genome_lm.config import Accelerator
from genome_lm.errors import UserError


def device_from(accelerator: Accelerator, section: str) -> torch.device:
    """The device chosen by `accelerator` of a section of the configuration, such as "trainer".

    Raises:
        UserError: a GPU is asked for and torch sees none.
    """
    if accelerator is Accelerator.cpu or (accelerator is Accelerator.auto and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(
            f"{section}.accelerator is {accelerator}, but torch sees none; "
            f"use {section}.accelerator=auto or cpu"
        )
    return torch.device("cuda")
