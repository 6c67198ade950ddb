"""Readers of binary files for the fuzzer: what each is given, and what it must answer."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import optuna
import torch
from fuzz_reader import Reader, expect
from safetensors.torch import save
from scipy.io import loadmat, savemat

from genome_lm.build import network_from, network_with_weights
from genome_lm.checkpoint import VERSION, Description, read_checkpoint
from genome_lm.checkpoint_file import load_training
from genome_lm.dataset.deepsea.files import open_samples
from genome_lm.dataset.format import Header, Piece, TaskTable, open_dataset, write_dataset
from genome_lm.evaluation.predictions import Predictions, read_predictions, write_predictions
from genome_lm.exported import Stored, digest_of, write_exported
from genome_lm.tuning.journal import open_journal

PACKAGES = ["genome_lm"]
IDS = ["CTCF in K562", "DNase", "x"]
PROGRESS = {"fit_loop": {"epoch_progress": {"current": {"processed": 1}}}}
FOUND = np.array([[0.5, -1.0, 2.0], [3.0, 0.0, -0.5]], dtype=np.float32)


def description() -> Description:
    """Of a small network."""
    return Description(
        version=VERSION,
        genome_lm_version="0",
        model_name="gru",
        tokenizer={"_target_": "genome_lm.tokenizers.KmerTokenizer", "k": 2, "width": 3},
        encoder={
            "_target_": "genome_lm.encoders.recurrent.RecurrentEncoder",
            "hidden_size": 2,
            "num_layers": 1,
        },
        head={
            "pooling": ["mean", "max"],
            "centre": 1.0,
            "norm": "batch",
            "kind": "one_logit",
            "dropout": 0.0,
            "input_dropout": 0.1,
        },
        context_bp=20,
        average_strands=True,
        tasks={name: list(IDS) for name in ("id", "cell", "target", "treatment", "group")},
        positive_rate=[0.1, 0.2, 0.5],
        task_set="3 of 3 tasks",
        dataset={"path": None, "checksum": "sha256:1", "genome_build": "hg19", "window_bp": 40, "bin_bp": 10},
        config={"seed": 1, "data": {"context_bp": 20}},
    )


def checkpoint() -> bytes:
    """As Lightning writes one, of that network."""
    torch.manual_seed(0)
    weights = network_from(description(), PACKAGES).state_dict()
    content = {
        "epoch": 3,
        "global_step": 10,
        "pytorch-lightning_version": "2.6.0",
        "loops": PROGRESS,
        "callbacks": {},
        "state_dict": {f"network.{name}": value for name, value in weights.items()},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"lr": 1e-3}]}],
        "lr_schedulers": [],
        "genome_lm": description().as_dict(),
    }
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def check_network(path: Path) -> None:
    """Read a checkpoint and predict with it: as many logits as it has tasks."""
    saved = read_checkpoint(path)
    network = network_with_weights(saved, PACKAGES).eval()
    expect(len(saved.description.tasks["id"]) == len(saved.description.positive_rate), "rates of other tasks")
    if saved.description.context_bp <= 4096:
        with torch.no_grad():
            logits = network(torch.zeros(1, saved.description.context_bp, dtype=torch.uint8))
        expect(tuple(logits.shape) == (1, len(saved.description.tasks["id"])), "logits of other tasks")


class Archive(Reader):
    """Checkpoints, any byte of them changed."""

    name, words = (
        "checkpoint, archive",
        (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"data.pkl", b"data/0", b"\x08\x00"),
    )

    def seeds(self) -> list[bytes]:
        return [checkpoint()]

    def read(self, path: Path, data: bytes) -> None:
        load_training(path)
        check_network(path)


class Pickle(Archive):
    """Checkpoints with a changed pickle in a sound archive."""

    name = "checkpoint, pickle"
    words = (
        b"cos\nsystem\n",
        b"cbuiltins\nbytearray\n",
        b"ctorch\nFloatStorage\n",
        b"ccollections\nOrderedDict\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"R",
        b"b",
        b"Q",
        b"(",
        b"t",
        b"\x85",
        b"h\x00",
        b"q\x01",
        b"N",
        b"0",
        b"2",
        b"\x8a\x08",
        b"]",
        b"}",
        b"s",
        b"u",
        b"a",
        b"e",
        b".",
        b"\x88",
        b"J\xff\xff\xff\xff",
        b"r\xff\xff\xff\x7f",
    )

    def __init__(self) -> None:
        with zipfile.ZipFile(io.BytesIO(checkpoint())) as archive:
            self.records = {name: archive.read(name) for name in archive.namelist()}

    def seeds(self) -> list[bytes]:
        return [next(content for name, content in self.records.items() if name.endswith("/data.pkl"))]

    def wrap(self, data: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in self.records.items():
                archive.writestr(name, data if name.endswith("/data.pkl") else content)
        return file.getvalue()


class Described(Reader):
    """Exported models with a changed description under a sound digest."""

    name = "checkpoint, description"
    words = (
        b'"hidden_size": 1000000000',
        b'"genome_lm.encoders.minimal.MinimalEncoder"',
        b'"os.system"',
        b'"num_layers": 60000',
        b'"genome_lm.stems.ConvStem"',
        b"[]",
        b"{}",
        b"null",
        b'""',
        b"1e308",
        b"NaN",
        b"true",
        b'"${oc.env:HOME}"',
        b'"\\ud800"',
        b'"bidirectional": true',
        b'"_target_"',
        b'"genome_lm.tokenizers.OneHotTokenizer"',
        b'"attention"',
    )

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.weights = network_from(description(), PACKAGES).state_dict()

    def seeds(self) -> list[bytes]:
        return [json.dumps(description().as_dict()).encode()]

    def wrap(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "replace").replace("\x00", "")
        metadata = {"format": "pt", "genome_lm": text, "epochs": "4"}
        return save(self.weights, metadata | {"digest": digest_of(metadata, self.weights)})

    def read(self, path: Path, data: bytes) -> None:
        check_network(path)


class Safetensors(Reader):
    """Exported models, any byte of them changed: refused, or unchanged."""

    name, words = (
        "safetensors",
        (b'"F32"', b'"BF16"', b'"shape":[', b'"data_offsets":[', b"__metadata__", b"{", b"}"),
    )

    def seeds(self) -> list[bytes]:
        torch.manual_seed(0)
        weights = network_from(description(), PACKAGES).state_dict()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            write_exported(path, Stored(description().as_dict(), weights, 4))
            return [path.read_bytes()]

    def read(self, path: Path, data: bytes) -> None:
        saved = read_checkpoint(path)
        expect(saved.description == description(), "another description")
        expect(network_with_weights(saved, PACKAGES) is not None, "no network")


class Dataset(Reader):
    """Dataset files: refused, or with the contents that were written."""

    name, words = (
        "HDF5 dataset",
        (b"TREE", b"SNOD", b"HEAP", b"OHDR", b"\x89HDF", b"\xff" * 8, b"labels", b"sha256"),
    )

    def seeds(self) -> list[bytes]:
        texts = {
            name: tuple(IDS)
            for name in ("id", "cell", "target", "treatment", "group", "source_file", "accession")
        }
        tasks = TaskTable(
            **texts,
            selects_bins=np.ones(3, dtype=bool),
            n_peaks=np.arange(3),
            reference={"a": np.array([0.5, np.nan, 1])},
        )
        starts = np.arange(6) * 4
        piece = Piece(
            chromosome="chr1",
            sequence=np.arange(30, dtype=np.uint8) % 5,
            offset=starts,
            start=starts,
            split=np.arange(6, dtype=np.uint8) % 3,
            packed_labels=np.arange(6, dtype=np.uint8)[:, None],
        )
        header = Header(genome_build="hg19", window_bp=10, bin_bp=4, recipe={"test": []})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "small.h5"
            write_dataset(path, header, tasks, [piece])
            self.checksum = open_dataset(path).checksum
            return [path.read_bytes()]

    def read(self, path: Path, data: bytes) -> None:
        found = open_dataset(path)
        expect(found.checksum == self.checksum, "other contents under a sound digest")
        expect(found.packed_labels.tolist() == [[each] for each in range(6)], "other labels")
        expect(found.tasks.id == tuple(IDS), "other tasks")
        expect(np.array(found.sequence).tolist() == [each % 5 for each in range(30)], "other bases")


class PredictionFile(Reader):
    """Prediction files: refused, or with the logits that were written."""

    name, words = "HDF5 predictions", Dataset.words

    def seeds(self) -> list[bytes]:
        made = Predictions(
            name="model",
            description="a gru",
            logits=FOUND,
            window=np.array([3, 7]),
            split=np.array([1, 2], dtype=np.uint8),
            task_ids=tuple(IDS),
            dataset_checksum="sha256:1",
        )
        with tempfile.TemporaryDirectory() as folder:
            write_predictions(Path(folder) / "p.h5", made)
            return [(Path(folder) / "p.h5").read_bytes()]

    def read(self, path: Path, data: bytes) -> None:
        found = read_predictions(path)
        expect(np.array_equal(found.logits, FOUND), "other logits")
        expect(found.window.tolist() == [3, 7] and found.split.tolist() == [1, 2], "other windows")


class Mat(Reader):
    """DeepSEA's files: what SciPy or h5py reads in the same file."""

    def __init__(self, name: str, split: str) -> None:
        self.name, self.split = name, split
        self.words = (
            Dataset.words
            if split == "train"
            else (b"\x0e\x00\x00\x00", b"\x0f\x00\x00\x00", b"xdata", b"IM", b"MI")
        )
        hot = np.zeros((8, 4, 12), dtype=np.uint8)
        hot[np.arange(8)[:, None], np.arange(8 * 12).reshape(8, 12) % 4, np.arange(12)] = 1
        self.hot, self.labels = hot, (np.arange(40).reshape(8, 5) % 3 == 0).astype(np.uint8)

    def seeds(self) -> list[bytes]:
        arrays = {f"{self.split}xdata": self.hot, f"{self.split}data": self.labels}
        found = []
        for packed in (False, True):
            file = io.BytesIO()
            if self.split == "train":
                with h5py.File(file, "w") as written:
                    for name, array in arrays.items():
                        written.create_dataset(name, data=array.T, compression="gzip" if packed else None)
            else:
                savemat(file, arrays, do_compression=packed)
            found.append(file.getvalue())
        return found

    def read(self, path: Path, data: bytes) -> None:
        with open_samples(path, self.split) as samples:
            expect(samples.n_samples * samples.window_bp <= 1 << 20, "more than the file can hold")
            codes = samples.codes(0, samples.n_samples)
            packed = samples.labels(0, samples.n_samples)
        if self.split == "train":
            with h5py.File(path) as file:
                hot, labels = file["trainxdata"][()], file["traindata"][()]
        else:
            try:
                content = loadmat(path, variable_names=[f"{self.split}xdata", f"{self.split}data"])
                hot, labels = content[f"{self.split}xdata"].T, content[f"{self.split}data"].T
            except (ValueError, TypeError, KeyError, NotImplementedError):
                return  # SciPy takes a changed header for that of another version
        base = np.array([0, 2, 1, 3])  # channels A, G, C, T
        expected = np.where(hot.sum(axis=1) == 0, 4, base[np.argmax(hot, axis=1)])
        expect(np.array_equal(codes, expected), "other bases")
        expect(np.array_equal(packed, np.packbits(labels != 0, axis=0, bitorder="little")), "other labels")


class Journal(Reader):
    """The journal of a study."""

    name, words = (
        "journal of a study",
        (b"\n", b'{"op_code": 0', b'"worker_id"', b"null", b"[]", b'"trial_id": 99', b'"state": 7'),
    )

    def seeds(self) -> list[bytes]:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "study.journal"
            study = optuna.create_study(
                storage=open_journal(path), study_name="genome_lm", direction="minimize"
            )
            for _ in range(2):
                trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
                trial.report(1.3, 1)
                study.tell(trial, 1.2)
            return [path.read_bytes()]

    def read(self, path: Path, data: bytes) -> None:
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        storage = open_journal(path)
        for study in storage.get_all_studies():
            for trial in storage.get_all_trials(study._study_id):
                expect(isinstance(trial.params, dict), "parameters that are none")


def binary_readers() -> dict[str, Callable[[], Reader]]:
    """How each is made, by name."""
    return {
        Archive.name: Archive,
        Pickle.name: Pickle,
        Described.name: Described,
        Safetensors.name: Safetensors,
        Dataset.name: Dataset,
        PredictionFile.name: PredictionFile,
        "MATLAB 5": lambda: Mat("MATLAB 5", "valid"),
        "MATLAB 7.3": lambda: Mat("MATLAB 7.3", "train"),
        Journal.name: Journal,
    }
