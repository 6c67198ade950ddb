"""Processes that work together: which one failed, and none left behind. The ranks here load no torch."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from genome_lm.choices import Launcher
from genome_lm.errors import UserError
from genome_lm.ranks import launch
from genome_lm.ranks.started import Rank, started_by, started_rank

TESTS = Path(__file__).parent
WAIT_SECONDS = 60


def run(tmp_path: Path, behaviour: str, ranks: int = 2, **order: object) -> None:
    shared, logs = tmp_path / "shared", tmp_path / "logs"
    shared.mkdir(exist_ok=True)
    command = (sys.executable, "-P", str(TESTS / "small_rank.py"))
    launch.run_together(command, {"behaviour": behaviour, **order}, ranks, shared, logs, threads=3)


def pids(shared: Path, ranks: int = 2) -> list[int]:
    """Process ids of ranks, once all have written theirs."""
    end = time.monotonic() + WAIT_SECONDS
    files = [shared / f"{rank}.pid" for rank in range(ranks)]
    while time.monotonic() < end:
        texts = [file.read_text() if file.exists() else "" for file in files]
        if all(text.endswith("\n") for text in texts):
            return [int(text) for text in texts]
        time.sleep(0.02)
    raise AssertionError("the ranks did not start")


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def gone(processes: list[int]) -> bool:
    end = time.monotonic() + WAIT_SECONDS
    while any(alive(pid) for pid in processes) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(alive(pid) for pid in processes)


def test_each_rank_knows_its_number_and_the_order(tmp_path):
    run(tmp_path, "note", ranks=3, words="for all")
    for rank in range(3):
        noted = (tmp_path / "shared" / f"{rank}.txt").read_text()
        assert noted == f"{rank} of 3, 3 threads, for all"


def test_a_user_error_of_one_rank_is_the_error_of_all(tmp_path):
    with pytest.raises(UserError, match=r"^the data is not there; look for it$"):
        run(tmp_path, "refuse", culprit=1)


def test_the_first_exception_is_the_cause_and_its_traceback_is_kept(tmp_path):
    """The other rank fails after it, by an exception and by saying that a rank is lost."""
    for number, wake in enumerate(("late", "lost")):
        folder = tmp_path / wake
        folder.mkdir()
        with pytest.raises(UserError, match=r"^rank 1 of 2 failed: ZeroDivisionError: at rank 1; ") as caught:
            run(folder, "raise", culprit=1, wake=wake)
        log = folder / "logs" / "rank_1.txt"
        assert str(log) in str(caught.value), number
        assert "in _raise" in log.read_text()
        assert log.read_text().rstrip().endswith("ZeroDivisionError: at rank 1")


def test_an_exit_without_a_word(tmp_path):
    with pytest.raises(UserError, match=r"^rank 1 of 2 ended with exit code 7; "):
        run(tmp_path, "leave", culprit=1)


@pytest.mark.parametrize("deaf", [False, True], ids=["the other ends", "the other hangs"])
def test_a_killed_rank_ends_all(tmp_path, monkeypatch, deaf):
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.3 if deaf else WAIT_SECONDS)
    killed = []

    def kill() -> None:
        killed.extend(pids(tmp_path / "shared"))
        os.kill(killed[1], signal.SIGKILL)

    (tmp_path / "shared").mkdir()
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(UserError, match=r"^rank 1 of 2 was killed by SIGKILL"):
        run(tmp_path, "wait", deaf=deaf)
    killer.join()
    assert gone(killed)


def test_orphans_end(tmp_path):
    """The process that has started them is killed."""
    shared = tmp_path / "shared"
    shared.mkdir()
    code = (
        "import sys; from pathlib import Path; import test_ranks; "
        f"test_ranks.run(Path({str(tmp_path)!r}), 'wait', deaf=True)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=TESTS)
    processes = pids(shared)
    assert all(alive(pid) for pid in processes)
    parent.kill()
    parent.wait()
    assert gone(processes)


@pytest.mark.parametrize("number", launch.TERMINATION_SIGNALS)
def test_termination_is_passed_on(tmp_path, capfd, number):
    shared = tmp_path / "shared"
    shared.mkdir()
    processes = []

    def terminate() -> None:
        processes.extend(pids(shared))
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    other = threading.Thread(target=terminate)
    other.start()
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, "save", signal=number)
    other.join()
    assert caught.value.code == 143
    assert capfd.readouterr().err == "terminated\n"
    assert [(shared / f"{rank}.saved").exists() for rank in range(2)] == [True, True]
    assert gone(processes)
    assert signal.getsignal(number) == before


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
SLURM = {
    "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1", "SLURM_NNODES": "2",
    "SLURM_STEP_NUM_TASKS": "4",
}  # fmt: skip


@pytest.mark.parametrize(
    ("launcher", "environment"), [(Launcher.torchrun, TORCHRUN), (Launcher.slurm, SLURM)]
)
def test_the_rank_in_the_environment(launcher, environment):
    assert started_by(environment) is launcher
    rank = started_rank(launcher, environment)
    assert rank == Rank(number=3, world=4, local=1, per_node=2)
    assert rank.nodes == 2
    for name in environment:
        if name != "SLURM_STEP_NUM_TASKS":
            with pytest.raises(UserError, match=f"{name} is 'x' in the environment"):
                started_rank(launcher, environment | {name: "x"})
            with pytest.raises(UserError, match=f"{name} is not set in the environment; start"):
                started_rank(launcher, {key: value for key, value in environment.items() if key != name})


def test_who_started_it():
    assert started_by({}) is None
    assert started_by({"RANK": "0", "WORLD_SIZE": "1"}) is None
    batch_script = {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_NNODES": "2"}
    assert started_by(batch_script) is None
    assert started_by(batch_script | {"SLURM_PROCID": "1"}) is Launcher.slurm


@pytest.mark.parametrize(
    ("launcher", "environment"),
    [
        (Launcher.torchrun, TORCHRUN | {"LOCAL_WORLD_SIZE": "3"}),
        (Launcher.torchrun, TORCHRUN | {"LOCAL_WORLD_SIZE": "0"}),
        (Launcher.slurm, SLURM | {"SLURM_NNODES": "3"}),
        (Launcher.slurm, SLURM | {"SLURM_NNODES": "0"}),
    ],
)
def test_uneven_nodes_are_refused(launcher, environment):
    with pytest.raises(UserError, match="expected as many on each"):
        started_rank(launcher, environment)
