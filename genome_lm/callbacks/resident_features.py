"""Window features where the windows are."""

import lightning as L
import numpy as np

from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.feature_rows import FeatureRows


class ResidentFeatures(L.Callback):
    """Moves kept window features to the training device if the dataset lies there.

    Goes before callbacks that ask for features.

    Args:
        feature_rows: the module's.
        datamodule: of the training.
    """

    def __init__(self, feature_rows: FeatureRows, datamodule: GenomeDataModule) -> None:
        self.feature_rows = feature_rows
        self.datamodule = datamodule

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The network, and with it what computes the features, is on its device by now."""
        windows = self.datamodule.resident_windows()
        if windows is not None:
            used = (self.datamodule.train_windows, self.datamodule.dataset.windows_of("valid"))
            self.feature_rows.reside(windows, np.concatenate(used))
