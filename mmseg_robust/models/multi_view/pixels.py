"""From a model's normalised inputs to RGB 0..255 and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmseg_robust.errors import InputError

CHANNEL_ORDERS = ("bgr", "rgb")


class PixelSpace:
    """What a model's own data preprocessor does to pixel values, and its reverse.

    Args:
        preprocessor (nn.Module): MMSegmentation's ``SegDataPreProcessor``, MMPretrain's
            ``ClsDataPreprocessor`` or one derived from them.
        channel_order (str): Order of the channels that the pipeline gives, ``'bgr'`` or ``'rgb'``.
            The preprocessor may turn it.

    Raises:
        InputError: If the order is unknown, or the preprocessor is of another kind or not of three
            channels.
    """

    def __init__(self, preprocessor: Any, channel_order: str = "bgr") -> None:
        if channel_order not in CHANNEL_ORDERS:
            raise InputError(f"channel_order is {channel_order!r}; it must be 'bgr' or 'rgb'.")
        turns = getattr(preprocessor, "channel_conversion", getattr(preprocessor, "to_rgb", None))
        if turns is None:
            raise InputError(
                f"Views cannot be drawn behind the data preprocessor {type(preprocessor).__name__}:"
                " it does not say how it normalises. Use SegDataPreProcessor (segmentation) or "
                "ClsDataPreprocessor (classification)."
            )
        self.turned = (channel_order == "bgr") != bool(turns)
        self.normalised = bool(preprocessor._enable_normalize)
        if self.normalised and len(preprocessor.mean) not in (1, 3):
            raise InputError(
                f"Views are drawn in RGB, but data_preprocessor.mean has {len(preprocessor.mean)} "
                "values: multi-view training needs images of three channels."
            )

    def to_rgb(self, inputs: Tensor, preprocessor: Any) -> Tensor:
        """Undoes the normalisation.

        Args:
            inputs (Tensor): What the model is called with, (N, 3, H, W).
            preprocessor (nn.Module): The preprocessor, with its numbers on the inputs' device.

        Returns:
            Tensor: RGB, float32 in 0..255, (N, 3, H, W).

        Raises:
            InputError: If there are not three channels.
        """
        if inputs.dim() != 4 or inputs.shape[1] != 3:
            raise InputError(
                f"Views are drawn in RGB, but the inputs have shape {tuple(inputs.shape)}: "
                "multi-view training needs images of three channels, (N, 3, H, W)."
            )
        if self.normalised:
            inputs = inputs * preprocessor.std + preprocessor.mean
        return self._turn(inputs).to(torch.float32).clamp(0, 255)

    def from_rgb(self, images: Tensor, preprocessor: Any, like: Tensor) -> Tensor:
        """Normalises as the preprocessor does.

        Args:
            images (Tensor): RGB, float32 in 0..255, (N, 3, H, W).
            preprocessor (nn.Module): As above.
            like (Tensor): The model's inputs, for their type.

        Returns:
            Tensor: For the model, (N, 3, H, W).
        """
        values = self._turn(images).to(like.dtype)
        return (values - preprocessor.mean) / preprocessor.std if self.normalised else values

    def _turn(self, images: Tensor) -> Tensor:
        return images.flip(1) if self.turned else images
