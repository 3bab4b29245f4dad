"""Bilinear samples of uint8 images in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmseg_robust.corruptions.pixels import ROUNDING
from mmseg_robust.corruptions.transfer import to_device

_BLOCK = 512
_ROUNDING = tl.constexpr(ROUNDING)


@triton.jit
def _truncated(value):
    """Grey level of a number, as ``pixels.to_uint8`` makes it."""
    return tl.minimum(tl.maximum(value + _ROUNDING, 0.0), 255.0).to(tl.uint8)


@triton.jit
def _mirrored(index, size):
    """The place in a row that stands for ``index``, however far outside; edges are mirrored too."""
    index = tl.where(index < 0, -1 - index, index) % (2 * size)
    return tl.where(index < size, index, 2 * size - 1 - index)


@triton.jit
def _value(plane, y, x, width, mask):
    return tl.load(plane + y * width + x, mask=mask, other=0).to(tl.float32)


@triton.jit
def _sample_kernel(images, moved, out, height, width, BLOCK: tl.constexpr):
    image = tl.program_id(1).to(tl.int64)
    size = height * width
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = pixel < size
    field = moved + image * 2 * size + pixel
    x = (pixel % width).to(tl.float32) + tl.load(field, mask=mask, other=0.0)
    y = (pixel // width).to(tl.float32) + tl.load(field + size, mask=mask, other=0.0)
    left, top = tl.math.floor(x), tl.math.floor(y)
    across, down = x - left, y - top
    x0 = _mirrored(left.to(tl.int32), width)
    x1 = _mirrored(left.to(tl.int32) + 1, width)
    y0 = _mirrored(top.to(tl.int32), height)
    y1 = _mirrored(top.to(tl.int32) + 1, height)
    for channel in range(3):
        offset = (image * 3 + channel) * size
        plane = images + offset
        upper = _value(plane, y0, x0, width, mask) * (1 - across)
        upper += _value(plane, y0, x1, width, mask) * across
        lower = _value(plane, y1, x0, width, mask) * (1 - across)
        lower += _value(plane, y1, x1, width, mask) * across
        tl.store(out + offset + pixel, _truncated(upper * (1 - down) + lower * down), mask=mask)


@triton.jit
def _zoom_kernel(images, geometry, scales, out, height, width, zooms, BLOCK: tl.constexpr):
    size = height * width
    offset = tl.program_id(1).to(tl.int64) * size
    plane = images + offset
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = pixel < size
    x, y = pixel % width, pixel // width
    total = _value(plane, y, x, width, mask)
    for zoom in range(zooms):
        top, left = tl.load(geometry + 4 * zoom), tl.load(geometry + 4 * zoom + 1)
        rows, columns = tl.load(geometry + 4 * zoom + 2), tl.load(geometry + 4 * zoom + 3)
        source_y = y.to(tl.float32) * tl.load(scales + 2 * zoom)
        source_x = x.to(tl.float32) * tl.load(scales + 2 * zoom + 1)
        y0, x0 = source_y.to(tl.int32), source_x.to(tl.int32)
        down, across = source_y - y0.to(tl.float32), source_x - x0.to(tl.float32)
        y1, x1 = top + tl.minimum(y0 + 1, rows - 1), left + tl.minimum(x0 + 1, columns - 1)
        y0, x0 = top + tl.minimum(y0, rows - 1), left + tl.minimum(x0, columns - 1)
        upper = _value(plane, y0, x0, width, mask) * (1 - across)
        upper += _value(plane, y0, x1, width, mask) * across
        lower = _value(plane, y1, x0, width, mask) * (1 - across)
        lower += _value(plane, y1, x1, width, mask) * across
        total += upper * (1 - down) + lower * down
    tl.store(out + offset + pixel, _truncated(total / (zooms + 1)), mask=mask)


def sample(images: Tensor, moved: Tensor) -> Tensor:
    """Bilinear samples at displaced places; the image goes on mirrored at its outer edge.

    Args:
        images (Tensor): uint8, contiguous, shape (N, 3, H, W).
        moved (Tensor): Displacement in pixels along x and y, float32, shape (N, 2, H, W).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    out = torch.empty_like(images)
    count, _, height, width = images.shape
    with torch.cuda.device_of(images):  # Triton launches on the current one
        _sample_kernel[(triton.cdiv(height * width, _BLOCK), count)](
            images, moved.contiguous(), out, height, width, BLOCK=_BLOCK
        )
    return out


def zoom_blur(
    images: Tensor, zooms: Sequence[tuple[int, int, int, int, tuple[int, int]]]
) -> Tensor:
    """Mean of an image and its zooms, see :mod:`mmseg_robust.corruptions.blur`.

    Args:
        images (Tensor): uint8, contiguous, shape (N, 3, H, W).
        zooms (Sequence[tuple[int, int, int, int, tuple[int, int]]]): As ``zoom_geometry`` gives
            them.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    out = torch.empty_like(images)
    count, channels, height, width = images.shape
    geometry = [number for zoom in zooms for number in zoom[:4]]
    scales = [
        (source - 1) / (target - 1)
        for _, _, rows, columns, size in zooms
        for source, target in zip((rows, columns), size)
    ]
    with torch.cuda.device_of(images):  # Triton launches on the current one
        _zoom_kernel[(triton.cdiv(height * width, _BLOCK), count * channels)](
            images, to_device(geometry, images.device, torch.int32),
            to_device(scales, images.device, torch.float32), out, height, width, len(zooms),
            BLOCK=_BLOCK,
        )  # fmt: skip
    return out
