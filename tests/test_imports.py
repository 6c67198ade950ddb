"""Who may import whom: the arrows of the design, read from the source."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

import genome_lm

PACKAGE = Path(genome_lm.__file__).parent

# What each part may import of the package; a folder stands for its modules, "" for genome_lm/__init__.py.
ARROWS: dict[str, set[str]] = {
    "": set(),
    "allocator": set(),
    "subnormals": set(),
    "atomic": {"errors"},
    "choices": set(),
    "config_files": set(),
    "dna": set(),
    "endings": {"errors", "output"},
    "errors": set(),
    "naming": set(),
    "output": set(),
    "runs": {"errors"},
    "tables": set(),
    "threads": set(),
    "download": {"download", "errors"},
    "encoders": {"batch_norm", "convolution", "encoders", "errors"},
    "heads": {"batch_norm", "choices", "errors"},
    "parts": {"errors"},
    "stems": {"batch_norm", "errors"},
    "tokenizers": {"dna", "errors", "word_vectors"},
    "word_vectors": {"dna", "errors"},
    "incidental": set(),
    "motifs": {"atomic", "errors"},
    "spaced_words": {"dna", "errors", "tokenizers"},
    "window_features": {"dna", "errors", "motifs"},
    "network": {"choices", "dna", "encoders", "heads", "stems", "tokenizers", "window_features"},
    "metrics": {"metrics"},
    "isolation": {"", "errors", "isolation"},
    "hdf5": {"errors", "hdf5", "isolation"},
    "dataset": {"", "atomic", "choices", "dataset", "dna", "errors", "hdf5", "isolation"},
    "dataset.datamodule": {
        "choices", "dataset", "dataset.batch", "dataset.position", "dataset.resident", "dna", "errors",
    },
    "dataset.feature_rows": {"dataset", "dataset.resident"},
    "baseline": {"atomic", "baseline", "choices", "dataset", "errors", "metrics", "threads"},
    "language": {
        "checkpoint", "choices", "collectives", "dataset", "dataset.batch", "dataset.datamodule",
        "dataset.position", "dna", "encoders", "errors", "language", "metrics", "optimizer", "stems",
        "tokenizers",
    },
    "module": {
        "choices", "collectives", "dataset.batch", "dataset.feature_rows", "metrics", "network", "optimizer",
    },
    "optimizer": {"choices", "errors"},
    "checkpoint": {"checkpoint_file", "choices", "errors", "plain"},
    "callbacks": {"atomic", "callbacks", "checkpoint_file", "collectives", "errors"},
    "held_out": {"checkpoint", "dataset", "language"},
    "pretrained": {"checkpoint", "errors", "language", "network"},
    "evaluation": {
        "atomic", "choices", "dataset", "errors", "evaluation", "hdf5", "isolation", "metrics", "network",
        "tables", "threads",
    },
    "prediction": {
        "choices", "dataset", "dna", "errors", "evaluation", "network", "plain", "prediction", "tables",
    },
    "config": {"choices"},
    "config_errors": {"config_files", "errors"},
    "loggers": {"config", "curve", "errors", "tracking"},
    "provenance": {"", "config_files"},
    "tracking": {"atomic", "errors", "plain", "tables", "tracking"},
    "build": {
        "checkpoint", "choices", "config", "dataset", "dataset.datamodule", "encoders", "errors", "heads",
        "module", "network", "optimizer", "parts", "restore", "stems", "tokenizers", "window_features",
    },
    "build_language": {"build", "config", "errors", "language", "restore"},
    "report": {"atomic", "errors", "plain", "report", "tables"},
    "leaderboard": {
        "atomic", "errors", "incidental", "leaderboard", "plain", "plain_yaml", "provenance", "report",
        "runs", "tables",
    },
    "locks": set(),
    "sweep": {"atomic", "leaderboard", "sweeping", "tables"},
    "sweeping": {"incidental", "atomic", "errors", "leaderboard", "locks", "sweep", "sweeping"},
    "tuning": {
        "atomic", "choices", "config", "config_errors", "errors", "leaderboard", "locks", "tables", "tuning",
        "tuning.config",
    },
    "tuning.config": {"choices"},
    "commands": {
        "incidental", "", "allocator", "atomic", "baseline", "build", "build_language", "callbacks",
        "callbacks.resident_features", "checkpoint", "checkpoint_file", "checkpoint_io", "choices",
        "collectives", "commands", "commands.arguments", "commands.several", "config", "curve", "dataset",
        "dataset.datamodule", "dataset.feature_rows", "errors", "evaluation", "exported", "held_out",
        "language", "loggers", "module", "naming", "network", "plain", "plain_yaml", "prediction",
        "pretrained", "provenance", "ranks", "ranks.group", "report", "runs", "subnormals", "tables",
        "tracking",
    },
    "commands.tune": {
        "atomic", "build", "callbacks", "commands", "config", "errors", "leaderboard", "provenance", "tuning",
        "tuning.config",
    },
    "commands.download": {"download", "errors"},
    "commands.compare": {"commands.arguments", "leaderboard"},  # no torch: it compares fifty runs in a second
    "cli": {
        "", "choices", "commands", "commands.compare", "commands.doctor", "commands.download",
        "commands.several", "commands.tune", "config", "config_dirs", "config_errors", "config_files",
        "endings", "errors", "leaderboard", "provenance", "ranks", "sweep", "sweeping", "tuning.config",
    },
    "batch_norm": {"collectives"},
    "collectives": set(),
    "convolution": set(),
    "ranks": {"atomic", "choices", "errors", "ranks"},
    "ranks.group": {"choices", "collectives", "errors", "ranks"},
    "commands.several": {"", "choices", "commands", "config", "errors", "leaderboard", "ranks"},
    "dataset.position": set(),
    "checkpoint_io": {"archive", "atomic", "checkpoint_file", "pickled"},
    "curve": {"atomic", "errors"},
    "dataset.batch": set(),
    "dataset.resident": {"choices", "dataset", "dataset.batch", "dna", "errors"},
    "callbacks.resident_features": {"dataset.datamodule", "dataset.feature_rows"},
    "doctor": {"dataset", "dna", "doctor", "metrics"},
    "commands.doctor": {
        "allocator", "build", "choices", "commands", "commands.trial_steps", "config", "dataset", "doctor",
        "errors", "sweeping",
    },
    "commands.trial_steps": {
        "build", "build_language", "callbacks", "commands", "config", "dataset", "dataset.datamodule",
        "doctor", "language", "optimizer",
    },
    "archive": {"pickled", "plain"},
    "pickled": {"plain"},
    "plain": set(),
    "plain_yaml": {"plain"},
    "exported": {"atomic", "errors", "plain"},
    "checkpoint_file": {"archive", "errors", "exported", "pickled"},
    "restore": {"checkpoint", "errors", "plain"},
    "config_dirs": {"config_files", "errors", "plain"},
    "commands.arguments": {"errors"},
}  # fmt: skip

# Who may import these at all; everybody may import NumPy.
OUTSIDE: dict[str, set[str]] = {
    "hydra": {"cli", "config_errors", "sweep", "sweeping", "tuning"},
    "omegaconf": {
        "cli", "commands", "commands.several", "commands.tune", "config", "config_dirs", "config_errors",
        "sweep", "sweeping", "tuning", "tuning.config",
    },
    "optuna": {"tuning"},
    "ray": {"sweeping"},
    "lightning": {
        "callbacks", "callbacks.resident_features", "checkpoint_io", "commands", "commands.trial_steps",
        "curve", "dataset.position", "language", "loggers", "module", "optimizer",
    },
    "wandb": {"loggers", "tracking"},
    "tensorboard": {"tracking"},
    "pyjaspar": {"encoders", "motifs"},
    "torchmetrics": {"metrics"},
    "torch": {
        "baseline", "batch_norm", "build", "callbacks", "checkpoint", "checkpoint_file", "checkpoint_io",
        "collectives", "commands", "commands.doctor", "commands.several", "commands.trial_steps",
        "convolution", "dataset.batch", "dataset.datamodule", "dataset.feature_rows", "dataset.resident",
        "doctor", "encoders", "evaluation", "exported", "heads", "language", "metrics", "module", "network",
        "optimizer", "parts", "prediction", "ranks.group", "restore", "spaced_words", "stems", "subnormals",
        "threads", "tokenizers", "tracking", "window_features",
    },
    "sklearn": set(),  # a reference of the tests and benchmarks, not a dependency
    "altair": {"report"},
    "vl_convert": {"report"},
    "jinja2": {"report"},
    "h5py": {"baseline", "dataset", "evaluation", "hdf5", "prediction"},
    "safetensors": {"exported"},
}  # fmt: skip

# Imported when the command line answers --help; nothing here may load a heavy package.
LIGHT = (
    "cli", "config", "config_dirs", "config_errors", "config_files", "choices", "errors", "sweep", "atomic",
    "plain", "tables",
    "leaderboard.fields", "leaderboard.training", "locks", "sweeping", "sweeping.jobs", "sweeping.sweeper",
    "sweeping.cores", "tuning", "tuning.config", "ranks", "ranks.launch", "ranks.report", "ranks.started",
    "ranks.working", "commands.several", "plain", "config_dirs", "endings", "incidental", "output",
)  # fmt: skip
HEAVY = {"torch", "lightning", "numpy", "h5py", "wandb", "torchmetrics", "altair", "vl_convert", "jinja2"}


def dotted(path: Path) -> str:
    """Name inside the package; "" for the package itself, a folder's name for its __init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def part_of(module: str) -> str:
    """The entry of a module in the tables: itself, or its folder."""
    return module if module in ARROWS else module.partition(".")[0]


def imports_of(path: Path, top_level_only: bool = False) -> set[str]:
    """Dotted names of the modules imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            names.add(node.module)
    return names


def inside(name: str) -> str:
    return name.removeprefix("genome_lm").removeprefix(".")


def test_the_tables_cover_the_package():
    assert {part_of(module) for module in MODULES} <= set(ARROWS)
    assert {name for name in ARROWS if name not in MODULES} == set()


@pytest.mark.parametrize("module", MODULES)
def test_arrows(module):
    allowed = ARROWS[part_of(module)]
    for name in imports_of(MODULES[module]):
        if name.partition(".")[0] == "genome_lm":
            target = inside(name)
            assert target in MODULES, f"{module} imports {name}, which does not exist"
            assert part_of(target) in allowed or target == module, f"{module} may not import {name}"
        elif (top := name.partition(".")[0]) in OUTSIDE:
            assert part_of(module) in OUTSIDE[top], f"{module} may not import {top}"


def test_no_arrow_is_left_unused():
    used: dict[str, set[str]] = {part: set() for part in ARROWS}
    outside: dict[str, set[str]] = {name: set() for name in OUTSIDE}
    for module, path in MODULES.items():
        for name in imports_of(path):
            if name.partition(".")[0] == "genome_lm":
                used[part_of(module)].add(part_of(inside(name)))
            elif name.partition(".")[0] in OUTSIDE:
                outside[name.partition(".")[0]].add(part_of(module))
    assert {part: ARROWS[part] - used[part] for part in ARROWS if ARROWS[part] - used[part]} == {}
    assert {name: OUTSIDE[name] - outside[name] for name in OUTSIDE if OUTSIDE[name] - outside[name]} == {}


@pytest.mark.parametrize("module", LIGHT)
def test_help_needs_nothing_heavy(module):
    for name in imports_of(MODULES[module], top_level_only=True):
        if name.partition(".")[0] == "genome_lm":
            assert inside(name) in ("", *LIGHT), f"{module} imports {name}"
        else:
            assert name.partition(".")[0] not in HEAVY


def test_the_mains_at_the_top_are_a_few_lines():
    for name in ("train.py", "evaluate.py"):
        path = PACKAGE.parent / name
        assert imports_of(path) == {"genome_lm.cli"}
        assert len(path.read_text().splitlines()) < 10


def test_what_is_imported_is_declared():
    """A dependency that only another one brings would be missed by whoever installs the wheel."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    extras = [name for extra in ("tensorboard", "motifs", "tune", "sweeps") for name in optional[extra]]
    declared = {re.match(r"[\w-]+", line)[0] for line in [*project["dependencies"], *extras]}
    names = {"hydra": "hydra-core", "yaml": "pyyaml", "vl_convert": "vl-convert-python"}
    used = {
        name.partition(".")[0]
        for path in MODULES.values()
        for name in imports_of(path)
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "genome_lm"}
    }
    assert {names.get(name, name) for name in used} <= declared


def test_the_readme_lists_every_file():
    """The layout has each file with the first line of its docstring."""
    readme = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    for path in MODULES.values():
        summary = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
        name = f"{path.parent.name}/" if path.name == "__init__.py" else path.name
        assert re.search(rf"^ +{re.escape(name)} +{re.escape(summary)}$", readme, re.MULTILINE), path
