"""What the consistency terms share: precision, checks, and means over pixels that count."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_robust.errors import InputError


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32, or in float64 if they are.

    Args:
        values (Tensor): Floating point, any shape. Under autocast a network gives half precision,
            whose exponentials and sums are too coarse for a difference of two views.

    Returns:
        Tensor: Of the same shape; gradients pass.
    """
    return values if values.dtype == torch.float64 else values.to(torch.float32)


def check_views(views: Sequence[Tensor], what: str) -> None:
    """Refuses outputs of views that cannot be compared.

    Args:
        views (Sequence[Tensor]): At least two tensors of floating point and of one shape, the first
            axis being that of samples.
        what (str): What they are, for the message.

    Raises:
        InputError: If they are not.
    """
    if len(views) < 2:
        raise InputError(f"{what} of at least two views are needed, got {len(views)}.")
    shapes = [tuple(view.shape) for view in views]
    if len(set(shapes)) > 1 or len(shapes[0]) < 2:
        raise InputError(f"{what} must have one shape (N, C, ...) in all views, got {shapes}.")
    if not all(view.is_floating_point() for view in views):
        raise InputError(
            f"{what} must be of floating point, got {[str(view.dtype) for view in views]}."
        )


def mean_over_valid(values: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of the values whose pixel counts, 0 with a gradient of zeros if none does.

    The host does not wait for the device.

    Args:
        values (Tensor): One a pixel, shape (N, H, W), or one a sample, shape (N,).
        valid (Tensor, optional): Whether a pixel counts (is not ignored), bool, of the same shape.
            None: all count.

    Returns:
        Tensor: Scalar.

    Raises:
        InputError: If ``valid`` is not as described.
    """
    if valid is None:
        return values.mean()
    if valid.dtype != torch.bool or valid.shape != values.shape:
        raise InputError(
            f"valid must be a bool tensor of shape {tuple(values.shape)}, got {valid.dtype} "
            f"{tuple(valid.shape)}. For another resolution, use resize_valid."
        )
    return torch.where(valid, values, 0).sum() / valid.sum().clamp(min=1)


def resize_valid(valid: Tensor, size: tuple[int, int]) -> Tensor:
    """Which pixels count at another resolution, that of a head's logits say.

    Args:
        valid (Tensor): bool, shape (N, H, W).
        size (tuple[int, int]): The other height and width, h and w.

    Returns:
        Tensor: The nearest pixel's, bool, shape (N, h, w).
    """
    # 'nearest-exact' takes the pixel in the middle of a cell, 'nearest' that of its corner.
    resized = F.interpolate(valid[:, None].to(torch.uint8), size=size, mode="nearest-exact")
    return resized[:, 0].to(torch.bool)
