"""What `genome-lm predict` refuses, and that a failure leaves no file behind."""

import numpy as np
import pytest
from small_genome import contents, random_letters, write_fasta
from small_run import run_command

from genome_lm.dataset.reading import embedded_dataset_path

CPU = ("predict.threads=1", "predict.accelerator=cpu")


def refused(capsys, *arguments: str) -> str:
    capsys.readouterr()
    assert run_command("predict", *CPU, *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("genome-lm: error: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (
            ["output=out.csv"],
            "output out.csv: the end of the name decides on the format; expected one of .tsv",
        ),
        (["output=.tsv"], "output .tsv: the end of the name decides"),
        (["output=there.tsv"], "output there.tsv exists; choose another name, or overwrite=true"),
        (["output=some.fa", "overwrite=true"], "output some.fa: the end of the name decides"),
        (["output=out.h5", "layout=wide"], "layout=wide is for tables, but output is out.h5"),
        (["output=out.h5", "only_calls=true"], "only_calls=true is for tables"),
        (["output=out.tsv", "only_calls=true", "layout=wide"], "only_calls=true needs layout=long"),
        (["output=out.tsv", "only_calls=true", "thresholds=none"], "would write nothing"),
        (["output=out.tsv", "thresholds=high"], "thresholds is high; expected auto, none, or a probability"),
        (["output=out.tsv", "thresholds=1"], "thresholds is 1; expected"),
        (["output=out.tsv", "stride_bp=61"], "stride_bp is 61; expected 1 to 60"),
        (["output=out.tsv", "predict.batch_size=0"], "predict.batch_size is 0"),
        (["output=out.tsv", "predict.threads=0"], "predict.threads is 0"),
        (["output=out.tsv", "long=middle"], "long: Invalid value 'middle', expected one of [tile, centre]"),
        (["output=out.tsv", "fasta=no.fa"], "cannot read no.fa"),
        (["output=out.tsv", "bed=no.bed"], "cannot read no.bed"),
        (["output=out.tsv", "bed=bad.bed"], "bad.bed: line 1: a:50-61: past the chromosome's end at 60"),
        (["output=out.tsv", "tasks.ids=[nothing]"], "task id 'nothing' does not exist in"),
        (["output=out.tsv", "tasks.groups=[tff]"], "group 'tff' does not exist in"),
        (["output=out.tsv", "data.path=no.h5"], "dataset no.h5 does not exist"),
        (["output=out.tsv", "windows=3"], "windows does not exist"),
        (["-m", "output=a.tsv,b.tsv"], "predict runs one job at a time"),
        ([], "output must be given; see genome-lm predict --help"),
    ],
)
def test_refusals_leave_nothing_behind(checkpoint, tmp_path, monkeypatch, capsys, arguments, answer):
    write_fasta(tmp_path / "some.fa", {"a": random_letters(60)})
    (tmp_path / "bad.bed").write_text("a\t50\t61\n")
    (tmp_path / "there.tsv").write_text("old")
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    fasta = [] if any(each.startswith("fasta=") for each in arguments) else ["fasta=some.fa"]
    assert answer in refused(capsys, f"ckpt_path={checkpoint}", *fasta, *arguments)
    assert contents(tmp_path) == before
    assert (tmp_path / "there.tsv").read_text() == "old"


def test_no_input_is_overwritten_whichever_way_it_is_found(checkpoint, small_file, tmp_path, capsys):
    """The checkpoint, its evaluation's table and the dataset are known only once the checkpoint is read."""
    fasta = write_fasta(tmp_path / "some.fa", {"a": random_letters(60)})
    weights, data = tmp_path / "c.h5", tmp_path / "d.h5"
    (tmp_path / "evaluation").mkdir()
    table = tmp_path / "evaluation" / "tasks.tsv"
    table.write_text("id\tthreshold_model\n")
    weights.write_bytes(checkpoint.read_bytes())
    data.write_bytes(small_file.read_bytes())
    (tmp_path / "link.h5").symlink_to(data)
    before = {path: path.read_bytes() for path in (weights, data, table, small_file)}
    recorded = f"output={small_file}"  # what the checkpoint says that it was trained on
    given = (f"data.path={data}",)
    for output, more in (
        (f"output={weights}", ()),
        (f"output={data}", given),
        (f"output={tmp_path / 'link.h5'}", given),
        (f"output={table}", ()),
        (recorded, ()),
        (recorded, ("thresholds=none",)),
    ):
        arguments = (f"ckpt_path={weights}", f"fasta={fasta}", output, *more, "overwrite=true")
        assert "is one of the inputs; choose another name" in refused(capsys, *arguments)
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_of_several_runs(checkpoint, tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.ckpt").write_bytes(checkpoint.read_bytes())
    arguments = (f"ckpt_path={tmp_path}", "fasta=some.fa", f"output={tmp_path}/o.tsv")
    assert "holds 2 checkpoints, such as" in refused(capsys, *arguments)


def test_no_thresholds_to_be_had(checkpoint, tmp_path, capsys):
    """No evaluation, and a dataset that is not the one trained on."""
    fasta = write_fasta(tmp_path / "some.fa", {"a": random_letters(60)})
    arguments = (f"fasta={fasta}", f"output={tmp_path}/o.tsv", f"data.path={embedded_dataset_path()}")
    answer = refused(capsys, f"ckpt_path={checkpoint}", *arguments)
    assert "there is no evaluation" in answer
    assert "is not the dataset that it was trained on" in answer
    assert "thresholds=0.5" in answer


@pytest.mark.parametrize("name", ["out.tsv", "out.tsv.gz", "out.h5"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_run_that_is_cut_short_leaves_the_old_file(checkpoint, tmp_path, monkeypatch, name, failure):
    fasta = write_fasta(tmp_path / "some.fa", {"a": random_letters(600)})
    (tmp_path / name).write_text("old")
    before = contents(tmp_path)
    met = []

    def broken(network, codes, **_):
        met.append(len(codes))
        if len(met) == 2:
            raise failure
        return np.zeros((len(codes), network.head.n_tasks), dtype=np.float32)

    monkeypatch.setattr("genome_lm.commands.predict.predict_codes", broken)
    arguments = (f"fasta={fasta}", f"output={tmp_path / name}", "overwrite=true", "predict.batch_size=4")
    code = run_command("predict", f"ckpt_path={checkpoint}", "thresholds=0.5", *arguments, *CPU)
    assert code == (130 if failure is KeyboardInterrupt else 2)
    assert met == [4, 4]
    assert contents(tmp_path) == before
    assert (tmp_path / name).read_text() == "old"


def test_logits_that_are_not_finite_are_refused(checkpoint, tmp_path, monkeypatch, capsys):
    fasta = write_fasta(tmp_path / "some.fa", {"a": random_letters(60)})
    monkeypatch.setattr(
        "genome_lm.commands.predict.predict_codes",
        lambda network, codes, **_: np.full((len(codes), network.head.n_tasks), np.nan, dtype=np.float32),
    )
    arguments = (
        f"ckpt_path={checkpoint}",
        f"fasta={fasta}",
        f"output={tmp_path / 'o.tsv'}",
        "thresholds=0.5",
    )
    assert "gives logits that are not finite" in refused(capsys, *arguments)
    assert contents(tmp_path) == {"some.fa"}
