"""Data preprocessors that corrupt training images on the device."""

from mmseg_robust.models.data_preprocessors.corruption_preprocessor import (
    CorruptionSegDataPreProcessor,
    corruption_cls_data_preprocessor,
)

__all__ = ["CorruptionSegDataPreProcessor", "corruption_cls_data_preprocessor"]
