"""The installation: Python, packages against their bounds, extras, W&B, and where runs are written."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from genome_lm.doctor.finding import Finding, advice, ok, problem, size, some
from genome_lm.doctor.machine import nearest_folder

DISTRIBUTION = "genome-lm"
EXTRAS = {
    "motifs": "other releases of JASPAR than the one that comes with it",
    "tune": "search of hyper-parameters, genome-lm tune",
    "sweeps": "sweeps with joblib, SLURM or Ray",
    "tensorboard": "logger=tensorboard",
}
"""What the extras of users are for; those of developers are not looked at."""

ENOUGH_BYTES = 5 * 10**9


def check_packages(requirements: Iterable[str], python: str, requires_python: str) -> list[Finding]:
    """Hold what is installed against the bounds of a distribution.

    Args:
        requirements: as `importlib.metadata.requires` gives them, extras by marker.
        python: the running version.
        requires_python: its bounds.
    """
    findings = []
    if SpecifierSet(requires_python).contains(python, prereleases=True):
        findings.append(ok("Python", f"{python} ({requires_python})"))
    else:
        findings.append(
            problem("Python", f"{python} is outside {requires_python}", "make an environment of another one")
        )
    core, by_extra = _by_extra([Requirement(each) for each in requirements])
    wrong = [(each, state) for each in core if (state := _state(each)) != "ok"]
    for requirement, state in wrong:
        findings.append(
            problem(
                requirement.name,
                f"{state}, expected {requirement.specifier}",
                f"pip install '{requirement.name}{requirement.specifier}'",
            )
        )
    if not wrong:
        findings.append(ok("packages", f"all {len(core)} that are needed are installed, within their bounds"))
    for extra, purpose in EXTRAS.items():
        if extra not in by_extra:
            continue
        states = {each: _state(each) for each in by_extra[extra]}
        off = [f"{each.name} ({state})" for each, state in states.items() if state != "ok"]
        install = f"pip install '{DISTRIBUTION}[{extra}]'"
        if not off:
            findings.append(ok(f"[{extra}]", f"installed: {purpose}"))
        elif all(state == "is not installed" for state in states.values()):
            findings.append(ok(f"[{extra}]", f"not installed ({purpose}): {install}"))
        else:
            findings.append(advice(f"[{extra}]", f"{some(off)}: {purpose} may fail", install))
    return findings


def check_installation() -> list[Finding]:
    """`check_packages` of the distribution that is installed."""
    import platform

    try:
        about = metadata.metadata(DISTRIBUTION)
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [
            advice(
                "packages",
                f"{DISTRIBUTION} runs from a folder and is not installed, so its bounds are not known",
                "pip install . in that folder",
            )
        ]
    return check_packages(requirements, platform.python_version(), about["Requires-Python"] or "")


def _by_extra(
    requirements: Iterable[Requirement],
) -> tuple[list[Requirement], Mapping[str, list[Requirement]]]:
    """Requirements without an extra, and those of each one of `EXTRAS`."""
    core: list[Requirement] = []
    by_extra: dict[str, list[Requirement]] = {}
    for each in requirements:
        if each.marker is None or each.marker.evaluate({"extra": ""}):
            core.append(each)
            continue
        for extra in EXTRAS:
            if each.marker.evaluate({"extra": extra}):
                by_extra.setdefault(extra, []).append(each)
    return core, by_extra


def _state(requirement: Requirement) -> str:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "is not installed"
    # Local parts such as +cpu are no part of the comparison.
    return "ok" if requirement.specifier.contains(version, prereleases=True) else f"has version {version}"


def check_wandb(home: Path, environment: Mapping[str, str]) -> Finding:
    """Whether W&B has a key, without asking its server.

    Args:
        home: of the user, where `wandb login` leaves the key (`.netrc`).
        environment: variables of the process.
    """
    host = environment.get("WANDB_BASE_URL", "https://api.wandb.ai").partition("://")[2].partition("/")[0]
    if mode := environment.get("WANDB_MODE"):
        return ok("W&B", f"WANDB_MODE={mode} decides")
    if environment.get("WANDB_API_KEY"):
        return ok("W&B", "WANDB_API_KEY is set: logger=wandb logs online")
    for name in (".netrc", "_netrc"):
        path = Path(environment["NETRC"]) if "NETRC" in environment else home / name
        try:
            words = path.read_text(encoding="utf-8", errors="replace").split()
        except OSError:
            continue
        machines = {words[at + 1] for at, word in enumerate(words[:-1]) if word == "machine"}
        if host.partition(":")[0] in machines:
            return ok("W&B", f"logged in to {host}: logger=wandb logs online")
    return ok("W&B", f"not logged in to {host}: logger=wandb logs offline (wandb login, or WANDB_API_KEY)")


def check_runs_dir(folder: Path, needed: int) -> Finding:
    """Whether runs can be written there.

    Args:
        folder: of runs; it need not exist.
        needed: bytes of one run's checkpoints.
    """
    remedy = "set runs_dir to a folder that you may write to"
    where = nearest_folder(folder)
    if not where.is_dir():
        return problem("runs_dir", f"{where} is no folder", remedy)
    try:
        with tempfile.TemporaryFile(dir=where) as file:
            file.write(b"0")
    except OSError as error:
        return problem("runs_dir", f"{where} cannot be written: {error.strerror}", remedy)
    free = shutil.disk_usage(where).free
    text = f"{os.path.relpath(folder)} can be written, {size(free)} are free"
    if free < needed:
        return problem("runs_dir", f"{text}; a run takes {size(needed)}", "free some space, or set runs_dir")
    if free < ENOUGH_BYTES:
        return advice("runs_dir", f"{text}, enough for {free // max(1, needed):,} runs", "free some space")
    return ok("runs_dir", text)
