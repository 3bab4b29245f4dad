"""Linear filters in one pass a call: each tap is read from cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmseg_robust.corruptions.transfer import to_device

if TYPE_CHECKING:
    from mmseg_robust.corruptions.filters import Taps

_BORDERS = {"nearest": 0, "reflect": 1, "mirror": 2}
_ROWS, _COLUMNS = 8, 128


@triton.jit
def _inside(index, size, BORDER: tl.constexpr):
    """The place in a row that stands for ``index``, up to one row's length outside."""
    if BORDER == 1:
        index = tl.where(index < 0, -1 - index, index)
        index = tl.where(index >= size, 2 * size - 1 - index, index)
    if BORDER == 2:
        index = tl.where(index < 0, -index, index)
        index = tl.where(index >= size, 2 * size - 2 - index, index)
    return tl.minimum(tl.maximum(index, 0), size - 1)


@triton.jit
def _convolve_kernel(
    planes, weights, out, height, width, radius,
    ALONG_ROWS: tl.constexpr, BORDER: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    plane = tl.program_id(2).to(tl.int64) * height * width
    y = (tl.program_id(1) * ROWS + tl.arange(0, ROWS))[:, None]
    x = (tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    mask = (y < height) & (x < width)
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for tap in range(0, 2 * radius + 1):
        if ALONG_ROWS:
            place = y * width + _inside(x + tap - radius, width, BORDER)
        else:
            place = _inside(y + tap - radius, height, BORDER) * width + x
        total += tl.load(weights + tap) * tl.load(planes + plane + place, mask=mask, other=0.0)
    tl.store(out + plane + y * width + x, total, mask=mask)


@triton.jit
def _correlate_kernel(
    images, rows, columns, weights, out, height, width, channels, taps, step,
    BORDER: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    plane = tl.program_id(2).to(tl.int64) * height * width
    first = (tl.program_id(2) // channels) * step
    y = (tl.program_id(1) * ROWS + tl.arange(0, ROWS))[:, None]
    x = (tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    mask = (y < height) & (x < width)
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for tap in range(first, first + taps):
        source_y = _inside(y + tl.load(rows + tap), height, BORDER)
        source_x = _inside(x + tl.load(columns + tap), width, BORDER)
        value = tl.load(images + plane + source_y * width + source_x, mask=mask, other=0)
        total += tl.load(weights + tap) * value.to(tl.float32)
    tl.store(out + plane + y * width + x, total, mask=mask)


def _grid(planes: int, height: int, width: int) -> tuple[int, int, int]:
    return triton.cdiv(width, _COLUMNS), triton.cdiv(height, _ROWS), planes


def convolve(planes: Tensor, weights: Tensor, axis: int, border: str) -> Tensor:
    """One set of taps along an axis, see :func:`mmseg_robust.corruptions.filters.convolve`.

    Args:
        planes (Tensor): float32, contiguous, shape (..., H, W).
        weights (Tensor): An odd number of taps, float32, on the device.
        axis (int): -1 along rows, -2 along columns.
        border (str): ``'nearest'``, ``'reflect'`` or ``'mirror'``.

    Returns:
        Tensor: float32, shape (..., H, W).
    """
    planes = planes.contiguous()
    out = torch.empty_like(planes)
    height, width = planes.shape[-2:]
    with torch.cuda.device_of(planes):  # Triton launches on the current one
        _convolve_kernel[_grid(planes.numel() // (height * width), height, width)](
            planes, weights, out, height, width, len(weights) // 2,
            ALONG_ROWS=axis == -1, BORDER=_BORDERS[border], ROWS=_ROWS, COLUMNS=_COLUMNS,
        )  # fmt: skip
    return out


def correlate(images: Tensor, taps: Sequence[Taps], border: str) -> Tensor:
    """A small kernel an image, see :func:`mmseg_robust.corruptions.filters.correlate`.

    Args:
        images (Tensor): uint8 or float32, shape (N, C, H, W).
        taps (Sequence[Taps]): Kernels, one an image, or one for all.
        border (str): ``'nearest'``, ``'reflect'`` or ``'mirror'``.

    Returns:
        Tensor: float32, shape (N, C, H, W).
    """
    images = images.contiguous()
    longest = max(len(own) for own in taps)
    padded = [[*own, *[(0, 0, 0.0)] * (longest - len(own))] for own in taps]
    flat = [tap for own in padded for tap in own]
    rows = to_device([tap[0] for tap in flat], images.device, torch.int32)
    columns = to_device([tap[1] for tap in flat], images.device, torch.int32)
    weights = to_device([tap[2] for tap in flat], images.device, torch.float32)
    out = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    count, channels, height, width = images.shape
    with torch.cuda.device_of(images):  # Triton launches on the current one
        _correlate_kernel[_grid(count * channels, height, width)](
            images, rows, columns, weights, out, height, width, channels, longest,
            longest if len(taps) > 1 else 0,
            BORDER=_BORDERS[border], ROWS=_ROWS, COLUMNS=_COLUMNS,
        )  # fmt: skip
    return out
