"""Features of a whole window that reach the head beside the pooled states."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from genome_lm.dna import N_CODE
from genome_lm.errors import UserError
from genome_lm.motifs import RELEASE, read_motifs

ODDS_POWER = 0.72
WINDOWS_AT_ONCE = 32  # fewer leave the threads little to share, more leave the caches
GROUP_WIDTHS = (8, 9, 10, 11, 12, 14, 16, 20)


class WindowFeatures(nn.Module, ABC):
    """Interface of the features; the wide part of a wide and deep network (Cheng et al. 2016).

    A sequence and its reverse complement have the same features.

    Attributes:
        width: features of a window; 0 for none.
        min_bp: the shortest sequence that has them.
    """

    width: int
    min_bp: int

    @abstractmethod
    def forward(self, codes: Tensor) -> Tensor:
        """Features, float32 [batch, width], of base codes, uint8 [batch, length_bp]."""


class NoFeatures(WindowFeatures):
    """The pooled states alone."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 0
        self.min_bp = 1

    def forward(self, codes: Tensor) -> Tensor:
        return torch.zeros(len(codes), 0, device=codes.device)


class MotifOccupancy(WindowFeatures):
    """Log-occupancy of every vertebrate motif of JASPAR 2024 in the middle of the window.

    For a motif with log-odds s(p) (nats) at position p, the better of both strands, the feature is

        log sum_p exp(0.72 (s(p) - s_max)),

    s_max being the score of the motif's consensus: the statistical weight of a protein bound anywhere (Berg
    and von Hippel 1987), with the odds flattened by the power 0.72, since matrices overstate how well a
    protein tells its sites apart. The power was not tuned. An N counts as the worst base of its
    place. Nothing here is learned; the matrices stay what they are and are not in checkpoints.

    Args:
        span_bp: bases in the middle of the window that are searched, one more where the window's middle lies
            otherwise, so that both strands have the same; shorter windows are searched whole.
        release: of JASPAR; a checkpoint so says which matrices it was trained with.

    Raises:
        UserError: the span is shorter than the longest motif, or another release ships with the package.
    """

    def __init__(self, span_bp: int = 500, release: str = RELEASE) -> None:
        super().__init__()
        if release != RELEASE:
            raise UserError(
                f"window_features.release is {release}; this version of genome_lm ships {RELEASE}: "
                "use that, or the version that the checkpoint was made with"
            )
        matrices = read_motifs().log_odds()
        longest = max(matrix.shape[1] for matrix in matrices)
        if span_bp < longest:
            raise UserError(
                f"window_features.span_bp is {span_bp}; expected at least {longest} bp, the longest motif"
            )
        self.width = len(matrices)
        self.min_bp = longest
        self.span_bp = span_bp
        self.register_buffer("rows", torch.eye(5), persistent=False)
        self.group_widths: list[int] = []
        order: list[int] = []
        least = 0
        for width in (*GROUP_WIDTHS, longest):
            members = [index for index, matrix in enumerate(matrices) if least < matrix.shape[1] <= width]
            least = width
            if not members:
                continue
            kernels = torch.zeros(2, len(members), width, 5)
            for place, index in enumerate(members):
                # Counted from the consensus: the best sites have the least rounding. An N is the worst base.
                matrix = matrices[index] - matrices[index].max(axis=0)
                rated = torch.from_numpy(np.concatenate([matrix, matrix.min(axis=0, keepdims=True)])).float()
                kernels[0, place, : matrix.shape[1]] = rated.T
                rated[:4] = rated[:4].flip(0)
                kernels[1, place, : matrix.shape[1]] = rated.flip(1).T  # the other strand's sites
            # Rounded here, so that processors with and without bfloat16 multiply the same numbers.
            flat = (kernels.flatten(2).flatten(0, 1) * ODDS_POWER).bfloat16().float()
            self.register_buffer(f"kernels_{len(self.group_widths)}", flat.T.contiguous(), persistent=False)
            self.group_widths.append(width)
            order += members
        place_of = torch.empty(self.width, dtype=torch.int64)
        place_of[torch.tensor(order)] = torch.arange(self.width)
        self.register_buffer("place_of", place_of, persistent=False)

    @torch.no_grad()
    def forward(self, codes: Tensor) -> Tensor:
        length = codes.shape[-1]
        if length < self.min_bp:
            raise UserError(f"a sequence of {length} bp is shorter than the longest motif, {self.min_bp} bp")
        span = min(self.span_bp, length)
        span += (length - span) % 2  # as much is left out on either side, so that both strands have the same
        start = (length - span) // 2
        middle = codes[:, start : start + span]
        parts = [self._occupancy(part) for part in middle.split(WINDOWS_AT_ONCE)]
        return torch.cat(parts)[:, self.get_buffer("place_of")]

    def _occupancy(self, codes: Tensor) -> Tensor:
        # bfloat16 halves the time where the processor has it; the features are the same.
        number = torch.bfloat16 if _fast_bfloat16(codes.device) else torch.float32
        rows = self.get_buffer("rows").to(number)
        longest = self.group_widths[-1]
        # Sites that reach past an end have Ns there, which makes them poor ones. At both ends, so that the
        # reverse complement has the same sites.
        bases = nn.functional.pad(codes, (longest - 1, longest - 1), value=N_CODE)
        columns = nn.functional.embedding(bases.int(), rows)
        found = []
        for index, width in enumerate(self.group_widths):
            kernels = self.get_buffer(f"kernels_{index}").to(number)
            beyond = longest - width
            inside = columns[:, beyond : columns.shape[1] - beyond]
            stretches = inside.unfold(1, width, 1).transpose(2, 3).flatten(2)
            scores = (stretches @ kernels).bfloat16()  # as a product of bfloat16 gives them
            best = scores.unflatten(2, (2, -1)).amax(dim=2).float()
            found.append(best.exp_().sum(dim=1).clamp(min=1e-30).log())
        return torch.cat(found, dim=1)


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
