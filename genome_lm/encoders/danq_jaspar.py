"""DanQ with kernels that start as JASPAR motifs."""

from collections.abc import Sequence

import torch

from genome_lm.encoders.danq import DanQEncoder
from genome_lm.encoders.jaspar import vertebrate_motifs
from genome_lm.errors import UserError

# The margin that the authors keep on either side of a motif within its kernel.
MARGIN = 3


class DanQJasparEncoder(DanQEncoder):
    """DanQ-JASPAR of Quang and Xie (2016): a larger DanQ, about half of its kernels started as known motifs.

    1,024 kernels of 30, pooling of 15, an LSTM of 512 units in each direction over 64 positions of 1,000 bp;
    else as `DanQEncoder`. With the output layer and 919 tasks the authors' network has 67,892,175 parameters;
    torch's second biases are 4,096 more.

    Start values follow the code (uci-cbcl/DanQ, `DanQ-JASPAR_train.py`): kernel i takes motif i, as base
    frequencies minus 0.25, at a random place at least 3 positions from either end of the kernel; its other
    positions keep the small random values that every kernel starts with, and its bias is uniform in
    [-1, 0]. The other kernels stay random. Theano's convolution reverses kernels, which is why the code
    reverses the motifs; torch's does not. The code adds the reverse complement of six motifs by their number
    in the authors' file; in the order of the matrix ids those numbers are MA0035, MA0138, MA0139, MA0140,
    MA0141 and MA0142 (Gata1, REST, CTCF, GATA1::TAL1, ESRRB, Pou5f1::Sox2), and so they stand in
    `both_orientations` here. The 519 vertebrate motifs of JASPAR 2016 make 525 kernels.

    For what the code does not meet, with other releases or smaller kernels: a motif too long for the margin
    is centred, one longer than the kernel is left out, and of more motifs than `motif_kernels` a random
    choice is taken. The random numbers are torch's, so that the run's seed decides.

    `load_sources` takes the motifs from pyjaspar when a training begins. A checkpoint holds the kernels and
    needs no pyjaspar.

    Args:
        input_width: features per token; 4, in the order A, C, G, T, for the motifs to have a meaning.
        length: tokens per window.
        release: JASPAR release, such as JASPAR2016, the authors'.
        motif_kernels: the most kernels that start as motifs.
        both_orientations: matrices that get a second kernel, of the reverse complement: ids without version.
        channels, kernel_size, pool_size, lstm_size: as `DanQEncoder`.
        hidden_size, conv_dropout, lstm_dropout: as `DanQEncoder`.

    Raises:
        UserError: an argument is out of range, or the window is too short.
    """

    def __init__(
        self,
        input_width: int,
        length: int,
        release: str = "JASPAR2016",
        motif_kernels: int = 525,
        both_orientations: Sequence[str] = ("MA0035", "MA0138", "MA0139", "MA0140", "MA0141", "MA0142"),
        channels: int = 1024,
        kernel_size: int = 30,
        pool_size: int = 15,
        lstm_size: int = 512,
        hidden_size: int = 925,
        conv_dropout: float = 0.2,
        lstm_dropout: float = 0.5,
    ) -> None:
        super().__init__(
            input_width,
            length,
            channels,
            kernel_size,
            pool_size,
            lstm_size,
            hidden_size,
            conv_dropout,
            lstm_dropout,
        )
        if input_width != 4:
            raise UserError(
                f"DanQJasparEncoder reads one-hot bases, 4 features a token, and got {input_width}: "
                "choose tokenizer=onehot and stem=none"
            )
        if not 0 <= motif_kernels <= channels:
            raise UserError(
                f"model.encoder.motif_kernels is {motif_kernels}; expected 0 to channels = {channels}"
            )
        self.release = release
        self.motif_kernels = motif_kernels
        self.both_orientations = tuple(both_orientations)

    @torch.no_grad()
    def load_sources(self) -> None:
        """Write the motifs into the first kernels; see the class.

        Raises:
            UserError: pyjaspar is not installed, or does not have the release.
        """
        size = self.scan.kernel_size[0]
        motifs = {
            name: torch.from_numpy(frequencies)
            for name, frequencies in vertebrate_motifs(self.release).items()
            if frequencies.shape[1] <= size
        }
        # Reversed rows are the complement, reversed columns the other direction.
        reversed_motifs = [
            motif.flip(0, 1)
            for name, motif in motifs.items()
            if name.partition(".")[0] in self.both_orientations
        ]
        chosen = [*motifs.values(), *reversed_motifs]
        if len(chosen) > self.motif_kernels:
            order = torch.randperm(len(chosen))[: self.motif_kernels].sort().values
            chosen = [chosen[int(index)] for index in order]
        assert self.scan.bias is not None
        for kernel, motif in enumerate(chosen):
            start = _place(motif.shape[1], size)
            self.scan.weight[kernel, :, start : start + motif.shape[1]] = motif - 0.25
            self.scan.bias[kernel].uniform_(-1.0, 0.0)


def _place(motif_size: int, kernel_size: int) -> int:
    """Where a motif starts in its kernel."""
    room = kernel_size - motif_size
    if room < 2 * MARGIN:
        return room // 2
    return int(torch.randint(MARGIN, room - MARGIN + 1, ()))
