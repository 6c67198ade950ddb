"""Memory and time of a training, from steps that were measured."""

from dataclasses import dataclass

from genome_lm.doctor.finding import Finding, advice, ok, problem, size

TIGHT = 0.8
"""Share of the memory there is from which on a training is close to it."""


@dataclass(frozen=True)
class Growth:
    """Memory of a step as a straight line over the batch size, bytes.

    Attributes:
        fixed: gradients, the optimizer's states and all else that does not depend on the batch.
        per_window: activations and their gradients.
    """

    fixed: float
    per_window: float

    def of(self, batch_size: int) -> float:
        """Memory of a step of that many windows."""
        return self.fixed + self.per_window * batch_size

    def largest(self, n_bytes: float) -> int:
        """Windows of the largest batch that takes at most that much."""
        return max(0, int((n_bytes - self.fixed) / self.per_window)) if self.per_window > 0 else 2**31

    @classmethod
    def through(cls, small: tuple[int, int], large: tuple[int, int]) -> "Growth":
        """The line through two measurements, each of a batch size and its bytes.

        Where it would leave less than nothing for an empty batch, or shrink, it runs through the larger
        measurement alone.
        """
        (few, low), (many, high) = small, large
        slope = min(max(0.0, (high - low) / (many - few)), high / many) if many > few else 0.0
        return cls(high - slope * many, slope)


@dataclass(frozen=True)
class Weights:
    """Bytes of what is held for each parameter.

    Attributes:
        parameters: trained ones.
        averaged: whether an average of the weights is kept.
    """

    parameters: int
    averaged: bool

    def text(self) -> str:
        """Each part in words; all are single precision, in mixed precision too."""
        each = 4 * self.parameters
        average = f", their average {size(each)}" if self.averaged else ""
        return f"weights {size(each)}, gradients {size(each)}, Adam's states {size(2 * each)}{average}"


def check_memory(
    growth: Growth | None,
    measured_to: int,
    batch_size: int,
    available: int | None,
    weights: Weights,
    dataset_bytes: int,
    where: str,
) -> Finding:
    """Whether a step of `batch_size` windows fits.

    Args:
        growth: None where memory cannot be measured.
        measured_to: windows of the largest batch that was measured.
        available: bytes that are free beside what is loaded already; None where unknown.
        dataset_bytes: of the dataset, in the memory of the process.
        where: "the machine" or the name of a GPU.
    """
    parts = f"{weights.text()}; the dataset holds {size(dataset_bytes)} of the process's memory"
    if growth is None or available is None:
        return ok("memory", f"{parts}; a step's is not measured on this system")
    needed = growth.of(batch_size)
    how = "takes" if measured_to >= batch_size else f"would take (measured up to {measured_to:,})"
    text = (
        f"a batch of {batch_size:,} {how} {size(needed)} of the {size(available)} that are free on {where}: "
        f"{size(growth.per_window)} a window and {size(growth.fixed)} beside ({parts})"
    )
    fits = growth.largest(TIGHT * available)
    remedy = f"data.batch_size={fits:,}".replace(",", "") if fits else "a smaller model, or data.context_bp"
    if needed > available:
        return problem("memory", text, remedy)
    if needed > TIGHT * available:
        return advice("memory", f"{text}, which is close", remedy)
    return ok("memory", text)


@dataclass(frozen=True)
class Speed:
    """Windows a second, measured.

    Attributes:
        first: while window features are computed, in the first epoch.
        later: once they are kept.
        valid: of validation, with both strands where these are averaged; None if it was not measured.
        batch_size: that was measured with.
    """

    first: float
    later: float
    valid: float | None
    batch_size: int


def check_speed(speed: Speed, n_train: int, n_valid: int, epochs: int, max_time: str | None) -> Finding:
    """How long an epoch and the whole training take at that speed.

    Args:
        n_train, n_valid: windows.
        epochs: `trainer.max_epochs`.
        max_time: `trainer.max_time`.
    """
    validation = 0.0 if speed.valid is None else n_valid / speed.valid
    first, later = n_train / speed.first + validation, n_train / speed.later + validation
    whole = first + (epochs - 1) * later
    slower = f" ({speed.first:,.0f} in the first epoch)" if speed.first < 0.8 * speed.later else ""
    text = (
        f"{speed.later:,.0f} windows/s{slower} in batches of {speed.batch_size:,}: an epoch of {n_train:,} "
        f"windows and {n_valid:,} of validation takes {duration(later)}, {epochs} epochs {duration(whole)}"
    )
    if whole > 86_400 and max_time is None:
        return advice(
            "speed", text, "a GPU, a smaller data.context_bp or model, or an end by trainer.max_time"
        )
    return ok("speed", text)


def duration(seconds: float) -> str:
    """Seconds in words, such as "1.5 min"."""
    for limit, unit, name in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86_400:.1f} days"
