"""The dataset file: open it, write it, find the embedded one."""

from genome_lm.dataset.contents import SPLITS, Dataset, TaskTable
from genome_lm.dataset.layout import FORMAT_VERSION
from genome_lm.dataset.reading import embedded_dataset_path, open_dataset
from genome_lm.dataset.source import Source
from genome_lm.dataset.writing import Header, Piece, write_dataset

__all__ = [
    "FORMAT_VERSION",
    "SPLITS",
    "Dataset",
    "Header",
    "Piece",
    "Source",
    "TaskTable",
    "embedded_dataset_path",
    "open_dataset",
    "write_dataset",
]
