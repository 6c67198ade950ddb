"""The part of benchmarks/peers.py that runs in gReLU's environment: its own documented way, from files.

PYTHON benchmarks/peers_grelu.py FOLDER SETTINGS
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from grelu.data.dataset import LabeledSeqDataset
from grelu.lightning import LightningModel
from peers_marks import Marks


class Timed(LightningModel):
    """gReLU's module, with marks."""

    marks = Marks()

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.marks.begin()

    def on_train_batch_end(self, outputs: object, batch: tuple, batch_idx: int) -> None:
        self.marks.batch(len(batch[0]))


def main() -> None:
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    table = pd.read_csv(folder / "windows.tsv", sep="\t")
    packed = np.load(folder / "labels.npy")
    labels = np.unpackbits(packed, axis=1, count=settings["tasks"], bitorder="little")
    parts = {}
    for split in ("train", "valid"):
        rows = np.flatnonzero(table["split"] == split)
        parts[split] = LabeledSeqDataset(
            table["sequence"].iloc[rows].tolist(), labels[rows][:, :, None], tasks=settings["task_ids"]
        )
    model = Timed(
        {
            "model_type": "ConvGRUModel",
            "n_tasks": settings["tasks"],
            "stem_channels": settings["channels"],
            "stem_kernel_size": settings["kernel_size"],
            "n_conv": 2,
            "channel_init": settings["channels"],
            "kernel_size": settings["second_kernel_size"],
            "pool_func": "max",
            "pool_size": settings["pool"],
            "conv_norm": True,
            "n_gru": 1,
            "final_pool_func": "avg",
        },
        {
            "task": "binary",
            "loss": "bce",
            "lr": 1e-3,
            "batch_size": settings["batch"],
            "num_workers": settings["workers"],
            "devices": "cpu",
            "max_epochs": settings["epochs"],
            "save_dir": str(folder / "grelu"),
        },
    )
    if settings["check"]:  # its start, for the comparison of the networks; not part of what is timed
        model.eval()
        few = torch.stack([parts["valid"][index][0] for index in range(4)])
        with torch.no_grad():
            logits = model.forward(few, logits=True)[:, :, 0]
        arrays = {
            f"weight_{number}": each.detach().numpy() for number, each in enumerate(model.model.parameters())
        }
        np.savez(folder / "start.npz", logits=logits.numpy(), **arrays)
        return
    model.train_on_dataset(parts["train"], parts["valid"])
    model.marks.write(folder / "grelu.json")


if __name__ == "__main__":
    main()
