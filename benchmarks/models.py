"""Training windows per second and peak memory of every model of conf/model, against torch's GRU over bases.

    python benchmarks/models.py                # all models at 100, 200 and 1,000 bp, and growth with length
    python benchmarks/models.py --quick        # one round of fewer steps
    python benchmarks/models.py --models mingru bigru --lengths 500 --precision bf16 --threads 2

A network is tokens, stem, encoder, pooling and head, without window features, which would hide the encoders'
speed. A step is forward, loss of 374 tasks, backward, clipping and AdamW, on random bases that lie in memory.
Each measurement is a process of its own, so that its peak memory is its own; rounds over all of them are
repeated, and a ratio is the median over the rounds of two measurements of the same round. The rival of a
model is torch.nn.GRU over one-hot bases with as many layers, directions and state features; for models
without a recurrence one layer of 128 in one direction. Models whose own tokens are words are measured over
bases, too. On a GPU (or with --count) the table goes on with TFLOP/s, TB/s and the share of the roofline: the
least time that the products at the peak rate, or the bytes at the peak bandwidth, would take, over the time
taken. Needs torch, Lightning and PyYAML, not Hydra.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
from dataclasses import dataclass, replace
from typing import Any

import torch
from model_files import configuration, gru_like, model_names, network_of, reads_characters
from training_step import Measured, Setting, measure

from genome_lm.subnormals import subnormals_as_zeros

WIDEST = 128
LENGTHS_BP = (100, 200, 1_000)
GROWTH_BP = (100, 200, 500, 1_000, 2_000, 4_000)
GROWTH_MODELS = ("mingru", "minlstm")

Measurements = dict[tuple[str, int], list[Measured]]


@dataclass(frozen=True)
class Row:
    """A line of the table: a model with its tokens, and the name of its rival."""

    name: str
    config: dict[str, Any]
    rival: str


@dataclass(frozen=True)
class Roof:
    """Peak rates of a device: operations and bytes a second; None where not known."""

    flops: float | None
    bytes: float | None


def rows_of(names: list[str], characters_only: bool = False) -> tuple[list[Row], dict[str, dict[str, Any]]]:
    """The models over their own tokens and over characters, and the rivals by name."""
    rows: list[Row] = []
    rivals: dict[str, dict[str, Any]] = {}
    for name in names:
        own = configuration(name)
        for characters in (True,) if characters_only else (False, True):
            config = configuration(name, characters)
            if characters and (reads_characters(own) or any(_same(row.config, config) for row in rows)):
                continue  # bases are its own tokens, or another model of the list is the same over them
            with torch.device("meta" if reads_characters(config) else "cpu"):
                width = network_of(config, max(LENGTHS_BP), 1).encoder.width
            # One head for all rivals, so that models of one shape share their rival.
            rival = gru_like({**config, "head": configuration("bigru")["head"]}, width, WIDEST)
            encoder = rival["encoder"]
            sides = "2 x " if encoder["bidirectional"] else ""
            label = f"GRU {encoder['num_layers']} of {sides}{encoder['hidden_size']}"
            rivals[label] = rival
            words = not reads_characters(own)
            rows.append(Row(f"{name}, bases" if characters and words else name, config, label))
    return rows, rivals


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two models differ in their heads at most."""
    return all(one[part] == other[part] for part in ("tokenizer", "stem", "encoder"))


def processes() -> Any:
    """How processes are started: where the system can fork, from one that has imported torch already."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(["training_step"])
    return context


def _child(pipe: Any, config: dict[str, Any], length: int, setting: Setting) -> None:
    with subnormals_as_zeros():  # as in training
        pipe.send(measure(config, length, setting))


def in_own_process(context: Any, config: dict[str, Any], length: int, setting: Setting) -> Measured:
    """A measurement in a fresh process; a process that dies (of lack of memory, say) is a reason."""
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, config, length, setting))
    process.start()
    sender.close()
    try:
        measured: Measured = receiver.recv()
    except EOFError:
        process.join()
        measured = Measured(reason=f"its process ended with exit status {process.exitcode}")
    process.join()
    return measured


def rounds(
    configs: dict[str, dict[str, Any]], lengths: list[int], setting: Setting, repeats: int
) -> Measurements:
    """Every network at every length, `repeats` times over."""
    found: Measurements = {}
    context = processes()
    for number in range(repeats):
        setting = replace(setting, count=setting.count and number == 0)  # it is the same every time
        for length in lengths:
            for name, config in configs.items():
                earlier = found.setdefault((name, length), [])
                if earlier and earlier[0].reason:
                    continue
                earlier.append(in_own_process(context, config, length, setting))
                rate = earlier[-1].reason or f"{earlier[-1].windows_per_second:,.1f} windows/s"
                print(f"round {number + 1}: {name}, {length} bp: {rate}", file=sys.stderr, flush=True)
    return found


def speed(measured: list[Measured]) -> float:
    """Median windows per second."""
    return statistics.median(each.windows_per_second for each in measured)


def ratio(model: list[Measured], rival: list[Measured]) -> float:
    """Median over the rounds of the model's speed over its rival's."""
    pairs = zip(model, rival, strict=True)
    return statistics.median(here.windows_per_second / there.windows_per_second for here, there in pairs)


def table(rows: list[Row], found: Measurements, length: int, setting: Setting, roof: Roof) -> str:
    """Markdown: one line a model, fastest first, and below it why some are missing."""
    columns = [
        "model",
        "parameters",
        "windows/s",
        "peak MB",
        "torch.nn.GRU over bases",
        "its windows/s",
        "ratio",
    ]
    if setting.count:
        columns += ["TFLOP/s", "of peak", "TB/s", "of peak", "of the roofline"]
    lines, missing = [], []
    for row in rows:
        model, rival = found[row.name, length], found[row.rival, length]
        if model[0].reason:
            missing.append(f"- {row.name}: {model[0].reason}")
            continue
        rate, against = speed(model), "-"
        cells = [row.name, f"{model[0].parameters:,}", f"{rate:,.0f}", f"{model[0].peak_mb:,.0f}", row.rival]
        if rival[0].reason:
            cells += [against, against]
        else:
            cells += [f"{speed(rival):,.0f}", f"{ratio(model, rival):.2f}"]
        if setting.count:
            cells += roofline(model[0], rate / setting.batch, roof)
        lines.append((rate, "| " + " | ".join(cells) + " |"))
    text = [f"### {length:,} bp", "", "| " + " | ".join(columns) + " |"]
    text.append("|---|" + "---:|" * (len(columns) - 1))
    text += [line for _, line in sorted(lines, reverse=True)]
    return "\n".join(text + (["", "Not run:", *missing] if missing else [])) + "\n"


def roofline(model: Measured, steps_per_second: float, roof: Roof) -> list[str]:
    """TFLOP/s and TB/s, their shares of the peaks, and the share of the roofline."""
    rates = (model.flops * steps_per_second, model.bytes * steps_per_second)
    cells, shares = [], []
    for rate, peak in zip(rates, (roof.flops, roof.bytes), strict=True):
        shares.append(rate / peak if peak else 0.0)
        cells += [f"{rate / 1e12:.3g}", f"{shares[-1]:.1%}" if peak else "-"]
    return [*cells, f"{max(shares):.1%}" if roof.flops and roof.bytes else "-"]


def growth_table(rows: list[Row], found: Measurements, lengths: list[int]) -> str:
    """Markdown: milliseconds a window by length, and the ratio to the rival of the same shape."""
    names = [name for row in rows for name in (row.name, row.rival)]
    names = list(dict.fromkeys(names))
    text = [
        "| bp | "
        + " | ".join(f"{name}, ms" for name in names)
        + " | "
        + " | ".join(f"{row.name}: ratio" for row in rows)
        + " |"
    ]
    text.append("|---:|" + "---:|" * (len(names) + len(rows)))
    for length in lengths:
        cells = [f"{length:,}"]
        cells += [f"{1e3 / speed(found[name, length]):.2f}" for name in names]
        cells += [f"{ratio(found[row.name, length], found[row.rival, length]):.2f}" for row in rows]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def arguments_of() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", metavar="NAME", help="default: all of conf/model")
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS_BP), metavar="BP")
    parser.add_argument("--growth", choices=("too", "only", "no"), default="too")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--batch", type=int, default=64, help="windows a step")
    parser.add_argument("--tasks", type=int, default=374)
    parser.add_argument("--threads", type=int, default=1, help="of torch, on CPU")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--seconds", type=float, default=0.5, help="least time of a measurement")
    parser.add_argument("--cpu-clock", action="store_true", help="processor seconds, on a busy machine")
    parser.add_argument("--count", action="store_true", help="operations and bytes, also on CPU")
    parser.add_argument("--peak-tflops", type=float, help="default on a GPU: an H200's, 989 bf16, 67 float32")
    parser.add_argument("--peak-tbs", type=float, help="TB/s; default on a GPU: an H200's, 4.8")
    parser.add_argument("--quick", action="store_true", help="one round, batches of 16, two steps")
    return parser.parse_args()


def main() -> None:
    arguments = arguments_of()
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    bf16 = arguments.precision == "bf16"
    quick = arguments.quick
    setting = Setting(
        device=device,
        bf16=bf16,
        batch=16 if quick else arguments.batch,
        n_tasks=arguments.tasks,
        threads=arguments.threads,
        seconds=0.0 if quick else arguments.seconds,
        cpu_clock=arguments.cpu_clock,
        count=arguments.count or device == "cuda",
    )
    repeats = 1 if quick else arguments.repeats
    gpu = device == "cuda"
    tflops = arguments.peak_tflops or ((989.0 if bf16 else 67.0) if gpu else None)
    tbs = arguments.peak_tbs or (4.8 if gpu else None)
    roof = Roof(tflops * 1e12 if tflops else None, tbs * 1e12 if tbs else None)
    # Sleeping threads: other processes on the machine would otherwise wait for those that spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    where = torch.cuda.get_device_name() if gpu else f"CPU, {setting.threads} threads"
    clock = ", processor time" if setting.cpu_clock else ""
    print(
        f"{where}, torch {torch.__version__}, {arguments.precision}, batches of {setting.batch}, "
        f"{setting.n_tasks} tasks, median of {repeats} rounds{clock}\n"
    )
    if arguments.growth != "only":
        rows, rivals = rows_of(arguments.models or model_names())
        configs = rivals | {row.name: row.config for row in rows}
        found = rounds(configs, arguments.lengths, setting, repeats)
        for length in arguments.lengths:
            print(table(rows, found, length, setting, roof), flush=True)
    if arguments.growth != "no":
        rows, rivals = rows_of(list(GROWTH_MODELS), characters_only=True)
        lengths = list(GROWTH_BP[:4] if quick else GROWTH_BP)
        found = rounds(rivals | {row.name: row.config for row in rows}, lengths, setting, repeats)
        print("### Growth with length: milliseconds a window\n\n" + growth_table(rows, found, lengths))


if __name__ == "__main__":
    main()
