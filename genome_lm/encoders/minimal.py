"""minGRU and minLSTM: recurrences whose gates read no state, so that all steps are computed at once."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from genome_lm.encoders.base import CausalStates, Encoder
from genome_lm.encoders.checks import check_dropouts, check_sizes
from genome_lm.encoders.scan import gated_scan
from genome_lm.errors import UserError

MinimalCell = Literal["mingru", "minlstm"]
LayerNormKind = Literal["layer", "rms", "none"]

# MKL takes fifteen times as long for the weight gradient of 8 input features as for that of 16.
_LEAST_FEATURES = 16


class MinimalEncoder(Encoder):
    """Stacked minimal recurrences (Feng et al. 2024, "Were RNNs All We Needed?", arXiv 2410.01201).

    With x the input of a layer, and every product a linear layer with bias:

        minGRU:   z = sigmoid(U x),                      h_t = (1 - z_t) h_(t-1) + z_t (C x_t)
        minLSTM:  f = sigmoid(F x), i = sigmoid(I x),    h_t = (f_t h_(t-1) + i_t (C x_t)) / (f_t + i_t)

    This is the paper's plain form with a linear candidate C x (its section 3 and appendix A). The positive
    candidate g(C x) of its appendix B serves a scan in logarithms, which is not needed here. Of its blocks we
    keep, as options, the residual connection around each recurrence and the norm before it; there is no MLP.
    Its language models put a depthwise convolution over 4 tokens before every recurrence; here the first
    layer's gates and candidates read the last `kernel_size` tokens by a full convolution instead, since a
    single base says little, and the gates of the higher layers read states, which hold the past already.

    The first layer reads the tokens themselves, without norm and residual. Every direction of a layer reads
    both directions of the layer below, as in torch's bidirectional GRU.

    Args:
        input_width: features per token.
        cell: the recurrence.
        hidden_size: state features of each direction.
        num_layers: stacked layers.
        bidirectional: whether a second direction reads from the end.
        kernel_size: tokens that the first layer reads at each step: that token and those read before it.
        memory: longest memory at the start, in tokens. The biases of the gates begin such that a feature
            forgets with a time constant of 2 to `memory` tokens, evenly spread on a log scale (after Tallec
            and Ollivier 2018, arXiv 1804.11188); 2 starts all weights near 1/2.
        residual: whether each layer but the first adds its states to those below.
        norm: of the states that a layer reads: `layer`, `rms` or `none`.
        dropout: probability of dropping a feature of the states between layers.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(
        self,
        input_width: int,
        cell: MinimalCell = "mingru",
        hidden_size: int = 64,
        num_layers: int = 2,
        bidirectional: bool = False,
        kernel_size: int = 4,
        memory: int = 32,
        residual: bool = True,
        norm: LayerNormKind = "layer",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes({"hidden_size": hidden_size, "num_layers": num_layers, "kernel_size": kernel_size})
        check_dropouts({"dropout": dropout})
        if memory < 2:
            raise UserError(f"model.encoder.memory is {memory}; expected at least 2 tokens")
        if cell not in ("mingru", "minlstm"):
            raise UserError(f"model.encoder.cell is {cell!r}; expected mingru or minlstm")
        if norm not in ("layer", "rms", "none"):
            raise UserError(f"model.encoder.norm is {norm!r}; expected layer, rms or none")
        self.hidden_size = hidden_size
        self.bidirectional = bidirectional
        self.kernel_size = kernel_size
        self.residual = residual
        self.width = hidden_size * (2 if bidirectional else 1)
        widths = [input_width * kernel_size] + [self.width] * (num_layers - 1)
        self.forward_layers = nn.ModuleList(_Recurrence(width, cell, hidden_size, memory) for width in widths)
        self.backward_layers = nn.ModuleList(
            _Recurrence(width, cell, hidden_size, memory) for width in (widths if bidirectional else [])
        )
        self.norms = nn.ModuleList(_norm(norm, self.width) for _ in widths[1:])
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        # Time first: a step of the whole batch is then one piece of memory.
        tokens = tokens.transpose(0, 1)
        states = self._layer(0, self._windows(tokens, reverse=False), self._windows(tokens, reverse=True))
        for number, norm in enumerate(self.norms, start=1):
            read = self.dropout(norm(states))
            new = self._layer(number, read, read)
            states = states + new if self.residual else new
        final = states[-1]
        if self.bidirectional:
            final = torch.cat([final[:, : self.hidden_size], states[0, :, self.hidden_size :]], dim=1)
        return states.transpose(0, 1), final

    def causal_states(self, tokens: Tensor) -> CausalStates:
        if not self.bidirectional:
            return CausalStates(self(tokens)[0])
        if len(self.forward_layers) > 1:
            raise UserError(
                f"a model of two directions and num_layers {len(self.forward_layers)} cannot be trained as a "
                "language model: its second layer would see the base to be predicted; set "
                "model.encoder.num_layers=1 or model.encoder.bidirectional=false"
            )
        states, _ = self(tokens)
        return CausalStates(states[..., : self.hidden_size], states[..., self.hidden_size :])

    def _layer(self, number: int, ahead: Tensor, back: Tensor) -> Tensor:
        """States of both directions, float [length, batch, width], from what each of them reads."""
        states: Tensor = self.forward_layers[number](ahead, reverse=False)
        if not self.bidirectional:
            return states
        return torch.cat([states, self.backward_layers[number](back, reverse=True)], dim=2)

    def _windows(self, tokens: Tensor, reverse: bool) -> Tensor:
        """Each token with the `kernel_size` - 1 tokens read before it, [length, batch, features]."""
        reach = self.kernel_size - 1
        if reach == 0 or (reverse and not self.bidirectional):
            return tokens
        padded = nn.functional.pad(tokens, (0, 0, 0, 0) + ((0, reach) if reverse else (reach, 0)))
        return torch.cat([padded[at : at + len(tokens)] for at in range(self.kernel_size)], dim=2)


def _norm(kind: LayerNormKind, width: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    return nn.LayerNorm(width) if kind == "layer" else nn.RMSNorm(width)


class _Recurrence(nn.Module):
    """One layer in one direction: [length, batch, input_width] to states [length, batch, hidden_size]."""

    def __init__(self, input_width: int, cell: MinimalCell, hidden_size: int, memory: int) -> None:
        super().__init__()
        self.candidate = nn.Linear(input_width, hidden_size)
        self.input_gate = nn.Linear(input_width, hidden_size)
        self.forget_gate = nn.Linear(input_width, hidden_size) if cell == "minlstm" else None
        # A weight of 1/m on the new content is a memory of m steps: sigmoid(-log(m - 1)) = 1/m.
        logit = -(torch.logspace(math.log10(2), math.log10(memory), hidden_size) - 1).log()
        with torch.no_grad():
            self.input_gate.bias.copy_(logit)
            if self.forget_gate is not None:  # f + i = 1 then, and i / (f + i) is as above
                self.forget_gate.bias.copy_(-logit)

    def forward(self, read: Tensor, reverse: bool) -> Tensor:
        if read.device.type == "cpu":
            read = nn.functional.pad(read, (0, max(0, _LEAST_FEATURES - read.shape[-1])))
        gates = _linear(self.input_gate, read)
        if self.forget_gate is not None:
            # i / (f + i) = sigmoid(log i - log f), which is right even where both gates are 0 in float32.
            wide = torch.promote_types(gates.dtype, torch.float32)
            forget = _linear(self.forget_gate, read).to(wide)
            gates = nn.functional.logsigmoid(gates.to(wide)) - nn.functional.logsigmoid(forget)
        return gated_scan(gates, _linear(self.candidate, read), reverse=reverse)


def _linear(layer: nn.Linear, read: Tensor) -> Tensor:
    """The layer applied to features that may have been padded with zeros."""
    weight = nn.functional.pad(layer.weight, (0, read.shape[-1] - layer.in_features))
    return nn.functional.linear(read, weight, layer.bias)
