"""Elastic transform of ``imagecorruptions`` 1.1.2.

It is not ImageNet-C's: there is no affine part, and the displacement is about 1 to 2.5 pixels at
any square size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_robust.corruptions import kernels
from mmseg_robust.corruptions.filters import gaussian_filter
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption

ALPHAS = (12.5, 16.25, 21.25, 25.0, 30.0)
"""Factor of the displacement for severities 1 to 5."""
REACH = 0.005
"""Largest displacement before smoothing and factor, as a share of the height, along both axes."""
SMOOTHING = 0.01
"""Standard deviation of the smoothing along an axis, as a share of its length."""
TRUNCATE = 3.0
"""Where the smoothing's kernel ends, in standard deviations."""


def _displacements(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor]:
    return (fields.uniform((2, *images.shape[-2:]), "displacement").mul_(2).sub_(1),)


@corruption(draw=_displacements)
def elastic_transform(images: Tensor, severity: int, uniform: Tensor) -> Tensor:
    """Samples the image bilinearly at places displaced by smooth random fields.

    ``d = alpha * G(0.005 * H * u)`` in pixels, along x and y by one field each; G is a Gaussian
    blur by 0.01 of the height and of the width. Outside, the image goes on mirrored. Labels are
    left alone, as everybody does.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        uniform (Tensor): u in [-1, 1), float, for x and for y, shape (N, 2, H, W).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    height, width = images.shape[-2:]
    sigma = (SMOOTHING * height, SMOOTHING * width)
    moved = gaussian_filter(uniform.to(torch.float32), sigma, "reflect", TRUNCATE)
    moved.mul_(ALPHAS[severity - 1] * REACH * height)
    if kernels.usable(images.device):
        return kernels.sample(images, moved)
    return to_uint8(_sample(to_float(images), moved))


def _sample(values: Tensor, moved: Tensor) -> Tensor:
    """Bilinear samples at (x + moved[:, 0], y + moved[:, 1])."""
    height, width = values.shape[-2:]
    x = torch.arange(width, device=values.device, dtype=torch.float32)
    y = torch.arange(height, device=values.device, dtype=torch.float32)[:, None]
    # grid_sample's units: -1 and 1 are the outer edges of the first and last pixel
    across = (moved[:, 0] + x).mul_(2 / width).add_(1 / width - 1)
    down = (moved[:, 1] + y).mul_(2 / height).add_(1 / height - 1)
    grid = torch.stack((across, down), dim=-1)
    return F.grid_sample(values, grid, "bilinear", "reflection", align_corners=False)
