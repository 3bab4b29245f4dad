"""Stability loss: predictions of an altered copy like those of the clean image.

Paper: S. Zheng, Y. Song, T. Leung, I. Goodfellow, "Improving the Robustness of Deep Neural Networks
via Stability Training", CVPR 2016, arXiv 1604.04326. With x the clean and x' the altered image,

    L(x, x') = L_0(x) + alpha * D(f(x), f(x'))

where L_0 sees the clean image alone; alpha 0.01 and the form were read in public
re-implementations, not in the paper's body. D, with P = softmax(f):

    'ce'   - sum_j P_j(x) log P_j(x')                      for classifiers, as the paper is quoted
    'kl'   sum_j P_j(x) (log P_j(x) - log P_j(x'))         'ce' less the entropy of P(x)
    'l2'   ||f(x) - f(x')||_2, not squared                 for embeddings

The project's own choices: for segmentation D is taken at each pixel and averaged over valid ones;
whether a gradient passes through the clean branch is an option (with it stopped, the gradients of
'ce' and 'kl' are equal).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_robust.errors import InputError
from mmseg_robust.models.losses.valid_pixels import (
    at_least_float32,
    check_views,
    mean_over_valid,
)

DISTANCES = ("kl", "ce", "l2")
"""What D may be."""


def check_distance(distance: str) -> str:
    """Returns the distance if it is known.

    Args:
        distance (str): One of ``DISTANCES``.

    Returns:
        str: The same.

    Raises:
        InputError: If it is unknown.
    """
    if distance not in DISTANCES:
        raise InputError(f"distance is {distance!r}; it must be one of {', '.join(DISTANCES)}.")
    return distance


def stability_loss(
    clean_logits: Tensor,
    view_logits: Tensor,
    valid: Tensor | None = None,
    distance: str = "kl",
    stop_gradient: bool = False,
) -> Tensor:
    """D of the outputs in two views, averaged over pixels that count.

    Args:
        clean_logits (Tensor): Outputs for the clean images, (N, C, H, W) or (N, C), any precision.
        view_logits (Tensor): Outputs for the altered images, of the same shape.
        valid (Tensor, optional): Whether a pixel counts, bool, shape (N, H, W), or (N,). None: all
            count.
        distance (str): ``'kl'``, ``'ce'`` or ``'l2'``. Defaults to ``'kl'``.
        stop_gradient (bool): Take the clean outputs as a fixed target. Defaults to False, the
            equation as it stands.

    Returns:
        Tensor: Scalar, float32 (float64 of float64); 0 with a gradient of zeros if no pixel counts.

    Raises:
        InputError: If shapes do not agree or the distance is unknown.

    Example:
        >>> stability_loss(torch.zeros(2, 19, 4, 4), torch.zeros(2, 19, 4, 4))
        tensor(0.)
    """
    check_distance(distance)
    check_views((clean_logits, view_logits), "Logits")
    clean, view = at_least_float32(clean_logits), at_least_float32(view_logits)
    if stop_gradient:
        clean = clean.detach()
    if distance == "l2":
        # Its gradient is 0, not NaN, where the two are equal.
        return mean_over_valid(torch.linalg.vector_norm(clean - view, dim=1), valid)
    log_clean, log_view = clean.log_softmax(1), view.log_softmax(1)
    against = log_clean - log_view if distance == "kl" else -log_view
    return mean_over_valid((log_clean.exp() * against).sum(1), valid)
