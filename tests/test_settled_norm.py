"""What is validated and saved has statistics of the features that it is judged by."""

from types import SimpleNamespace

import numpy as np
import torch
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.trainer.states import TrainerFn
from small_run import TINY, run_command, run_folders

from genome_lm.build import network_with_weights
from genome_lm.callbacks.settled_norm import SettledNorm
from genome_lm.checkpoint import read_checkpoint


def test_the_saved_statistics_are_those_without_dropout(small, small_file, tmp_path):
    settings = [
        f"data.path={small_file}", f"runs_dir={tmp_path}", "head.dropout=0.3",
        "head.input_dropout=0.5", "head.norm=batch", "callbacks.ema_decay=0.9", "callbacks.norm_windows=600",
    ]  # fmt: skip
    assert run_command("train", *TINY, *settings) == 0
    (folder,) = run_folders(tmp_path)
    checkpoint = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    network = network_with_weights(checkpoint, ["genome_lm"]).eval()
    seen: list[torch.Tensor] = []
    network.head.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    codes = small.bases(small.windows_of("train"), checkpoint.description.context_bp)
    with torch.no_grad():
        network(torch.from_numpy(np.ascontiguousarray(codes)))
    features, norm = seen[0], network.head.norm
    # 600 of the 669 windows were drawn.
    error = (norm.running_mean - features.mean(dim=0)) / features.std(dim=0)
    assert error.abs().max() < 0.1
    ratio = norm.running_var / features.var(dim=0)
    assert (ratio - 1).abs().mean() < 0.1


def test_off(small_file, tmp_path):
    """Without it the statistics are those of the training, with dropout."""
    settings = [
        f"data.path={small_file}", f"runs_dir={tmp_path}", "head.input_dropout=0.5",
        "head.norm=batch", "callbacks.norm_windows=0",
    ]  # fmt: skip
    assert run_command("train", *TINY, *settings) == 0
    (folder,) = run_folders(tmp_path)
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    steps = content["global_step"]
    assert content["state_dict"]["network.head.norm.num_batches_tracked"] == steps


def test_windows_one_at_a_time():
    """A batch of one has no spread, whatever data.eval_batch_size is."""

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(1)

        def forward(self, codes, features):
            assert len(codes) > 1
            return self.norm(codes.float())

    head = Head().eval()
    codes = torch.arange(7, dtype=torch.uint8)[:, None]
    trainer = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.FITTING), precision_plugin=Precision())
    settled = SettledNorm(head, head.norm, codes, None, batch_size=1)
    settled.on_validation_epoch_start(trainer, SimpleNamespace(device=torch.device("cpu")))
    assert abs(head.norm.running_mean.item() - 3) < 0.6
    assert not head.norm.training
