"""Glass blur of ``imagecorruptions`` 1.1.2 for a batch at once, without its loop over pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_robust.corruptions.filters import gaussian_filter
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption

PARAMETERS = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
"""(sigma, largest offset in pixels, passes) for severities 1 to 5."""

DOUBLINGS = 6
"""Sources are followed over chains of up to 2**6 copies. A pixel's source has been overwritten with
a probability of at most 27/64 (offsets of up to 4 pixels: 3 * 9 of 64 point forward), so a longer
chain, which would be cut there, has one of 1e-24 a pixel."""


def _offsets(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor, Tensor]:
    """Offsets of 16 random bits each; their odds are even to 1 in 10,000, exact for powers of 2."""
    _, reach, passes = PARAMETERS[severity - 1]
    count, _, height, width = images.shape
    size = 2 * passes * height * width
    # Four numbers of 16 bits, -0.5 to 0.5 as fractions, in each of 64.
    lanes = fields.bits(((size + 3) // 4,), "offsets").view(torch.int16)[:, :size]
    offsets = lanes.to(torch.int32).mul_(2 * reach).bitwise_right_shift_(16)
    down, across = offsets.reshape(count, 2, passes, height, width).unbind(1)
    return down, across


@corruption(draw=_offsets)
def glass_blur(images: Tensor, severity: int, down: Tensor, across: Tensor) -> Tensor:
    """Gaussian blur, passes of copies from random near pixels, and the blur again.

    A pass walks over the interior in reverse raster order, and each pixel takes the value that its
    source has by then. (The original is written as a swap, but on views of an array only the one
    assignment takes effect.) Both blurs end in whole grey levels, rounded down; the original's are
    float64, so a value on the verge of a level may come out one level apart.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        down (Tensor): Rows from a pixel to its source, in [-d, d) with d = 1, 2, 2, 3, 4 by
            severity, int32, shape (N, P, H, W) with P = 2, 1, 3, 2, 2 passes.
        across (Tensor): Columns to the source, likewise.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).

    Note:
        Pixels move by a few places; labels are left alone, as everybody does. Outermost rows and
        columns, d + 1 at the top and left and d - 1 at the bottom and right, stay.
    """
    sigma, reach, passes = PARAMETERS[severity - 1]
    # Channels first, so that one map of the whole batch serves each of them.
    planes = images.transpose(0, 1).contiguous()
    planes = to_uint8(gaussian_filter(to_float(planes), sigma))
    origins = _origins(down[:, 0], across[:, 0], reach)
    for turn in range(1, passes):
        # After a pass a pixel holds what its origin held after the passes before.
        origins = origins.index_select(0, _origins(down[:, turn], across[:, turn], reach))
    shuffled = torch.stack([plane.index_select(0, origins) for plane in planes.flatten(1)])
    blurred = gaussian_filter(to_float(shuffled.view(planes.shape)), sigma)
    return to_uint8(blurred).transpose(0, 1)


def _origins(down: Tensor, across: Tensor, reach: int) -> Tensor:
    """For each pixel, the one whose value from before a pass it holds after it.

    Args:
        down (Tensor): Rows to the source, int32, shape (N, H, W).
        across (Tensor): Columns to the source, likewise.
        reach (int): d, the largest offset.

    Returns:
        Tensor: Place among all pixels of the batch, int32, shape (N * H * W,).
    """
    height, width = down.shape[-2:]
    places = torch.arange(down.numel(), dtype=torch.int32, device=down.device)
    interior = (
        slice(None),
        slice(reach + 1, height - reach + 1),
        slice(reach + 1, width - reach + 1),
    )
    sources = places.clone()
    inner = sources.view(down.shape)[interior]
    inner.add_(across[interior]).add_(down[interior], alpha=width)
    if reach == 1:
        # Offsets are -1 and 0, so no source is visited before its pixel.
        return sources
    # A source at a later place has been visited, so its own source counts, and so on to a pixel
    # whose source lies before it. Pixels that are never visited are their own sources.
    ends = torch.maximum(sources, places)
    for _ in range(DOUBLINGS):
        ends = ends.index_select(0, ends)
    return sources.index_select(0, ends)
