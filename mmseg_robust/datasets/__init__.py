"""Data sets, their wrappers and transforms; importing this package registers them."""

from mmseg_robust.datasets.camvid import CamVidDataset
from mmseg_robust.datasets.corrupted import CorruptedDataset
from mmseg_robust.datasets.corruption_datasets import (
    ADE20KCDataset,
    CamVidCDataset,
    CityscapesCDataset,
)
from mmseg_robust.datasets.defocused_images import DefocusedImageDataset
from mmseg_robust.datasets.focal_stacks import FocalStackDataset
from mmseg_robust.datasets.frequency_transform import KeepDominantFrequencies
from mmseg_robust.datasets.transforms import CorruptImage

__all__ = [
    "ADE20KCDataset",
    "CamVidCDataset",
    "CamVidDataset",
    "CityscapesCDataset",
    "CorruptImage",
    "CorruptedDataset",
    "DefocusedImageDataset",
    "FocalStackDataset",
    "KeepDominantFrequencies",
]
