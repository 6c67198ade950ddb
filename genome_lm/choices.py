"""Names that a user may choose from, shared by the configuration and the code that acts on them.

Members are in lower case because Hydra matches a value by the member's name.
"""

from enum import StrEnum


class HeadKind(StrEnum):
    """Outputs per task of the head."""

    one_logit = "one_logit"
    two_way_softmax = "two_way_softmax"


class PoolingKind(StrEnum):
    """How the states become one vector."""

    last = "last"
    mean = "mean"
    max = "max"
    attention = "attention"


class NormKind(StrEnum):
    """Normalisation of the pooled vector before the head."""

    none = "none"
    batch = "batch"


class OptimizerKind(StrEnum):
    """Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019)."""

    adam = "adam"
    adamw = "adamw"


class ScheduleKind(StrEnum):
    """Course of the learning rate after the warm-up."""

    constant = "constant"
    cosine = "cosine"
