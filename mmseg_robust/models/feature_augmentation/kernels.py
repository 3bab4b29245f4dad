"""CWFA's shift and its gradient in one Triton kernel; the plain twins are in ``shift.py``."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_TILE = 8192  # elements a program adds to, about


@triton.jit
def _add_kernel(
    source, mean, length, total, out, positions, channels,
    sample_step, position_step, channel_step,
    GRADIENT: tl.constexpr, POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    # Every program works out its sample's small vector anew: cheaper than a launch for it.
    sample = tl.program_id(1).to(tl.int64)
    c = tl.arange(0, CHANNELS)
    inside = c < channels
    row = sample * channels + c
    x = tl.load(mean + row, mask=inside, other=0.0)
    size = tl.sqrt(tl.sum(x * x, axis=0))
    inverse = tl.where(size == 0.0, 0.0, 1.0 / size)
    unit = x * inverse
    wanted = tl.load(length + sample)
    if GRADIENT:
        grad = tl.load(total + row, mask=inside, other=0.0)
        along = tl.sum(grad * unit, axis=0)
        added = (grad - unit * along) * (wanted * inverse)
    else:
        added = wanted * unit
    added = added.to(source.dtype.element_ty).to(tl.float32)
    p = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)
    place = sample * sample_step + p[:, None] * position_step + c[None, :] * channel_step
    there = (p < positions)[:, None] & inside[None, :]
    value = tl.load(source + place, mask=there, other=0.0).to(tl.float32)
    tl.store(out + place, value + added[None, :], mask=there)


def add_along_mean(
    source: Tensor, mean: Tensor, length: Tensor, layout: str, total: Tensor | None = None
) -> Tensor:
    """The shifted features, or with ``total`` the gradient of the features.

    Args:
        source (Tensor): The features, or the gradient of what was returned for them, (N, C, H, W),
            (N, L, C) or (N, H, W, C); float32 or half.
        mean (Tensor): x, float32, N times C numbers.
        length (Tensor): Norm of the shift, float32, shape (N,).
        layout (str): ``NCHW``, ``NLC`` or ``NHWC``.
        total (Tensor, optional): Mean over the positions of the gradient, as ``mean``.

    Returns:
        Tensor: Of the source's shape and type.
    """
    if not source.numel():
        return torch.empty_like(source)
    channels = mean.numel() // len(mean)
    positions = source.numel() // mean.numel()
    channels_last = layout != "NCHW"
    if not channels_last and source.is_contiguous(memory_format=torch.channels_last):
        channels_last = True
    else:
        source = source.contiguous()
    steps = (channels, 1) if channels_last else (1, positions)
    out = torch.empty_like(source)
    block = triton.next_power_of_2(channels)
    rows = max(1, _TILE // block)
    with torch.cuda.device_of(source):
        _add_kernel[(triton.cdiv(positions, rows), len(mean))](  # the second may be 65,535
            source, mean.contiguous(), length, total, out, positions, channels,
            channels * positions, *steps,
            GRADIENT=total is not None, POSITIONS=rows, CHANNELS=block,
        )  # fmt: skip
    return out
