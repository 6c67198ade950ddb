"""Whether weights to start from were trained on sequence that is held out now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genome_lm.checkpoint import Content
from genome_lm.dataset.regions import interval_of
from genome_lm.language.intervals import Interval, without

STARTED_FROM = "started_from"
"""Where an origin has the origin of the weights that it started from."""


def origin_of(start: Content) -> dict[str, Any]:
    """What the weights of a checkpoint were trained on, plain values, its own start within.

    The keys are those of the dataset or sequence in the checkpoint's description: `checksum`,
    `genome_build`, `regions` (`valid` and `test`; older checkpoints of multitask models: not) and, if it
    had a start, `started_from`.
    """
    for name in ("dataset", "sequence"):
        if isinstance(found := start.description.get(name), dict):
            return found
    return {}


def with_start(origin: Mapping[str, Any], started_from: Mapping[str, Any] | None) -> dict[str, Any]:
    """An origin that tells of its start, too.

    Args:
        origin: of a training.
        started_from: the origin of the weights that it started from; None for fresh ones.
    """
    return dict(origin) if started_from is None else {**origin, STARTED_FROM: dict(started_from)}


@dataclass(frozen=True)
class Seen:
    """What a start may have seen of the regions held out now.

    Attributes:
        leak: what it was trained on of them, in words; None if nothing is known of such.
        doubts: why that cannot be told of a training behind it.
    """

    leak: str | None
    doubts: tuple[str, ...]


def seen_before(start: Content, now: Mapping[str, Any]) -> Seen:
    """Compare what a start, and what it started from itself, held out with what is held out now.

    Held out means validation or test, then and now: a region may change sides between these. Data of the
    same checksum and regions have the same splits. Coordinates of an unnamed assembly, such as a FASTA's,
    are taken to be of the same one.

    Args:
        start: the checkpoint to start from.
        now: `checksum`, `genome_build` and `regions` of what is trained on now, and of labelled windows
            `flank_bp`, how far they read beyond the bins that lie in a region.
    """
    leaks: list[str] = []
    doubts: list[str] = []
    origin: object = origin_of(start)
    while isinstance(origin, dict):
        known = _regions(origin)
        same_data = origin.get("checksum") == now["checksum"]
        if (reach := _reach(origin, now)) is not None:
            doubts.append(reach)
        # Of a FASTA the regions are not in the checksum; of a dataset they are.
        if not same_data or (known and known != _regions(now)):
            doubt = _doubt(origin, now)
            if doubt is not None:
                doubts.append(doubt)
            elif (leak := _leak(origin, now)) is not None:
                leaks.append(leak)
        origin = origin.get(STARTED_FROM)
    return Seen(leaks[0] if leaks else None, tuple(doubts))


def _doubt(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Why the two cannot be compared."""
    if not _regions(now):
        return "the data name no regions that are held out"
    if not _regions(then):
        return "it names no regions that it held out"
    builds = [each.get("genome_build") for each in (then, now)]
    if all(builds) and builds[0] != builds[1]:
        return f"it was trained on {builds[0]}, and the data are of {builds[1]}"
    return None


def _reach(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """That it read up to the edge of its regions, beyond which windows held out now reach."""
    regions = then.get("regions")
    buffer = regions.get("buffer_bp") if isinstance(regions, dict) else None
    flank = now.get("flank_bp", 0)
    if not isinstance(buffer, int) or buffer >= flank:
        return None
    return (
        f"it held out {buffer} bp around its regions (task.regions.buffer_bp), and windows of this training "
        f"reach {flank} bp beyond theirs"
    )


def _leak(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    kept = _regions(then)
    for text in _regions(now):
        if left := _uncovered(text, kept):
            start, end = left
            where = f"from base {start:,}" if end is None else f"its bases {start:,} to {end:,}"
            return f"{text}, {where} (it held out {', '.join(kept)})"
    return None


def _regions(origin: Mapping[str, Any]) -> list[str]:
    regions = origin.get("regions")
    if not isinstance(regions, dict):
        return []
    return [str(text) for name in ("valid", "test") for text in regions.get(name) or []]


def _uncovered(text: str, kept: Sequence[str]) -> tuple[int, int | None] | None:
    """The first stretch of a region that none of `kept` covers; None for the end of a chromosome."""
    chromosome, start, end = interval_of(text)
    others = [interval_of(each) for each in kept]
    far = 1 + max(each[2] or each[1] for each in [(chromosome, start, end), *others])
    holes: list[Interval] = [
        (first, last or far) for name, first, last in others if _plain(name) == _plain(chromosome)
    ]
    left = without([(start, end or far)], holes)
    return None if not left else (left[0][0], None if left[0][1] == far else left[0][1])


def _plain(chromosome: str) -> str:
    return chromosome.removeprefix("chr")
