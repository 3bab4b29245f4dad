"""All counts of a pass in one Triton kernel; the plain twin is in ``pixel_counts.py``.

Plain torch goes over the maps and the logits dozens of times. Here each number is read once (the
logit of the predicted class twice) and nothing but counts is written. Counts are integers, so the
order in which the programs add theirs changes nothing.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmseg_robust.evaluation.calibration import BINS
from mmseg_robust.evaluation.pixel_counts import LOG2_E, PassMaps

BLOCK, WARPS, TOGETHER = 1024, 8, 4
"""Pixels and warps of a program, and classes that are on their way from memory at a time."""

_LARGEST_HISTOGRAM = 1024
"""Bins up to which ``tl.histogram`` is used: its work and its memory grow with their number."""

_COPIES = 64
"""Tables that share the pixels where there are more bins."""

_LOG2_E = tl.constexpr(LOG2_E)


@triton.jit
def _add_histogram(out, keys, SIZE: tl.constexpr, POWER: tl.constexpr):
    """Adds how often each key below ``SIZE`` occurs; ``POWER`` is above all keys.

    Most pixels fall into a few bins, where additions to memory would queue, pixel by pixel. This
    way each bin that occurs in the block takes one.
    """
    bins = tl.arange(0, POWER)
    counts = tl.histogram(keys, POWER)
    tl.atomic_add(out + bins, counts, mask=(counts > 0) & (bins < SIZE), sem="relaxed")


@triton.jit
def _confidence(
    logits, predicted, pixel, inside, class_step, pixel_step,
    CHANNELS: tl.constexpr, TOGETHER: tl.constexpr,
):  # fmt: skip
    """Softmax at the predicted class, 0 where it is NaN, and whether a logit is NaN."""
    chosen = tl.minimum(tl.maximum(predicted, 0), CHANNELS - 1)
    place = pixel * pixel_step
    largest = tl.load(logits + chosen * class_step + place, mask=inside, other=0.0).to(tl.float32)
    nan = largest != largest
    total = tl.zeros(largest.shape, tl.float32)
    plane = logits  # moved from class to class: a product with the step may exceed 32 bits
    for first in range(0, CHANNELS, TOGETHER):
        for more in tl.static_range(TOGETHER):
            mask = inside & (first + more < CHANNELS)
            # Minus infinity, where there is no such class, adds nothing.
            logit = tl.load(plane + place, mask=mask, other=float("-inf")).to(tl.float32)
            nan = nan | (logit != logit)
            total += tl.exp2((logit - largest) * _LOG2_E)
            plane += class_step
    # Rounded as torch does it; the operator's division is an approximation.
    share = tl.math.div_rn(tl.full(total.shape, 1.0, tl.float32), total)
    return tl.where(total > 0.0, share, 0.0), nan


@triton.jit
def _count_kernel(
    logits, prediction, label, weaker, row, tables, pixels, class_step, pixel_step, ignore_index,
    CLASSES: tl.constexpr, CHANNELS: tl.constexpr, BINS: tl.constexpr, TABLE_POWER: tl.constexpr,
    BINS_POWER: tl.constexpr, COPIES: tl.constexpr, BLOCK: tl.constexpr, TOGETHER: tl.constexpr,
):  # fmt: skip
    TABLE: tl.constexpr = (CLASSES + 1) * (CLASSES + 1)
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    predicted = tl.load(prediction + pixel, mask=inside, other=0).to(tl.int64)
    truth = tl.load(label + pixel, mask=inside, other=0).to(tl.int64)
    before = tl.load(weaker + pixel, mask=inside, other=0).to(tl.int64)
    flips = tl.sum((inside & (before != predicted)).to(tl.int32), axis=0)
    tl.atomic_add(row + TABLE + 2 * BINS, flips, sem="relaxed")

    # Compared at full width: a number that is far outside must not be cut to one of the classes.
    is_class = (truth >= 0) & (truth < CLASSES)
    known = inside & (truth != ignore_index)
    down = tl.where(is_class, truth, CLASSES).to(tl.int32)
    across = tl.where((predicted >= 0) & (predicted < CLASSES), predicted, CLASSES).to(tl.int32)
    cell = down * (CLASSES + 1) + across
    if COPIES == 1:
        _add_histogram(tables, tl.where(known, cell, TABLE), TABLE, TABLE_POWER)
    else:
        own = tables + (tl.program_id(0) % COPIES) * TABLE
        tl.atomic_add(own + cell, tl.full((BLOCK,), 1, tl.int32), mask=known, sem="relaxed")

    share, nan = _confidence(
        logits, predicted, pixel, inside, class_step, pixel_step, CHANNELS, TOGETHER
    )
    fine = tl.minimum((share * BINS).to(tl.int32), BINS - 1)
    key = tl.where(predicted == truth, BINS + fine, fine)
    key = tl.where(known & is_class, key, 2 * BINS)
    _add_histogram(row + TABLE, key, 2 * BINS, BINS_POWER)
    any_nan = tl.max(nan.to(tl.int32), axis=0)
    tl.atomic_max(row + TABLE + 2 * BINS + 1, any_nan, sem="relaxed")


def _power_above(number: int) -> int:
    """A power of two above a number, with at least one bin for each thread of a warp."""
    return max(triton.next_power_of_2(number + 1), 32)


def count_pass(
    row: Tensor, maps: PassMaps, logits: Tensor, num_classes: int, ignore_index: int
) -> None:
    """See :func:`mmseg_robust.evaluation.pixel_counts.count_pass`.

    Args:
        row (Tensor): Where to, int32, zeros.
        maps (PassMaps): Its maps, shape (P,).
        logits (Tensor): Of two classes or more.
        num_classes (int): Number of classes, C.
        ignore_index (int): Label to leave out.
    """
    flat = logits.flatten(1)
    channels, pixels = flat.shape
    assert all(len(values) == pixels for values in maps), "the kernel would read past an end"
    size = (num_classes + 1) ** 2
    power = _power_above(size)
    copies = 1 if power <= _LARGEST_HISTOGRAM else _COPIES
    tables = row if copies == 1 else row.new_zeros(copies, size)
    with torch.cuda.device_of(row):  # Triton launches on the current one
        _count_kernel[(triton.cdiv(pixels, BLOCK),)](
            flat, *(values.contiguous() for values in maps), row, tables, pixels, *flat.stride(),
            ignore_index, CLASSES=num_classes, CHANNELS=channels, BINS=BINS, TABLE_POWER=power,
            BINS_POWER=_power_above(2 * BINS), COPIES=copies, BLOCK=BLOCK, TOGETHER=TOGETHER,
            num_warps=WARPS,
        )  # fmt: skip
    if copies > 1:
        torch.sum(tables, 0, dtype=row.dtype, out=row[:size])
