"""Pooling of the states over the sequence, and the multitask head that all encoders share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genome_lm.batch_norm import BatchNorm
from genome_lm.choices import HeadKind, NormKind, PoolingKind
from genome_lm.errors import UserError


class Pooling(nn.Module):
    """One vector a sequence, by one or several poolings whose results are concatenated.

    `last` is the encoder's final state (for a backward direction the state at position 0), `mean` and `max`
    run over the tokens, `centre_mean` and `centre_max` over those in the middle alone, and `attention` is the
    weighted mean with weights softmax(v . tanh(W s_t)), the additive attention of Bahdanau et al. (2015) with
    a learned query. Broad signals, such as histone marks, are told by a longer stretch than a protein's
    binding site: poolings of the middle and of the whole leave each task the choice.

    Args:
        kinds: the poolings, in the order of concatenation.
        width: features of a state.
        centre: the share of the states, more than 0 and at most 1, that the poolings of the middle take; at
            least one state, and as many are left out on either side, so that both strands have the same.

    Raises:
        UserError: no pooling, an unknown one, or one given twice; or a share out of range.
    """

    def __init__(self, kinds: Sequence[PoolingKind], width: int, centre: float = 1.0) -> None:
        super().__init__()
        if not kinds or len(set(kinds)) != len(kinds) or any(kind not in set(PoolingKind) for kind in kinds):
            raise UserError(
                f"head.pooling is {[str(kind) for kind in kinds]}; expected one or more, each once, "
                f"of {', '.join(PoolingKind)}"
            )
        if not 0 < centre <= 1:
            raise UserError(f"head.centre is {centre}; expected a share of the states, 0 < centre <= 1")
        self.kinds = tuple(PoolingKind(kind) for kind in kinds)
        self.centre = centre
        self.width = width * len(self.kinds)
        self.score: nn.Module | None = None
        if PoolingKind.attention in self.kinds:
            self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False))

    def forward(self, states: Tensor, final: Tensor) -> Tensor:
        """Pool states, float [batch, length, width], and final state [batch, width]: [batch, self.width]."""
        pooled = []
        for kind in self.kinds:
            if kind is PoolingKind.last:
                pooled.append(final)
            elif kind is PoolingKind.mean:
                pooled.append(states.mean(dim=1))
            elif kind is PoolingKind.max:
                pooled.append(states.amax(dim=1))
            elif kind is PoolingKind.centre_mean:
                pooled.append(self._middle(states).mean(dim=1))
            elif kind is PoolingKind.centre_max:
                pooled.append(self._middle(states).amax(dim=1))
            else:
                assert self.score is not None
                weights = torch.softmax(self.score(states), dim=1)
                pooled.append((weights * states).sum(dim=1))
        return torch.cat(pooled, dim=-1)

    def _middle(self, states: Tensor) -> Tensor:
        length = states.shape[1]
        left_out = min(int(length * (1 - self.centre) / 2 + 0.5), (length - 1) // 2)
        return states[:, left_out : length - left_out]


class MultitaskHead(nn.Module):
    """A linear layer to one logit a task, shared in form by all encoders.

    With `two_way_softmax` every task has two outputs, as in the report (Zhang and Kamath 2016); their
    difference is the logit, since softmax([a, b])[1] = sigmoid(b - a), and the cross-entropy is the same.

    Args:
        width: features of the pooled vector.
        positive_rate: float [n_tasks], the training rate of positives, at which the bias starts, so that an
            untrained head predicts close to the prior. Rates are kept within [1e-7, 1 - 1e-7].
        kind: one logit or two a task.
        norm: `batch` standardises each pooled feature over the batch (Ioffe and Szegedy 2015) before dropout.
            What tells windows apart is small beside what they share, in means over many words above all;
            standardised, the head learns from it at once, as a regression on standardised counts does.
        dropout: probability of dropping a feature of the pooled vector.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(
        self,
        width: int,
        positive_rate: Tensor,
        kind: HeadKind = HeadKind.one_logit,
        dropout: float = 0.0,
        norm: NormKind = NormKind.none,
    ) -> None:
        super().__init__()
        if kind not in set(HeadKind):
            raise UserError(f"head.kind is {kind!r}; expected {' or '.join(HeadKind)}")
        if norm not in set(NormKind):
            raise UserError(f"head.norm is {norm!r}; expected {' or '.join(NormKind)}")
        if not 0 <= dropout < 1:
            raise UserError(f"head.dropout is {dropout}; expected 0 <= dropout < 1")
        self.kind = kind
        self.n_tasks = len(positive_rate)
        self.norm = BatchNorm(width) if norm == NormKind.batch else None
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, self.n_tasks * (1 if kind == HeadKind.one_logit else 2))
        prior = torch.logit(positive_rate.double().clamp(1e-7, 1 - 1e-7)).float()
        with torch.no_grad():
            self.linear.bias.copy_(
                prior if kind == HeadKind.one_logit else torch.stack([-prior / 2, prior / 2], dim=1).flatten()
            )

    def class_logits(self, pooled: Tensor) -> Tensor:
        """The linear layer's outputs, float [batch, n_tasks, 1 or 2]."""
        if self.norm is not None:
            pooled = self.norm(pooled)
        outputs: Tensor = self.linear(self.dropout(pooled))
        return outputs.view(len(pooled), self.n_tasks, -1)

    def forward(self, pooled: Tensor) -> Tensor:
        """Logits of the positive class, float [batch, n_tasks], of pooled vectors [batch, width]."""
        outputs = self.class_logits(pooled)
        if self.kind == HeadKind.one_logit:
            return outputs[..., 0]
        return outputs[..., 1] - outputs[..., 0]
