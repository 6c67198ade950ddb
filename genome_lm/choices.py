"""Names that a user may choose from, shared by the configuration and the code that acts on them.

Members are in lower case because Hydra matches a value by the member's name.
"""

from enum import StrEnum


class TaskKind(StrEnum):
    """What a network is trained for."""

    multitask = "multitask"
    """The labels of all experiments at once."""

    language_model = "language_model"
    """The next base of the sequence."""


class LeakPolicy(StrEnum):
    """What to do with weights to start from that were trained on what is held out now."""

    refuse = "refuse"
    warn = "warn"


class HeadKind(StrEnum):
    """Outputs per task of the head."""

    one_logit = "one_logit"
    two_way_softmax = "two_way_softmax"


class PoolingKind(StrEnum):
    """How the states become one vector."""

    last = "last"
    mean = "mean"
    max = "max"
    centre_mean = "centre_mean"
    centre_max = "centre_max"
    attention = "attention"


class TaskWeighting(StrEnum):
    """How much each task counts in the training loss; scores and logged perplexities are never weighted.

    Positives are not weighted against negatives: that would move the probabilities away from the rates.
    """

    uniform = "uniform"
    """All alike, as in the perplexity: frequent tasks, of larger cross-entropy, have most of the gradient."""

    root_inverse_entropy = "root_inverse_entropy"
    """By the inverse square root of the cross-entropy of the task's prior."""

    inverse_entropy = "inverse_entropy"
    """By the inverse of that: a share of what the prior leaves unexplained counts the same in every task."""


class NormKind(StrEnum):
    """Normalisation of the pooled vector before the head."""

    none = "none"
    batch = "batch"


class StrandEncoding(StrEnum):
    """Which strands the network reads."""

    single = "single"
    """The one that it is given."""

    shared = "shared"
    """Both, with the same weights; their states are averaged, so that either strand gives the same logits."""


class OptimizerKind(StrEnum):
    """Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019)."""

    adam = "adam"
    adamw = "adamw"


class ScheduleKind(StrEnum):
    """Course of the learning rate after the warm-up."""

    constant = "constant"
    cosine = "cosine"


class SamplerKind(StrEnum):
    """How the values of a trial are drawn."""

    tpe = "tpe"
    random = "random"


class PrunerKind(StrEnum):
    """Which trials are given up before their end."""

    median = "median"
    halving = "halving"
    none = "none"


class Launcher(StrEnum):
    """Who starts the processes of a training on several devices, one a device."""

    local = "local"
    """The command itself, on this machine."""

    torchrun = "torchrun"
    """`torchrun` or `python -m torch.distributed.run`, on any number of nodes."""

    slurm = "slurm"
    """`srun`, on any number of nodes."""


class Backend(StrEnum):
    """Library that sums over the processes."""

    auto = "auto"
    """nccl on GPUs, gloo on CPUs."""

    gloo = "gloo"
    nccl = "nccl"


class Protocol(StrEnum):
    """Where the thresholds come from, for every predictor alike."""

    tuned = "tuned"
    """Each task's threshold of the highest F1 on validation, applied to test."""

    poster = "poster"
    """Probability 0.5 for every task, as in Zhang and Kamath (2016)."""

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self is Protocol.tuned:
            return "per task and predictor, the threshold of the highest F1 on validation, applied to test"
        return "probability 0.5 for every task and predictor"


class PenaltyChoice(StrEnum):
    """How C is set."""

    per_task = "per_task"
    """Each task its own. With fewer than 30 validation positives that is a lottery: such a task takes the
    (geometric) median of the others."""
    overall = "overall"
    """One C, that of the lowest mean validation cross-entropy over the tasks."""
    poster = "poster"
    """C = 1e6 for all, as in the report; nothing is chosen."""


class NPolicy(StrEnum):
    """What to do with unknown bases (N and the other ambiguous letters)."""

    core = "core"  # drop a bin with an N among its own bases
    window = "window"  # drop a bin with an N anywhere in its window
    keep = "keep"


class Storage(StrEnum):
    """How the large columns of a dataset file are stored: bases, labels and windows."""

    auto = "auto"
    """`mapped` from 256 MB on, else `compressed`."""

    compressed = "compressed"
    """By gzip, a third of the size or less; read into the memory of each process."""

    mapped = "mapped"
    """As they are; left in the file, in memory that all processes share."""


class EndPolicy(StrEnum):
    """What to do with a window that reaches past an end of its chromosome."""

    drop = "drop"
    pad = "pad"  # fill up with N


class LongPolicy(StrEnum):
    """What to predict of an interval or record that is longer than the network's context."""

    tile = "tile"  # windows side by side, the last one moved back to end with the interval
    centre = "centre"  # one window, in its middle


class TableLayout(StrEnum):
    """Rows of a table of predictions."""

    long = "long"  # one a window and task
    wide = "wide"  # one a window, with a column of probabilities a task


class Resident(StrEnum):
    """Whether the dataset lies on the training device."""

    auto = "auto"  # on a GPU, if it leaves half of the free memory
    always = "always"
    never = "never"


class SourceKind(StrEnum):
    """What `prepare` reads: a genome and peak files, or DeepSEA's own files."""

    peaks = "peaks"
    deepsea = "deepsea"


class PairPolicy(StrEnum):
    """What to make of samples whose second half should mirror the first.

    `fold`: verify every pair and store the forward samples; `forward`: the same, but pairs that are no mirror
    images are counted and their forward samples kept; `all`: store every sample, without looking for pairs.
    """

    fold = "fold"
    forward = "forward"
    all = "all"
