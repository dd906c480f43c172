"""Datasets on disk to samples and, apart from them, gold."""

from riveg.datasets.config import shipped_datasets
from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset

__all__ = ["Dataset", "open_dataset", "shipped_datasets"]
