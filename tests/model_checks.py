"""What every model must do, whatever its architecture; each check takes the description of one."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genome_lm.build import network_from, network_with_weights
from genome_lm.checkpoint import Description, read_checkpoint
from genome_lm.dna import N_CODE, encode
from genome_lm.encoders.base import Encoder, FixedLengthEncoder
from genome_lm.errors import UserError
from genome_lm.module import MultitaskModule, OptimizerSettings
from genome_lm.network import Network, reverse_complement
from genome_lm.parts import class_from

SMALL = 32
MOTIF = torch.from_numpy(encode("TGACTCA"))  # of AP-1
LONGEST_BP = 1000


def small(description: Description, packages: Sequence[str]) -> Description:
    """The same model, small enough to be trained in a moment.

    Every whole number above 32 among the tokenizer's arguments is lowered to 32, the width of the words; and
    so it is, also in lists, for an encoder of a fixed length, whose dense layer makes it tens of millions of
    weights: channels and units, as no kernel or pool is as long. The other encoders stay as they are. Window
    features are left out: they pass the encoder by, and a motif could be learned from them alone.
    """
    described = replace(
        description,
        tokenizer=_lowered(description.tokenizer),
        window_features={"_target_": "genome_lm.window_features.NoFeatures"},
    )
    found = class_from("model.encoder", Encoder, description.encoder, packages)
    if issubclass(found, FixedLengthEncoder):
        return replace(described, encoder=_lowered(description.encoder))
    return described


def _lowered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lowered(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_lowered(item) for item in value]
    return min(value, SMALL) if isinstance(value, int) and not isinstance(value, bool) else value


def fresh(description: Description, packages: Sequence[str]) -> Network:
    torch.manual_seed(0)
    return network_from(description, packages)


def sequences(n: int, length_bp: int, seed: int = 0, letters: int = 5) -> Tensor:
    """Random base codes, uint8 [n, length_bp], with Ns if `letters` is 5."""
    return torch.randint(
        0, letters, (n, length_bp), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def shapes(description: Description, packages: Sequence[str]) -> None:
    """States, final state and logits have the shapes that the interfaces promise; any number of tasks."""
    for described, n_tasks in ((one_task(description), 1), (description, len(description.positive_rate))):
        network = fresh(described, packages).eval()
        codes = sequences(3, description.context_bp)
        with torch.no_grad():
            tokens = network.tokenizer(codes)
            stemmed = network.stem(tokens)
            states, final = network.encoder(stemmed)
            logits = network(codes)
        assert tokens.shape[::2] == (3, network.tokenizer.width)
        assert stemmed.shape == (3, network.tokens(description.context_bp), network.stem.width)
        assert states.shape[::2] == (3, network.encoder.width)
        assert 1 <= states.shape[1] <= stemmed.shape[1]
        assert final.shape == (3, network.encoder.width)
        assert (logits.shape, logits.dtype) == ((3, n_tasks), torch.float32)
        assert logits.isfinite().all()


def independence(description: Description, packages: Sequence[str]) -> None:
    """In evaluation a window's logits are its own: whatever it shares a batch with, and how many."""
    network = fresh(description, packages).eval()
    codes = sequences(6, description.context_bp)
    with torch.no_grad():
        together = network(codes)
        alone = torch.cat([network(window[None]) for window in codes])
        others = network(torch.cat([sequences(3, description.context_bp, seed=1), codes[3:]]))[3:]
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)
    torch.testing.assert_close(others, together[3:], rtol=0, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-5  # windows are told apart at all


def gradients(description: Description, packages: Sequence[str]) -> None:
    """Every weight takes part in the loss."""
    network = fresh(description, packages)
    (network(sequences(16, description.context_bp)) * torch.randn(16, 1)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{name} takes no part"
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, f"the gradient of {name} is zero"


def planted(n: int, length_bp: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random windows, half of them with a motif in every 10 bp: codes [n, length_bp], labels [n, 1]."""
    random = np.random.default_rng(seed)
    codes = torch.from_numpy(random.integers(0, 4, (n, length_bp), dtype=np.uint8))
    labels = torch.arange(n) % 2
    for window in codes[1::2]:
        for first in range(0, length_bp - 9, 10):
            place = first + random.integers(0, 10 - len(MOTIF) + 1)
            window[place : place + len(MOTIF)] = MOTIF
    return codes, labels[:, None].float()


def learns_a_motif(description: Description, packages: Sequence[str], steps: int = 120) -> None:
    """From fresh windows every step, so that none is learned by heart; a constant's loss is ln 2 = 0.693."""
    shortest = shortest_bp(description, packages)
    length_bp = -(-shortest // 10) * 10
    network = fresh(one_task(replace(description, context_bp=length_bp)), packages)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    mean = math.log(2)
    for step in range(steps):
        codes, labels = planted(32, length_bp, seed=step)
        loss = nn.functional.binary_cross_entropy_with_logits(network(codes), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        mean = 0.8 * mean + 0.2 * loss.item()
        if mean < 0.3 and step > 50:  # running statistics take some steps, too
            break
    codes, labels = planted(256, length_bp, seed=steps)
    with torch.no_grad():
        loss = nn.functional.binary_cross_entropy_with_logits(network.eval()(codes), labels)
    assert loss.item() < 0.5


def checkpoint(description: Description, packages: Sequence[str], folder: Path) -> None:
    """What a trainer writes is read again without running code, to the same logits bit by bit."""
    module = MultitaskModule(
        fresh(description, packages),
        torch.tensor(description.positive_rate),
        OptimizerSettings(),
        average_strands=False,
        description=description.as_dict(),
    )
    codes = sequences(8, description.context_bp)
    module.network(codes)  # running statistics that are not those of the start
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.strategy.connect(module)
    trainer.save_checkpoint(folder / "model.ckpt", weights_only=True)
    saved = read_checkpoint(folder / "model.ckpt")
    assert saved.description == description
    read = network_with_weights(saved, packages).eval()
    with torch.no_grad():
        assert torch.equal(read(codes), module.network.eval()(codes))


def mixed_precision(description: Description, packages: Sequence[str]) -> None:
    """Under bfloat16 autocast logits and gradients are finite, and the logits are near those in float32."""
    network = fresh(description, packages)
    codes = sequences(4, description.context_bp)
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(codes).float().square().mean()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    network.eval()
    with torch.no_grad():
        exact = network(codes)
        with torch.autocast("cpu", torch.bfloat16):
            near = network(codes)
    torch.testing.assert_close(near.float(), exact, rtol=0, atol=0.1)


def unknown_bases(description: Description, packages: Sequence[str]) -> None:
    """Windows of Ns alone, beside others or not, have finite logits and gradients in training and after."""
    network = fresh(description, packages)
    codes = sequences(4, description.context_bp)
    codes[:2] = N_CODE
    for batch in (codes, codes[:2]):
        for training in (True, False):
            network.train(training).zero_grad()
            logits = network(batch)
            logits.square().sum().backward()
            assert logits.isfinite().all()
            assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def both_strands(description: Description, packages: Sequence[str]) -> None:
    """With shared strands a window and its reverse complement have the same logits."""
    network = fresh(replace(description, strand_encoding="shared"), packages).eval()
    codes = sequences(4, description.context_bp)
    with torch.no_grad():
        torch.testing.assert_close(network(codes), network(reverse_complement(codes)), rtol=0, atol=1e-5)


def lengths(description: Description, packages: Sequence[str]) -> None:
    """The shortest and the longest windows are read; what is too short is one line that says what to do."""
    shortest = shortest_bp(description, packages)
    for length_bp in (shortest, LONGEST_BP):
        network = fresh(replace(description, context_bp=length_bp), packages)
        for training in (True, False):
            assert network.train(training)(sequences(2, length_bp)).isfinite().all()
    with pytest.raises(UserError, match=r"data\.context_bp") as error:
        fresh(replace(description, context_bp=shortest - 1), packages)
    assert len(str(error.value).splitlines()) == 1


def shortest_bp(description: Description, packages: Sequence[str]) -> int:
    """The shortest window that the model is built for, bp, by bisection; it must accept 1,000 bp."""
    refused, accepted = 0, LONGEST_BP
    fresh(replace(description, context_bp=LONGEST_BP), packages)
    while accepted - refused > 1:
        middle = (refused + accepted) // 2
        try:
            fresh(replace(description, context_bp=middle), packages)
        except UserError:
            refused = middle
        else:
            accepted = middle
    return accepted


def one_task(description: Description) -> Description:
    """The same network with one output."""
    columns = {name: values[:1] for name, values in description.tasks.items()}
    return replace(description, tasks=columns, positive_rate=[0.5])


CHECKS = [
    shapes,
    independence,
    gradients,
    mixed_precision,
    unknown_bases,
    both_strands,
    lengths,
    learns_a_motif,
]
"""All but `checkpoint`, which needs a folder."""
