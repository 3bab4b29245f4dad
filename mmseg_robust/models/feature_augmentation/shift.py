"""The small tensors of CWFA: a sample's shift, and what of its gradient goes through it.

On CUDA one kernel each: a training step of a small SegFormer is bound by launching kernels, and
written out in torch these are a dozen launches a stage.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_robust.corruptions.kernels import usable


class Shift(NamedTuple):
    """What the mean feature x of each sample gives.

    Args:
        shift (Tensor): Length times x / ||x||, in the features' type, of the mean's shape.
        direction (Tensor): x / ||x||, float32, of the mean's shape; 0 where x is.
        rate (Tensor): Length over ||x||, float32, shape (N,); 0 where x is.
        norm (Tensor): ||x||, float32, shape (N,).
    """

    shift: Tensor
    direction: Tensor
    rate: Tensor
    norm: Tensor


def make_shift(mean: Tensor, length: Tensor, dtype: torch.dtype) -> Shift:
    """The shift along the mean feature.

    Args:
        mean (Tensor): x, float32, shape (N, C) with any dimensions of size 1 between or behind.
        length (Tensor): Norm of the shift, float32, shape (N,).
        dtype (torch.dtype): Type of the features.

    Returns:
        Shift: See there.
    """
    if _fused(mean):
        from mmseg_robust.models.feature_augmentation import kernels

        return Shift(*kernels.make_shift(mean, length, dtype))
    rows = mean.flatten(1)
    norm = torch.linalg.vector_norm(rows, dim=1)
    inverse = torch.nan_to_num(norm.reciprocal(), nan=math.nan, posinf=0.0)
    direction = rows * inverse[:, None]
    shift = (length[:, None] * direction).to(dtype)
    return Shift(shift.view(mean.shape), direction.view(mean.shape), length * inverse, norm)


def gradient_through_shift(
    total: Tensor, direction: Tensor, rate: Tensor, dtype: torch.dtype
) -> Tensor:
    """``rate * (G - d <d, G>)``.

    Args:
        total (Tensor): G, the mean over positions of the gradient, float32, shape as the mean's.
        direction (Tensor): d, as in :class:`Shift`.
        rate (Tensor): As in :class:`Shift`.
        dtype (torch.dtype): Type of the gradient.

    Returns:
        Tensor: In that type, of ``total``'s shape.
    """
    if _fused(total):
        from mmseg_robust.models.feature_augmentation import kernels

        return kernels.gradient_through_shift(total, direction, rate, dtype)
    rows, unit = total.flatten(1), direction.flatten(1)
    along = (rows * unit).sum(1, keepdim=True)
    through = torch.addcmul(rows, unit, along, value=-1) * rate[:, None]
    return through.to(dtype).view(total.shape)


def _fused(tensor: Tensor) -> bool:
    # A compiler fuses the plain form itself.
    return not torch.compiler.is_compiling() and usable(tensor.device)
