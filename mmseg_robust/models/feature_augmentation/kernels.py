"""The small tensors of CWFA in one Triton kernel each; their plain twins are in ``shift.py``."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _shift_kernel(mean, length, shift, direction, rate, norm, channels, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    place = tl.arange(0, BLOCK)
    inside = place < channels
    place += row * channels
    x = tl.load(mean + place, mask=inside, other=0.0)
    size = tl.sqrt(tl.sum(x * x, axis=0))
    inverse = tl.where(size == 0.0, 0.0, 1.0 / size)
    wanted = tl.load(length + row)
    unit = x * inverse
    tl.store(direction + place, unit, mask=inside)
    tl.store(shift + place, wanted * unit, mask=inside)
    tl.store(rate + row, wanted * inverse)
    tl.store(norm + row, size)


@triton.jit
def _gradient_kernel(total, direction, rate, out, channels, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    place = tl.arange(0, BLOCK)
    inside = place < channels
    place += row * channels
    grad = tl.load(total + place, mask=inside, other=0.0)
    unit = tl.load(direction + place, mask=inside, other=0.0)
    along = tl.sum(grad * unit, axis=0)
    tl.store(out + place, (grad - unit * along) * tl.load(rate + row), mask=inside)


def make_shift(
    mean: Tensor, length: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`mmseg_robust.models.feature_augmentation.shift.make_shift`."""
    count = len(mean)
    mean, length = mean.contiguous(), length.contiguous()
    shift = torch.empty_like(mean, dtype=dtype)
    direction = torch.empty_like(mean)
    rate, norm = torch.empty_like(length), torch.empty_like(length)
    channels = mean.numel() // count
    with torch.cuda.device_of(mean):
        _shift_kernel[(count,)](
            mean, length, shift, direction, rate, norm, channels,
            BLOCK=triton.next_power_of_2(channels),
        )  # fmt: skip
    return shift, direction, rate, norm


def gradient_through_shift(
    total: Tensor, direction: Tensor, rate: Tensor, dtype: torch.dtype
) -> Tensor:
    """See :func:`mmseg_robust.models.feature_augmentation.shift.gradient_through_shift`."""
    total = total.contiguous()
    out = torch.empty_like(total, dtype=dtype)
    channels = total.numel() // len(total)
    with torch.cuda.device_of(total):
        _gradient_kernel[(len(total),)](
            total, direction, rate, out, channels, BLOCK=triton.next_power_of_2(channels)
        )
    return out
