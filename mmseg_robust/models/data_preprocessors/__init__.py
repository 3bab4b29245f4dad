"""Data preprocessors that corrupt or blur training images on the device."""

from mmseg_robust.models.data_preprocessors.blur_levels import BlurLevelPreprocessor
from mmseg_robust.models.data_preprocessors.corruption_preprocessor import (
    CorruptionSegDataPreProcessor,
    corruption_cls_data_preprocessor,
)

__all__ = [
    "BlurLevelPreprocessor",
    "CorruptionSegDataPreProcessor",
    "corruption_cls_data_preprocessor",
]
