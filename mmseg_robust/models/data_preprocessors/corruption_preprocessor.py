"""Corruption as training augmentation at the device's speed: data preprocessors for any model."""

from __future__ import annotations

from typing import Any

import torch.nn as nn
from mmengine.registry import MODELS as ROOT_MODELS
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS

from mmseg_robust.errors import InputError
from mmseg_robust.models.data_preprocessors.device_corruption import CorruptionMixin


@MODELS.register_module()
class CorruptionSegDataPreProcessor(CorruptionMixin, SegDataPreProcessor):
    """The stock ``SegDataPreProcessor`` with corrupted images in training.

    Images are corrupted on the device, in RGB, at the size that the pipeline gives them, before
    padding and normalisation. Each image draws for itself whether and how. Labels are left as they
    are, also by corruptions that move pixels. The arguments are those of
    :class:`~mmseg_robust.models.data_preprocessors.device_corruption.CorruptionMixin` and of the
    stock class.

    Example:
        >>> model = dict(data_preprocessor=dict(
        ...     type='CorruptionSegDataPreProcessor', prob=0.5, holdout=['fog', 'frost']))
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if settings.get("rgb_to_bgr") and self.corruption.channel_order == "bgr":
            raise InputError("rgb_to_bgr=True says that images are RGB: set channel_order='rgb'.")


@ROOT_MODELS.register_module(name="CorruptionClsDataPreprocessor")
def corruption_cls_data_preprocessor(**settings: Any) -> nn.Module:
    """Builds the same for classification: MMPretrain's ``ClsDataPreprocessor`` and corruptions.

    A function, because the class needs MMPretrain, which is imported when it is asked for.

    Args:
        **settings (Any): As for
            :class:`~mmseg_robust.models.data_preprocessors.device_corruption.CorruptionMixin`, and
            those of the stock class. With ``to_rgb=False`` tell whether images are BGR or RGB.

    Returns:
        nn.Module: The data preprocessor.

    Raises:
        InputError: If MMPretrain is not installed or a value is wrong.
    """
    try:
        from mmseg_robust.models.data_preprocessors.classification import (
            CorruptionClsDataPreprocessor,
        )
    except ModuleNotFoundError as error:
        raise InputError(
            f"CorruptionClsDataPreprocessor needs MMPretrain: {error}. Install it with "
            "pip install -e '.[optional]'."
        ) from error
    return CorruptionClsDataPreprocessor(**settings)
