"""The data preprocessor for classification; importing it needs MMPretrain."""

from __future__ import annotations

from mmpretrain.models import ClsDataPreprocessor

from mmseg_robust.models.data_preprocessors.device_corruption import CorruptionMixin


class CorruptionClsDataPreprocessor(CorruptionMixin, ClsDataPreprocessor):
    """MMPretrain's ``ClsDataPreprocessor`` with corrupted images in training.

    See :class:`CorruptionMixin` for the arguments beside the stock ones. Corruptions act before
    batch augmentations such as mixup.
    """
