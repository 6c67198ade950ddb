"""`genome-lm doctor`: what it prints, its exit codes, and that it leaves nothing behind."""

import json
import socket

import numpy as np
import pytest
import torch
from planted import Chromosome, planted, spread
from small_run import TINY, files, run_command

from genome_lm.dataset.memory import available_bytes
from genome_lm.doctor.devices import (
    check_allocator,
    check_gpus,
    check_processor,
    check_threads,
    disagreement,
    judged,
)
from genome_lm.doctor.finding import Finding, Level, Section, some, to_text
from genome_lm.doctor.installation import check_packages, check_runs_dir, check_wandb
from genome_lm.doctor.machine import cpu_flags


def levels(report: dict) -> dict[str, str]:
    return {each["name"]: each["level"] for section in report["sections"].values() for each in section}


def test_a_training_that_can_begin(small_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def no_network(*_):
        raise AssertionError("the doctor asks no server")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    assert run_command("doctor", *TINY, f"data.path={small_file}", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["sections"]) == ["installation", "devices", "dataset", "training"]
    found = levels(report)
    assert report["problems"] == 0
    assert report["advice"] == sum(level == "advice" for level in found.values())
    for name in ("Python", "packages", "embedded dataset", "cpu", "shared bases", "bigru", "memory", "speed"):
        assert found[name] == "ok", report
    training = {each["name"]: each["text"] for each in report["sections"]["training"]}
    assert training["memory"].startswith("a batch of 128 takes ")
    assert "an epoch of 669 windows and 144 of validation takes" in training["speed"]
    assert files(tmp_path) == set()


def test_problems_are_text_and_exit_code_2(tmp_path, capsys):
    labels = np.random.default_rng(0).integers(0, 2, (60, 3), dtype=np.uint8)
    word = np.zeros(40, dtype=np.uint8)
    planted(
        tmp_path / "bad.h5",
        [Chromosome("chr21", spread(20, 20, 20), first=60_000_000)],
        labels,
        edit={0: word, 30: word},
    )
    shared = (*TINY, f"data.path={tmp_path / 'bad.h5'}", f"runs_dir={tmp_path / 'runs'}")
    assert run_command("doctor", *shared, "data.context_bp=40", "data.max_shift_bp=0") == 2
    captured = capsys.readouterr()
    assert captured.err == "genome-lm: error: 2 problems found; each is named above with what to change\n"
    assert (
        "  problem  assembly: chr21 has labels up to 60,002,384, in hg19 it ends at 48,129,895"
        in captured.out
    )
    assert (
        "  problem  valid windows in train: 1 of 20 (5.00%) have the 40 bp of a training window"
        in captured.out
    )
    assert "           -> prepare it again with the FASTA" in captured.out
    assert captured.out.splitlines()[-1].startswith("2 problems, ")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "name", "text"),
    [
        (("data.path=absent.h5",), "file", "dataset absent.h5 does not exist"),
        (("data.path=absent.h5",), "bigru", "not tried, since there is no dataset"),
        (("data.context_bp=2000",), "context", "data.context_bp is 2,000, the windows have 1,000 bp"),
        (("data.tasks.groups=[none]",), "tasks", "group 'none' does not exist in"),
        (("data.context_bp=2",), "bigru", "this tokenizer needs at least 3 bp"),
        (("trainer.max_epochs=0",), "bigru", "trainer.max_epochs is 0; expected at least 1"),
    ],
)
def test_what_cannot_be_trained_is_a_finding_and_no_traceback(
    arguments, name, text, small_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run_command("doctor", *TINY, f"data.path={small_file}", *arguments, "json=true") == 2
    report = json.loads(capsys.readouterr().out)
    found = [each for section in report["sections"].values() for each in section if each["name"] == name]
    assert any(text in each["text"] for each in found), found
    assert files(tmp_path) == set()


def test_a_language_model_is_looked_over_too(small_file, tmp_path, capsys):
    shared = (*TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", "--json")
    assert run_command("doctor", *shared, "task=language_model", "task.markov_order=1") == 0
    report = json.loads(capsys.readouterr().out)
    assert levels(report)["speed"] == "ok"
    assert "rare tasks" not in levels(report)


def test_mistakes_are_those_of_train(capsys):
    assert run_command("doctor", "data.batchsize=3") == 2
    assert "did you mean data.batch_size?" in capsys.readouterr().err
    assert run_command("doctor", "-m", "seed=1,2") == 2
    assert "doctor looks at one configuration at a time" in capsys.readouterr().err
    assert run_command("doctor", "--help") == 0
    assert capsys.readouterr().out.count("\n  genome-lm doctor") >= 3


def test_packages_against_their_bounds():
    requirements = [
        "numpy>=2", "pytest<1", "no-such-package-at-all>=1", 'never>1; python_version < "3"',
        'optuna>=1; extra == "tune"', 'no-such-package-at-all; extra == "sweeps"',
        'numpy; extra == "motifs"', 'numpy<1; extra == "motifs"', 'pytest<1; extra == "dev"',
    ]  # fmt: skip
    found = {each.name: each for each in check_packages(requirements, "3.11.2", ">=3.11")}
    assert {name: each.level.value for name, each in found.items()} == {
        "Python": "ok", "pytest": "problem", "no-such-package-at-all": "problem",
        "[motifs]": "advice", "[tune]": "ok", "[sweeps]": "ok",
    }  # fmt: skip
    assert found["pytest"].remedy == "pip install 'pytest<1'"
    assert found["no-such-package-at-all"].text == "is not installed, expected >=1"
    assert found["[sweeps]"].text.endswith("pip install 'genome-lm[sweeps]'")
    names = [each.name for each in check_packages(["numpy>=2"], "3.10.1", ">=3.11") if each.level != "ok"]
    assert names == ["Python"]


def test_wandb_is_read_from_where_its_login_leaves_the_key(tmp_path):
    assert "not logged in to api.wandb.ai" in check_wandb(tmp_path, {}).text
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password 0123\n")
    assert check_wandb(tmp_path, {}).text == "logged in to api.wandb.ai: logger=wandb logs online"
    assert (
        "not logged in to mine.org" in check_wandb(tmp_path, {"WANDB_BASE_URL": "http://mine.org:8080"}).text
    )
    assert "WANDB_API_KEY is set" in check_wandb(tmp_path, {"WANDB_API_KEY": "0"}).text
    assert "WANDB_MODE=offline decides" in check_wandb(tmp_path, {"WANDB_MODE": "offline"}).text


def test_the_folder_of_runs(tmp_path, monkeypatch):
    assert check_runs_dir(tmp_path / "a" / "b", 1).level is Level.ok
    assert not (tmp_path / "a").exists()
    assert check_runs_dir(tmp_path, 10**18).level is Level.problem
    (tmp_path / "file").touch()
    assert check_runs_dir(tmp_path / "file" / "runs", 1).text.endswith("file is no folder")
    monkeypatch.setattr("genome_lm.doctor.installation.ENOUGH_BYTES", 10**18)
    assert check_runs_dir(tmp_path, 10**6).level is Level.advice

    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert check_runs_dir(tmp_path, 1).text.endswith("cannot be written: Permission denied")


def test_a_device_is_judged_by_what_it_computes(monkeypatch):
    off = disagreement(torch.device("cpu"))
    assert 0 < off < 1e-5
    assert judged("cpu", "", off).level is Level.ok
    for wrong in (0.01, float("nan")):
        assert judged("cuda:0", "", wrong).level is Level.problem
    original = torch.nn.GRU.forward
    monkeypatch.setattr(
        torch.nn.GRU,
        "forward",
        lambda self, tokens: original(self, tokens if tokens.dtype == torch.float64 else tokens * 1.01),
    )
    assert disagreement(torch.device("cpu")) > 1e-3


def test_gpus_that_torch_does_not_see(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    driver = tmp_path / "version"
    monkeypatch.setattr(torch.version, "cuda", None)
    assert check_gpus(0, driver) == [Finding("GPU", Level.ok, "none")]
    assert check_gpus(1, driver)[0].level is Level.problem
    driver.touch()
    assert "a build without GPUs" in check_gpus(0, driver)[0].text
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    (found,) = check_gpus(0, driver)
    assert (found.level, "update the driver" in found.remedy) == (Level.advice, True)
    assert check_gpus(1, driver)[0].level is Level.problem


def test_processor_threads_and_allocator():
    assert check_processor(frozenset(), "bf16", "cpu").level is Level.advice
    assert check_processor(frozenset(), "bf16", "cuda").level is Level.ok
    assert "AMX BF16" in check_processor(frozenset({"amx_bf16"}), "float32", "cpu").text

    def names(*arguments) -> list[tuple[str, str]]:
        return [(each.name, each.level.value) for each in check_threads(*arguments)]

    assert names(4, None, 4, 0.1, {}) == [("threads", "ok")]
    assert names(1, None, 4, 0.1, {"OMP_NUM_THREADS": "1"}) == [("threads", "advice")]
    assert names(4, 1, 4, 0.1, {}) == [("threads", "ok")]
    assert names(4, 8, 4, 9.0, {"OMP_WAIT_POLICY": "ACTIVE"}) == [
        ("threads", "advice"), ("load", "advice"), ("OMP_WAIT_POLICY", "advice")
    ]  # fmt: skip
    assert check_allocator(False, False, "cpu").level is Level.advice
    for keeps, chosen, where in ((True, True, "cpu"), (False, True, "cpu"), (False, False, "cuda")):
        assert check_allocator(keeps, chosen, where).level is Level.ok


def test_memory_and_instructions_as_linux_tells_them(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags\t: fpu avx2 amx_bf16\n\nflags : none\n")
    assert cpu_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "amx_bf16"}
    assert cpu_flags(tmp_path / "absent") == frozenset()
    assert available_bytes(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2000 kB\n")
    assert available_bytes(tmp_path) == 2_048_000
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) == 2_048_000
    (group / "memory.max").write_text("1000000\n")
    (group / "memory.current").write_text("700000\n")
    (group / "memory.stat").write_text("anon 5\nfile 200000\n")
    assert available_bytes(tmp_path) == 500_000


def test_findings_as_text():
    section = Section(
        "dataset", [Finding("a", Level.ok, "word " * 40), Finding("b", Level.problem, "c", "d")]
    )
    first, second, *last = to_text(section).splitlines()
    assert first == "dataset"
    assert second.startswith("  ok       a: word word")
    assert last[-2:] == ["  problem  b: c", "           -> d"]
    assert all(len(line) <= 118 for line in last)
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert some(["a"]) == "a"
