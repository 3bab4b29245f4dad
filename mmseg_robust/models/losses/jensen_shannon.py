"""Jensen-Shannon consistency of several views, as AugMix and AFA use it.

Papers: D. Hendrycks et al., AugMix, ICLR 2020, arXiv 1912.02781; P. Vaish, S. Wang,
N. Strisciuglio, AFA, CVPR 2024, arXiv 2403.01944. Read in both official codes. With P_i the softmax
of view i of K (three in both papers),

    P_mix = clamp(1 / K * sum_i P_i, 1e-7, 1)
    L     = 1 / K * sum_i KL(P_i || P_mix)

whose weight is 12 for ImageNet. Gradients pass through all views. The project's own choice: for
segmentation L is taken at each pixel and averaged over valid ones (a mean over the batch alone, as
in the codes, would multiply it by the number of pixels).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from mmseg_robust.models.losses.valid_pixels import (
    at_least_float32,
    check_views,
    mean_over_valid,
)

LEAST_PROBABILITY = 1e-7
"""Of the mixture, so that its logarithm stays finite."""


def jensen_shannon_loss(logits: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
    """Mean divergence of the views' predictions from their mean, over pixels that count.

    Args:
        logits (Sequence[Tensor]): Outputs of two views or more, each (N, C, H, W) or (N, C), any
            precision.
        valid (Tensor, optional): Whether a pixel counts, bool, shape (N, H, W), or (N,). None: all
            count.

    Returns:
        Tensor: Scalar in 0..log K, float32 (float64 of float64); 0 with a gradient of zeros if no
        pixel counts.

    Raises:
        InputError: If there are fewer than two views or shapes do not agree.

    Example:
        >>> jensen_shannon_loss([torch.zeros(2, 19, 4, 4)] * 3)
        tensor(0.)
    """
    check_views(logits, "Logits")
    logs = [at_least_float32(own).log_softmax(1) for own in logits]
    views = [log.exp() for log in logs]
    mixture = reduce(torch.add, views) / len(views)
    log_mixture = mixture.clamp(LEAST_PROBABILITY, 1).log()
    divergences = [(own * (log - log_mixture)).sum(1) for own, log in zip(views, logs)]
    return mean_over_valid(reduce(torch.add, divergences) / len(views), valid)
