"""The moving average of the weights against a hand calculation."""

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from genome_lm.callbacks.averaged_weights import AveragedWeights, _Average
from genome_lm.tokenizers import KmerTokenizer


class Steps(L.LightningModule):
    """Its weight is 0 before the first step and n after step n; holds an integer table and a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.tokenizer = KmerTokenizer(k=3, canonical=True, width=2)
        self.seen: list[float] = []
        self.tables: list[torch.Tensor] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return -self.weight + 0 * self.tokenizer(batch).sum()  # gradient -1: plain descent adds the rate

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.seen.append(float(self.weight))
        self.tables.append(self.tokenizer.get_buffer("numbers").clone())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.weight, *self.tokenizer.parameters()], lr=1.0)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning's own use of torch
@pytest.mark.filterwarnings("ignore:.*does not have many workers")  # two examples need none
@pytest.mark.parametrize("decay", [0.2, 0.9])
def test_the_average_follows_its_formula_and_leaves_tables_alone(decay, tmp_path):
    steps = 7
    module = Steps()
    table = module.tokenizer.get_buffer("numbers").clone()
    batches = DataLoader(torch.zeros(steps, 2, 5, dtype=torch.uint8), batch_size=None)
    one_batch = DataLoader(torch.zeros(1, 2, 5, dtype=torch.uint8), batch_size=None)
    L.Trainer(
        default_root_dir=tmp_path,
        max_epochs=3,
        accelerator="cpu",
        callbacks=[AveragedWeights(decay)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    ).fit(module, batches, one_batch)

    expected, average = [], 0.0
    for step in range(1, 3 * steps + 1):
        # torch takes the weights themselves at the first update and counts it.
        weight = 0.0 if step == 1 else min(decay, step / (9 + step))
        average = weight * average + (1 - weight) * step
        if step % steps == 0:
            expected.append(average)
    assert module.seen == pytest.approx(expected, rel=1e-5)
    assert all(torch.equal(each, table) for each in module.tables)
    assert torch.equal(module.tokenizer.get_buffer("numbers"), table)


def test_a_loaded_average_goes_on_from_its_count():
    """The count on the host follows the buffer of the checkpoint."""
    model = nn.Linear(1, 1, bias=False)
    averages = [_Average(model, 0.9, torch.device("cpu")) for _ in range(2)]
    for step in range(4):
        nn.init.constant_(model.weight, float(step))
        averages[0].update_parameters(model)
    averages[1].load_state_dict(averages[0].state_dict())
    for average in averages:
        average.update_parameters(model)
        assert int(average.n_averaged) == 5
    assert torch.equal(*(average.module.weight for average in averages))
    # 0 first, then 9/11, 9/12 and 9/13 of the way to 1, 2 and 3, and 9/14 to 3.
    expected = 0.0
    for step, target in enumerate((1, 2, 3, 3), start=1):
        expected += (9 / (10 + step)) * (target - expected)
    assert averages[1].module.weight.item() == pytest.approx(expected)
