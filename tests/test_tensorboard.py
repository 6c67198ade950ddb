"""TensorBoard: what is in the event files after training and after an evaluation."""

import json
import struct

import pytest
from small_run import TINY, run_command, run_folders
from small_tracking import N_TASKS, png, write_small_evaluation
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from genome_lm.tracking.evaluation import log_evaluation
from genome_lm.tracking.tensorboard_run import HEADLINE


@pytest.fixture(scope="module")
def folder(small_file, tmp_path_factory):
    """A run of two epochs with logger=tensorboard, evaluated."""
    runs = tmp_path_factory.mktemp("tensorboard")
    assert (
        run_command("train", *TINY, "logger=tensorboard", f"data.path={small_file}", f"runs_dir={runs}") == 0
    )
    (run_dir,) = run_folders(runs)
    log_evaluation(run_dir, write_small_evaluation(run_dir))
    return run_dir


@pytest.fixture(scope="module")
def events(folder) -> EventAccumulator:
    everything = {"scalars": 0, "images": 0, "tensors": 0}
    return EventAccumulator(str(folder / "tensorboard"), size_guidance=everything).Reload()


def text(events: EventAccumulator, name: str) -> str:
    (event,) = events.Tensors(f"{name}/text_summary")
    return event.tensor_proto.string_val[0].decode()


def test_the_curves_of_the_training_are_kept(events, folder):
    result = json.loads((folder / "training.json").read_text())
    values = [event.value for event in events.Scalars("valid/perplexity")]
    assert len(values) == 2
    assert min(values) == pytest.approx(result["valid_perplexity"])
    assert events.Scalars("best/valid_perplexity")[0].value == pytest.approx(result["valid_perplexity"])


def test_figures_of_the_summary_are_at_the_best_epoch(events, folder):
    best = json.loads((folder / "training.json").read_text())["best_epoch"]
    for name, value in (("test/f1/difference", 0.1), ("test/wins", 3), ("test/f1/difference_low", 0.05)):
        (event,) = events.Scalars(name)
        assert (event.step, event.value) == (best, pytest.approx(value))


def test_no_task_has_a_chart(events):
    assert not [
        name for name in events.Tags()["scalars"] for number in range(N_TASKS) if f"task{number}" in name
    ]


def test_the_table_of_tasks_is_one_text(events):
    lines = [" ".join(line.split()) for line in text(events, "tasks").splitlines()]
    assert lines[0] == "| id | target | test_f1_model | test_f1_difference |"
    assert len(lines) == 2 + N_TASKS
    assert lines[2] == "| task0 | GA\\|TA | 0 | 0.25 |"
    assert lines[3] == "| task1 | GA\\|TA | 0.1 | |"


def test_what_the_figures_are_of_is_told(events, folder):
    told = text(events, "evaluation")
    assert json.loads((folder / "training.json").read_text())["dataset_checksum"] in told
    assert "| evaluation/protocol | tuned |" in " ".join(told.split())


def test_pictures_are_the_files_themselves(events):
    assert events.Tags()["images"] == ["figures/differences", "figures/wins"]
    (image,) = events.Images("figures/wins")
    assert (image.width, image.height) == (3, 2)
    assert image.encoded_image_string == png(3, 2)
    assert struct.unpack(">II", image.encoded_image_string[16:24]) == (3, 2)


def test_the_run_is_in_the_hparams_tab_with_its_figures(events):
    metadata = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = plugin_data_pb2.HParamsPluginData.FromString(metadata).session_start_info.hparams
    assert settings["optimizer/learning_rate"].number_value == pytest.approx(0.002)
    assert settings["model/name"].string_value == "bigru"
    assert settings["code_version"].string_value
    metadata = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(metadata).experiment
    assert [info.name.tag for info in experiment.metric_infos] == list(HEADLINE)
    assert "hp_metric" not in events.Tags()["scalars"]


def test_a_damaged_picture_does_not_fail_the_evaluation(folder, caplog):
    evaluation = folder / "evaluation"
    whole = (evaluation / "figures" / "wins.png").read_bytes()
    (evaluation / "figures" / "wins.png").write_bytes(b"\x89PNG")
    log_evaluation(folder, evaluation)
    (evaluation / "figures" / "wins.png").write_bytes(whole)
    assert "was not added to the TensorBoard run" in caplog.text
