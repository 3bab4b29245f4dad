"""Feature-map augmentation (FMA) loss: features of an altered copy like those of the clean image.

Paper: N. Kapoor, C. Yuan, J. Loehdefink, R. Zimmermann, S. Varghese, F. Hueger, N. Schmidt,
P. Schlicht, T. Fingscheidt, arXiv 2012.01386. Only its abstract could be read: a loss that
regularises during fine-tuning, without labels, for feature maps that do not change with the
augmentation. The equation is the project's own. For the outputs f_l of a stage, with N_l numbers a
sample,

    L_l = 1 / N_l * ||f_l(x_altered) - f_l(x)||_2^2

averaged over the batch, and by the caller over stages.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_robust.models.losses.valid_pixels import (
    at_least_float32,
    check_views,
    mean_over_valid,
)


def fma_loss(
    clean: Tensor,
    view: Tensor,
    normalize: bool = False,
    stop_gradient: bool = True,
    valid: Tensor | None = None,
) -> Tensor:
    """Mean squared difference of one stage's output in two views.

    Args:
        clean (Tensor): Features of the clean images, (N, C, H, W) or (N, L, C), any precision.
        view (Tensor): Features of the altered images, of the same shape.
        normalize (bool): Divide a sample's difference by the mean square of its clean features, so
            that stages of different scale count alike. No gradient passes through the divisor, or
            features would grow to reduce the loss. Defaults to False.
        stop_gradient (bool): Take the clean features as a fixed target. Defaults to True.
        valid (Tensor, optional): Whether a position counts, bool, shape (N, H, W), for features of
            shape (N, C, H, W); (N, C) has (N,). None: all count.

    Returns:
        Tensor: Scalar, float32 (float64 of float64).

    Raises:
        InputError: If shapes do not agree.

    Example:
        >>> fma_loss(torch.zeros(2, 8, 4, 4), torch.ones(2, 8, 4, 4))
        tensor(1.)
    """
    check_views((clean, view), "Features")
    clean, view = at_least_float32(clean), at_least_float32(view)
    if stop_gradient:
        clean = clean.detach()
    difference = (view - clean).square()
    if normalize:
        energy = clean.detach().square().flatten(1).mean(1)
        energy = energy.clamp(min=torch.finfo(energy.dtype).eps)
        difference = difference / energy.view(-1, *[1] * (clean.dim() - 1))
    return mean_over_valid(difference if valid is None else difference.mean(1), valid)
