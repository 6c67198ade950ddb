"""Every model of conf/model, found by its file, passes the checks of tests/model_checks.py."""

from dataclasses import replace

import model_checks
import pytest
import torch
from models import MODELS, compose_model, description_of
from torch import Tensor, nn

from genome_lm.checkpoint import Description
from genome_lm.encoders.base import Encoder


@pytest.fixture(params=MODELS, scope="module")
def description(request) -> Description:
    described = description_of(compose_model(request.param))
    return model_checks.small(described, ["genome_lm"])


@pytest.mark.parametrize("check", model_checks.CHECKS, ids=lambda check: check.__name__)
def test_model(description, check):
    check(description, ["genome_lm"])


def test_checkpoint(description, tmp_path):
    model_checks.checkpoint(description, ["genome_lm"], tmp_path)


class Sound(Encoder):
    """A convolution, as short an encoder as keeps the contract; the others below each break it somewhere."""

    def __init__(self, input_width: int) -> None:
        super().__init__()
        self.width = 16
        self.layer = nn.Conv1d(input_width, 16, 7, padding=3)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        states = torch.relu(self.layer(tokens.transpose(1, 2)).transpose(1, 2))
        return states, states.amax(dim=1)


class SeesTheBatch(Sound):
    def forward(self, tokens):
        states, final = super().forward(tokens)
        return states - states.mean(dim=0), final


class HasAnIdleWeight(Sound):
    def __init__(self, input_width: int) -> None:
        super().__init__(input_width)
        self.idle = nn.Linear(2, 2)


class DividesByZero(Sound):
    def forward(self, tokens):
        return super().forward(tokens / tokens.square().sum(dim=2, keepdim=True))


class TooNarrow(Sound):
    def __init__(self, input_width: int) -> None:
        super().__init__(input_width)
        self.width = 17


class HidesItsLength(Sound):
    def __init__(self, input_width: int) -> None:
        super().__init__(input_width)
        self.layer = nn.Conv1d(input_width, 16, 7)


class SeesOneBase(Sound):
    def forward(self, tokens):
        return super().forward(tokens[:, :1])


class KeepsAState(Sound):
    def forward(self, tokens):
        states, final = super().forward(tokens)
        self.calls = getattr(self, "calls", 0) + 1
        return states * self.calls, final


BROKEN = {
    SeesTheBatch: model_checks.independence,
    HasAnIdleWeight: model_checks.gradients,
    DividesByZero: model_checks.unknown_bases,
    TooNarrow: model_checks.shapes,
    HidesItsLength: model_checks.lengths,
    SeesOneBase: model_checks.learns_a_motif,
}


def described(encoder: type[Encoder]) -> Description:
    config = compose_model("bigru", "tokenizer=onehot", "window_features=none")
    description = description_of(config, context_bp=40)
    return replace(description, encoder={"_target_": f"{__name__}.{encoder.__name__}"})


@pytest.mark.parametrize("encoder", BROKEN, ids=lambda encoder: encoder.__name__)
def test_what_breaks_the_contract_is_caught(encoder):
    check, packages = BROKEN[encoder], ["genome_lm", __name__]
    check(described(Sound), packages)
    with pytest.raises((AssertionError, RuntimeError)):
        check(described(encoder), packages)


def test_what_a_checkpoint_does_not_hold_is_caught(tmp_path):
    packages = ["genome_lm", __name__]
    model_checks.checkpoint(described(Sound), packages, tmp_path)
    with pytest.raises(AssertionError):
        model_checks.checkpoint(described(KeepsAState), packages, tmp_path)
