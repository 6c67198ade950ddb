"""All models of conf/model and recipes of results.yaml at an equal budget: the tables of docs/results.md.

    python benchmarks/results.py calibrate --threads 1     # on an idle machine: some 10 s a model
    python benchmarks/results.py plan --seconds 180 --cores 2 --jobs 2
    python benchmarks/results.py run --seconds 180 --cores 2 --jobs 2
    python benchmarks/results.py table                     # validation only
    python benchmarks/results.py table --test --output docs/results_table.md

The budget is counted in core-seconds of the training loop: --seconds times --cores. With --jobs 2 on two
cores two trainings run side by side on one thread each, and each gets 2 x 180 s of its thread; with --jobs 1
one training at a time has both cores for 180 s. How many steps that is, is reckoned from the speeds that
`calibrate` measured on the idle machine with that number of threads, so a busy machine makes a run longer and
not worse. The steps are cut into equal parts of at most one pass over the windows, and validated after each
(not counted); the schedule of the learning rate ends with the last step.

`run` trains, then evaluates; what is done is skipped, so it can be stopped and started again. Recipes are
compared on validation; `table --test` shows test figures beside that, in the same order.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from results_plan import Contest, Plan, Recipe, Speed, plan_for, read_contest
from results_runs import evaluate_runs, is_trained, keep_speed, known_speed, share_out, train_run
from results_table import (
    ENSEMBLES,
    PLAN_FILE,
    best_four,
    budget_words,
    read_entries,
    run_name,
    task_set,
    test_table,
    valid_table,
)

from genome_lm.atomic import write_text
from genome_lm.provenance import code_version, library_versions

BUSY = 0.85
"""CPU time over wall time below which a training had to wait for its cores."""
IDLE = 0.5
"""Load average above which the machine was not idle in the last minute."""


def calibrate(given: argparse.Namespace, contest: Contest) -> int:
    """Measure the speed of every recipe that has none yet for this number of threads."""
    from results_speed import measure

    if (load := os.getloadavg()[0]) > IDLE:  # others slow a core's caches and memory down, not only its clock
        print(
            f"load average {load:.1f}: other work runs here, and speeds will come out too low",
            file=sys.stderr,
        )
    busy = 0
    for recipe in contest.recipes:
        if not given.again and known_speed(given.folder, recipe, given.threads) is not None:
            continue
        try:
            speed = measure(recipe.overrides, given.threads, given.seconds)
        except RuntimeError as error:
            print(f"{recipe.name:<20} failed: {error}")
            busy += 1
            continue
        note = "" if speed.cpu_share >= BUSY else "   the machine was busy: not kept, measure again"
        busy += bool(note)
        if not note or given.keep_busy:
            keep_speed(given.folder, recipe.name, given.threads, speed)
        slow = speed.first_pass_windows_per_second
        first = f" ({slow:,.0f} in the first pass)" if slow is not None else ""
        print(
            f"{recipe.name:<20} {speed.windows_per_second:>8,.0f} windows/s{first}, "
            f"CPU {speed.cpu_share:.0%}{note}",
            flush=True,
        )
    return 1 if busy else 0


def plan(given: argparse.Namespace, contest: Contest) -> int:
    """Print what each recipe would get."""
    for recipe, its_plan, speed in _plans(given, contest):
        print(
            f"{recipe.name:<20} {speed.windows_per_second:>8,.0f} windows/s {its_plan.passes:>6.1f} passes: "
            f"{its_plan.epochs} x {its_plan.batches} steps of {its_plan.batch_size}"
        )
    return 0


def run(given: argparse.Namespace, contest: Contest) -> int:
    """Train and evaluate what is not yet."""
    threads, seconds = given.cores // given.jobs, given.seconds * given.jobs
    failed: list[str] = []
    trainings, evaluations = [], []
    for recipe, its_plan, speed in _plans(given, contest):
        for seed in recipe.seeds:
            folder = given.folder / run_name(recipe.name, seed)
            record = {
                "recipe": recipe.name,
                "overrides": list(recipe.overrides),
                "seed": seed,
                "threads": threads,
                "seconds": seconds,
                "windows_per_second": speed.windows_per_second,
                "first_pass_windows_per_second": speed.first_pass_windows_per_second,
                "passes": its_plan.passes,
                "max_passes": _most_passes(given, recipe),
                **dataclasses.asdict(its_plan),
            }
            if not is_trained(folder, record):
                trainings.append(lambda f=folder, r=recipe, p=its_plan, e=record: train_run(f, r, p, e))
            evaluations.append(lambda f=folder: evaluate_runs(given.folder, f, [f], threads))
    share_out(trainings, given.jobs, threads, failed)
    for ensemble in contest.ensembles:
        members = [
            given.folder / run_name(recipe.name, seed)
            for recipe in read_contest(given.recipes, given.seeds).recipes
            if recipe.name in ensemble.members
            for seed in recipe.seeds
        ]
        folder = given.folder / ENSEMBLES / ensemble.name
        evaluations.append(lambda f=folder, m=members: evaluate_runs(given.folder, f, m, threads))
    if not given.no_evaluate:
        # The first fits the regressions that all others find in the cache.
        share_out(evaluations[:1], 1, threads, failed)
        share_out(evaluations[1:], given.jobs, threads, failed)
    for each in failed:
        print(f"failed: {each}", file=sys.stderr)
    return 1 if failed else 0


def table(given: argparse.Namespace, contest: Contest) -> int:
    """Print or write the tables of what is done."""
    entries, missing = read_entries(given.folder, contest)
    for each in missing:
        print(f"left out: {each}", file=sys.stderr)
    trained = [entry for entry in entries if entry.trainings]
    if not trained:
        print("nothing is trained yet", file=sys.stderr)
        return 1
    runs = [given.folder / run_name(entry.name, entry.trainings[0].seed) for entry in trained]
    plans = [json.loads((each / PLAN_FILE).read_text(encoding="utf-8")) for each in runs]
    sections = [
        budget_words(plans),
        f"Tasks: {task_set(trained)}. Best at: the part of the training with the lowest validation "
        "perplexity. AUROC, AP and F1 are means over tasks; F1 on validation is at thresholds chosen there, "
        "so optimistic.",
        valid_table(entries),
        f"The best by validation perplexity: {', '.join(best_four(entries))}.",
    ]
    if given.test:
        sections += [
            "On test, in the same order. Wins: tasks on which F1 is higher than that of the k-mer regression "
            "at the network's context, of those with an F1; in square brackets the 95% interval from "
            "resampling blocks of the genome.",
            test_table(entries),
        ]
    if any(len(entry.trainings) > 1 for entry in entries):
        sections.append("In brackets after a mean: the standard deviation over seeds (n - 1).")
    versions = library_versions()
    sections.append(
        f"Made by `benchmarks/results.py` of genome_lm {code_version()}: Python {versions['python']}, "
        f"PyTorch {versions['torch']}, {platform.machine()}."
    )
    text = "\n\n".join(sections) + "\n"
    if given.output is None:
        print(text)
    else:
        write_text(given.output, text)
    return 0


def measure(given: argparse.Namespace, contest: Contest) -> int:
    """One speed, printed as JSON: what `calibrate` starts."""
    from results_speed import as_json, measure_here

    print(as_json(measure_here(given.overrides, given.threads, given.seconds)))
    return 0


def _plans(given: argparse.Namespace, contest: Contest) -> list[tuple[Recipe, Plan, Speed]]:
    """Raises SystemExit for a recipe without a speed, or a budget that is too short."""
    if given.cores % given.jobs:
        raise SystemExit(f"--cores {given.cores} cannot be shared by --jobs {given.jobs}; give a divisor")
    threads, plans = given.cores // given.jobs, []
    for recipe in contest.recipes:
        speed = known_speed(given.folder, recipe, threads)
        if speed is None:
            raise SystemExit(f"{recipe.name} has no speed; run calibrate --threads {threads} first")
        try:
            its_plan = plan_for(speed, given.seconds * given.jobs, _most_passes(given, recipe))
        except ValueError as error:
            raise SystemExit(f"{recipe.name}: {error}") from error
        plans.append((recipe, its_plan, speed))
    return plans


def _most_passes(given: argparse.Namespace, recipe: Recipe) -> float | None:
    return min((each for each in (recipe.max_passes, given.max_passes) if each is not None), default=None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--folder", type=Path, default=Path("runs/results"), help="where everything goes")
    shared.add_argument(
        "--recipes", type=Path, default=None, help="recipes and ensembles beside the models (YAML)"
    )
    shared.add_argument("--models", nargs="+", default=[], help="only these models, recipes and ensembles")
    shared.add_argument("--seeds", nargs="+", type=int, default=[0], help="of recipes that name none")
    budget = argparse.ArgumentParser(add_help=False)
    budget.add_argument("--seconds", type=float, required=True, help="of --cores cores")
    budget.add_argument("--cores", type=int, default=2)
    budget.add_argument(
        "--jobs", type=int, default=1, help="trainings side by side; each has cores / jobs threads"
    )
    budget.add_argument(
        "--max-passes", type=float, default=None, help="over the windows, even if more would fit"
    )
    for name, job, parents in (
        ("calibrate", calibrate, [shared]),
        ("plan", plan, [shared, budget]),
        ("run", run, [shared, budget]),
        ("table", table, [shared]),
        ("measure", measure, []),
    ):
        each = commands.add_parser(name, parents=parents, help=job.__doc__.splitlines()[0])
        each.set_defaults(job=job)
        if name in ("calibrate", "measure"):
            each.add_argument("--threads", type=int, default=1)
            each.add_argument("--seconds", type=float, default=5.0, help="timed, after a warm-up")
        if name == "calibrate":
            each.add_argument("--again", action="store_true", help="also what is measured already")
            each.add_argument(
                "--keep-busy", action="store_true", help="keep figures of a busy machine, to try things"
            )
        elif name == "run":
            each.add_argument("--no-evaluate", action="store_true")
        elif name == "table":
            each.add_argument("--test", action="store_true", help="test figures too")
            each.add_argument("--output", type=Path, default=None)
        elif name == "measure":
            each.add_argument("overrides", nargs="*")
    return parser


def main() -> int:
    parser = _parser()
    given = parser.parse_args()
    if given.command is None:
        parser.print_help()
        return 0
    contest = Contest((), ())
    if given.command != "measure":
        default = Path(__file__).with_name("results.yaml")
        given.recipes = given.recipes or (default if default.is_file() else None)
        given.folder = given.folder.absolute()
        try:
            contest = read_contest(given.recipes, given.seeds, given.models)
        except ValueError as error:
            parser.error(str(error))
    job: Callable[[argparse.Namespace, Contest], int] = given.job
    return job(given, contest)


if __name__ == "__main__":
    sys.exit(main())
