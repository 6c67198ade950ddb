"""DeepBind: motif detectors, pooled over the whole window, and at most one dense layer."""

import torch
from torch import Tensor, nn

from genome_lm.convolution import convolve
from genome_lm.encoders.base import Encoder
from genome_lm.encoders.checks import check_dropouts, check_sizes
from genome_lm.errors import UserError


class DeepBindEncoder(Encoder):
    """The network of Alipanahi et al. (2015, Nature Biotechnology 33:831), detectors shared by all tasks.

    The window is padded on both sides with `detector_size` - 1 positions of 0.25 in every base, detectors
    (a convolution) score every position, a learned threshold is added and negative scores become 0, and each
    detector keeps its maximum over all positions, with `average_pooling` its mean as well. Dropout follows,
    and then either a dense layer with ReLU or none: the authors calibrated both forms and dropout (0, 0.25 or
    0.5) for every protein. An unknown base reads as 0.25 in every base. Layers as in the supplementary notes
    and the authors' code: `deepbind.c` of the scoring program, and the training code's `cfg/classification`
    and `cfg/regression/allpool` (in jisraeli/DeepBind). It reads any length.

    DeepBind is one network a protein: 16 detectors of 24 for ENCODE's ChIP-seq (windows of 101 bp), and no or
    32 hidden units, 1,569 or 2,129 parameters with the output. Sixteen detectors cannot serve hundreds of
    tasks. The defaults here are twenty times those sizes, 320 and 640, 320 being the number of first-layer
    kernels of DeepSEA and DanQ.

    DeepBind scores both strands and takes the higher score. One encoder for many tasks has no score yet, so
    that with `both_strands` it is each detector that takes its maximum (and mean) over both strands. A
    window and its reverse complement then get the same output.

    Part of the authors' training, and not reproduced: learning rate, momentum, weight decay and scale of the
    start values by random search for every protein, and negatives made by shuffling.

    The one state and the final state are the dense layer's output, or without it the pooled scores after
    dropout.

    Args:
        input_width: features per token; 4, in the order A, C, G, T.
        detectors: motif detectors.
        detector_size: bases that a detector reads.
        average_pooling: whether each detector's mean score stands beside its maximum.
        hidden_size: features of the dense layer; null for none.
        dropout: probability of dropping a pooled score.
        both_strands: whether the detectors scan both strands.

    Raises:
        UserError: an argument is out of range, or a token has other than 4 features. (They are taken to be
            one-hot bases; learned ones of that width give each strand an output of its own.)
    """

    def __init__(
        self,
        input_width: int,
        detectors: int = 320,
        detector_size: int = 24,
        average_pooling: bool = False,
        hidden_size: int | None = 640,
        dropout: float = 0.25,
        both_strands: bool = True,
    ) -> None:
        super().__init__()
        check_sizes({"detectors": detectors, "detector_size": detector_size})
        check_dropouts({"dropout": dropout})
        if input_width != 4:
            raise UserError(
                f"DeepBindEncoder reads one-hot bases, 4 features a token, and got {input_width}: "
                "choose tokenizer=onehot and stem=none"
            )
        self.both_strands = both_strands
        self.average_pooling = average_pooling
        self.scan = nn.Conv1d(4, detectors, detector_size)
        self.dropout = nn.Dropout(dropout)
        pooled = detectors * (2 if average_pooling else 1)
        self.hidden: nn.Module = nn.Identity()
        if hidden_size is not None:
            check_sizes({"hidden_size": hidden_size})
            self.hidden = nn.Sequential(nn.Linear(pooled, hidden_size), nn.ReLU())
        self.width = pooled if hidden_size is None else hidden_size

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        unknown = (tokens == 0).all(dim=2, keepdim=True)
        bases = torch.where(unknown, 0.25, tokens).transpose(1, 2)
        margin = self.scan.kernel_size[0] - 1
        bases = nn.functional.pad(bases, (margin, margin), value=0.25)
        weight = self.scan.weight
        if self.both_strands:  # reversed in bases and positions, a detector reads the other strand
            weight = torch.cat([weight, weight.flip(1, 2)])
        scores = convolve(bases, weight).unflatten(1, (-1, self.scan.out_channels))
        assert self.scan.bias is not None
        threshold = self.scan.bias
        # ReLU and maximum change places, which spares the rectified copy of all scores.
        pooled = torch.relu(scores.amax(dim=(1, 3)) + threshold)
        if self.average_pooling:
            mean = torch.relu(scores + threshold.unsqueeze(1)).mean(dim=(1, 3))
            pooled = torch.cat([pooled, mean], dim=1)
        final: Tensor = self.hidden(self.dropout(pooled))
        return final.unsqueeze(1), final
