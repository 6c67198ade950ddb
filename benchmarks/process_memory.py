"""Memory and time of a command and of the processes that it starts, sampled from outside (Linux)."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

_EVERY = 0.3  # s


@dataclass(frozen=True)
class Memory:
    """Bytes of processes together.

    Attributes:
        resident: RSS; a page that two of them have counts twice.
        proportional: PSS; each page is divided among the processes that have it, so that the sum is what is there.
        anonymous: what belongs to no file: cannot be dropped, and is shared only after a fork.
    """

    resident: int = 0
    proportional: int = 0
    anonymous: int = 0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Memory)))

    def largest(self, other: "Memory") -> "Memory":
        return Memory(*(max(getattr(self, each.name), getattr(other, each.name)) for each in fields(Memory)))


@dataclass(frozen=True)
class Ran:
    """What commands took, run at the same time: the largest sums of their memory, and time."""

    memory: Memory
    largest_process: int  # anonymous bytes of the process that has most
    processes: int
    seconds: float


def run(commands: Sequence[Sequence[str]], cwd: Path | None = None) -> Ran:
    """Run commands at the same time and sample them until all have ended.

    Raises:
        RuntimeError: one of them failed; its output is in the message.
    """
    began = time.perf_counter()
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd)
        for command in commands
    ]
    memory, largest, most = Memory(), 0, 0
    while any(process.poll() is None for process in running):
        every = [memory_of(pid) for process in running for pid in family(process.pid)]
        memory = memory.largest(sum(every, Memory()))
        largest = max(largest, *(each.anonymous for each in every), 0)
        most = max(most, len(every))
        time.sleep(_EVERY)
    seconds = time.perf_counter() - began
    for process in running:
        assert process.stdout is not None
        said = process.stdout.read()
        process.stdout.close()
        if process.returncode:
            raise RuntimeError(f"{' '.join(map(str, process.args))} failed:\n{said}")
    return Ran(memory, largest, most, seconds)


def family(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    try:
        children = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return
    for child in " ".join(children).split():
        yield from family(int(child))


def memory_of(pid: int) -> Memory:
    """Of one process; nothing where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return Memory()
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(*(1024 * kilobytes.get(name, 0) for name in ("Rss", "Pss", "Anonymous")))
