"""Classifiers for training with several views of each image."""

from __future__ import annotations

from typing import Any

import torch.nn as nn
from mmengine.registry import MODELS

from mmseg_robust.errors import InputError


@MODELS.register_module(name="MultiViewImageClassifier")
def multi_view_image_classifier(**settings: Any) -> nn.Module:
    """Builds MMPretrain's ``ImageClassifier`` with several views of each image in training.

    A function, because the class needs MMPretrain, which is imported when it is asked for.

    Args:
        **settings (Any): As for :class:`~mmseg_robust.models.multi_view.mechanism.MultiViewMixin`,
            and those of the stock class.

    Returns:
        nn.Module: The classifier.

    Raises:
        InputError: If MMPretrain is not installed, a value is wrong or the model cannot be trained
            so.
    """
    try:
        from mmseg_robust.models.classifiers.multi_view import MultiViewImageClassifier
    except ModuleNotFoundError as error:
        raise InputError(
            f"MultiViewImageClassifier needs MMPretrain: {error}. Install it with "
            "pip install -e '.[optional]'."
        ) from error
    return MultiViewImageClassifier(**settings)
