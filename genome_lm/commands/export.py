"""Export the model in a checkpoint as safetensors: weights and description, nothing of the training."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from genome_lm.atomic import check_output
from genome_lm.checkpoint import read_checkpoint, read_content
from genome_lm.choices import TaskKind
from genome_lm.commands.arguments import Parser
from genome_lm.commands.checkpoints import checkpoint_paths
from genome_lm.errors import UserError
from genome_lm.exported import SUFFIX, Stored, write_exported
from genome_lm.language.checkpoint import read_language_checkpoint

DESCRIPTION = """\
Write the network of a checkpoint as one safetensors file, which can hold no code: weights and, as JSON in
its header, everything that the checkpoint says about itself. evaluate, predict and model.init_from take the
file where they take a checkpoint. A training cannot go on from it: the optimizer's state stays behind."""

EXAMPLES = """\
examples
  genome-lm export runs/2026-01-31_12-00-00_bigru
  genome-lm export runs/2026-01-31_12-00-00_bigru/checkpoints/last.ckpt --output bigru.safetensors
  genome-lm predict ckpt_path=bigru.safetensors fasta=my.fa output=my.tsv thresholds=none"""


def export(arguments: Sequence[str]) -> None:
    """Run the command.

    Args:
        arguments: its command line.

    Raises:
        UserError: bad arguments, a checkpoint that cannot be used, or an output that exists or cannot be
            written.
        SystemExit: after --help.
    """
    given = _parser().parse_args(arguments)
    paths = checkpoint_paths(str(given.checkpoint), Path())
    if len(paths) > 1:
        raise UserError(f"{given.checkpoint} holds {len(paths)} checkpoints, such as {paths[0]}; give one")
    (path,) = paths
    output = given.output or path.with_suffix(SUFFIX)
    check_output(output, [path], f"model{SUFFIX}")
    if output.suffix != SUFFIX:
        raise UserError(f"output {output} does not end in {SUFFIX}; give such a name")
    if output.exists() and not given.overwrite:
        raise UserError(f"output {output} exists; choose another name, or give --overwrite")
    content = read_content(path)
    (read_checkpoint if content.kind == TaskKind.multitask else read_language_checkpoint)(path)  # checks it
    write_exported(output, Stored(content.description, content.weights, content.epochs))
    numbers = sum(value.numel() for value in content.weights.values())
    print(f"{output}: {len(content.weights)} tensors of {numbers:,} numbers, {output.stat().st_size:,} bytes")
    for name in ("dataset", "sequence"):
        about = content.description.get(name)
        place = about.get("path") if isinstance(about, dict) else None
        if place:
            print(f"it says where the {name} was on this machine: {place}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="genome-lm export",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="RUN_DIR_OR_CHECKPOINT",
        help="a run folder (its best checkpoint) or a checkpoint file",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where the model goes (default: beside the checkpoint, ending in {SUFFIX})",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    return parser
