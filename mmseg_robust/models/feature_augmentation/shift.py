"""CWFA's shift of a stage's features along their mean, and its gradient.

On CUDA the mean is one kernel and the rest another: a training step of a small SegFormer is bound
by launching kernels, and written out in torch these are a dozen launches a stage.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmseg_robust.corruptions.kernels import usable

_SPATIAL_DIMS = {"NCHW": (2, 3), "NLC": (1,), "NHWC": (1, 2)}


def mean_feature(features: Tensor, layout: str) -> Tensor:
    """Equation (1): the mean over the positions.

    Float32 whatever the precision of the features, so that the sum cannot overflow in fp16.

    Args:
        features (Tensor): (N, C, H, W), (N, L, C) or (N, H, W, C).
        layout (str): ``NCHW``, ``NLC`` or ``NHWC``.

    Returns:
        Tensor: float32, of the features' dimensions, those of the positions of size 1.
    """
    return features.mean(_SPATIAL_DIMS[layout], keepdim=True, dtype=torch.float32)


def shift(features: Tensor, mean: Tensor, length: Tensor, layout: str) -> Tensor:
    """Equations (2) and (3): the features plus a vector of some length along their mean.

    Args:
        features (Tensor): As for :func:`mean_feature`.
        mean (Tensor): x, what that gave.
        length (Tensor): Norm of the shift, float32, shape (N,).
        layout (str): As there.

    Returns:
        Tensor: Of the features' shape and type; the features themselves where x or length is 0.
    """
    if _fused(features):
        from mmseg_robust.models.feature_augmentation import kernels

        return kernels.add_along_mean(features, mean, length, layout)
    direction, _ = _unit(mean)
    added = length[:, None] * direction
    return features + added.to(features.dtype).view(mean.shape)


def gradient_of_shift(grad: Tensor, mean: Tensor, length: Tensor, layout: str) -> Tensor:
    """The gradient of the features from the gradient g of what :func:`shift` returned.

    With d = x / ||x|| and G the sum of g over the H W positions it is

        g + length / (||x|| H W) * (G - d <d, G>)

    Args:
        grad (Tensor): g, of the features' shape.
        mean (Tensor): x.
        length (Tensor): As for :func:`shift`.
        layout (str): As there.

    Returns:
        Tensor: Of the gradient's shape and type; g itself where x or length is 0.
    """
    total = mean_feature(grad, layout)
    if _fused(grad):
        from mmseg_robust.models.feature_augmentation import kernels

        return kernels.add_along_mean(grad, mean, length, layout, total)
    unit, inverse = _unit(mean)
    rows = total.flatten(1)
    along = (rows * unit).sum(1, keepdim=True)
    through = torch.addcmul(rows, unit, along, value=-1) * (length * inverse)[:, None]
    return grad + through.to(grad.dtype).view(mean.shape)


def _unit(mean: Tensor) -> tuple[Tensor, Tensor]:
    """x / ||x||, shape (N, C), and 1 / ||x||, shape (N,); 0 where x is."""
    rows = mean.flatten(1)
    norm = torch.linalg.vector_norm(rows, dim=1)
    inverse = torch.nan_to_num(norm.reciprocal(), nan=math.nan, posinf=0.0)
    return rows * inverse[:, None], inverse


def _fused(tensor: Tensor) -> bool:
    # A compiler fuses the plain form itself. The kernel adds in float32.
    compiling = torch.compiler.is_compiling()
    return not compiling and tensor.dtype != torch.float64 and usable(tensor.device)
