"""Data sets and their wrappers; importing this package registers them with MMSegmentation."""

from mmseg_robust.datasets.camvid import CamVidDataset
from mmseg_robust.datasets.corrupted import CorruptedDataset

__all__ = ["CamVidDataset", "CorruptedDataset"]
