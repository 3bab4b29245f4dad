"""A JPEG round trip in torch, equal to libjpeg-turbo's to the bit.

What Pillow's ``save(file, "JPEG", quality=quality)`` and ``open`` do, less the entropy coder, which
loses nothing: JFIF's colours, chroma of half size (4:2:0), the tables of ITU-T T.81 Annex K, the
accurate integer DCT ("islow"), triangle ("fancy") upsampling. Names in brackets are libjpeg 6b's
files, whose arithmetic libjpeg-turbo reproduces in its vector code. IJG's libjpeg scales chroma in
another way from version 7 on.

Every step computes with integers, some divided by a power of 2: float32 holds 24 bits, float64
53, so that the order of a sum does not matter. The matrix products are float64, which no TF32 or
bfloat16 switch touches. Neighbours in a row are told apart by the bytes of a wider integer, lowest
first, as on every little-endian machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from mmseg_robust.corruptions.checks import check_batch
from mmseg_robust.corruptions.jpeg_tables import dct, quantisation
from mmseg_robust.corruptions.registry import corruption
from mmseg_robust.errors import InputError

QUALITIES = (25, 18, 15, 10, 7)
"""Quality for severities 1 to 5."""

_STRIP = 1 << 17
"""Pixels that a processor works on at a time: the largest whose numbers stay in its cache."""


@corruption()
def jpeg_compression(images: Tensor, severity: int) -> Tensor:
    """JPEG at quality 25, 18, 15, 10 or 7, as in ``imagecorruptions`` 1.1.2 with Pillow.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    return jpeg_roundtrip(images, QUALITIES[severity - 1])


def jpeg_roundtrip(images: Tensor, quality: int) -> Tensor:
    """Compresses RGB images as JPEG and decompresses them.

    Args:
        images (Tensor): RGB, uint8, shape (N, 3, H, W), H and W at least 32.
        quality (int): libjpeg's, 1 (worst) to 100.

    Returns:
        Tensor: RGB, uint8, shape (N, 3, H, W), equal to Pillow's with libjpeg-turbo.

    Raises:
        InputError: If an argument is not as described.
    """
    check_batch(images)
    if not isinstance(quality, int) or not 1 <= quality <= 100:
        raise InputError(f"JPEG quality must be an integer from 1 to 100, got {quality!r}.")
    images = images.contiguous()
    luma, chroma = _compress(images, quantisation(quality, images.device))
    out = torch.empty_like(images)
    for part, top, bottom in _strips(images):
        near = chroma[part, :, top // 2 : (bottom + 1) // 2 + 2]
        _to_rgb(luma[part, :, top:bottom], _upsample(near), out[part, :, top:bottom])
    return out


def _compress(images: Tensor, tables: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Samples as the decoder finds them.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W), contiguous.
        tables (tuple[Tensor, Tensor]): See :func:`quantisation`.

    Returns:
        tuple[Tensor, Tensor]: Luma, uint8, shape (N, 1, H, W); chroma, uint8, shape
        (N, 2, h + 2, w + 2) with the edges repeated and h and w the halves of H and W, rounded up.
    """
    count, _, height, width = images.shape
    half = (width + 1) // 2
    luma = images.new_empty(count, 1, height, width)
    chroma = images.new_empty(count, 2, (height + 1) // 2 + 2, half + 2)
    luma_tables, chroma_tables = (table.repeat(1, 1, -(-width // 16) * 2) for table in tables)
    chroma_tables = chroma_tables[..., : chroma_tables.shape[-1] // 2]
    for part, top, bottom in _strips(images):
        rgb = _extend(_extend(images[part, :, top:bottom], -1, 16), -2, 2)
        bright, colour = _to_ycc(rgb)
        bright = _code_blocks(_extend(bright, -2, 8), *luma_tables)
        luma[part, :, top:bottom] = bright[..., : bottom - top, :width]
        colour = _downsample(colour)
        coded = _code_blocks(_extend(colour, -2, 8), *chroma_tables)[..., : colour.shape[-2], :half]
        chroma[part, :, top // 2 + 1 : (bottom + 1) // 2 + 1, 1:-1] = coded
    chroma[..., 0], chroma[..., -1] = chroma[..., 1], chroma[..., -2]
    chroma[..., 0, :], chroma[..., -1, :] = chroma[..., 1, :], chroma[..., -2, :]
    return luma, chroma


def _strips(images: Tensor) -> Iterator[tuple[slice, int, int]]:
    """(Images, first row, one past the last row) of the parts to work on, whole blocks each."""
    count, _, height, width = images.shape
    if images.device.type != "cpu":
        yield slice(0, count), 0, height
        return
    rows = max(_STRIP // (16 * width), 1) * 16
    for index, top in product(range(count), range(0, height, rows)):
        yield slice(index, index + 1), top, min(top + rows, height)


def _extend(planes: Tensor, axis: int, multiple: int) -> Tensor:
    """Repeats the last row or column until their number is a multiple of ``multiple``."""
    size = planes.shape[axis]
    if size % multiple == 0:
        return planes
    shape = list(planes.shape)
    shape[axis] = -size % multiple
    return torch.cat((planes, planes.narrow(axis, size - 1, 1).expand(shape)), axis)


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """JFIF's colours with weights of 16 bits, rounded down (jccolor).

    Returns:
        tuple[Tensor, Tensor]: Luma - 128, float32, shape (N, 1, H, W); chroma, int16 in 0..255,
        shape (N, 2, H, W).
    """
    red, green, blue = rgb.to(torch.float32).split(1, dim=1)
    luma = _weighted(-8355840, (red, 19595), (green, 38470), (blue, 7471)).floor_()
    chroma = torch.empty(len(rgb), 2, *rgb.shape[2:], dtype=torch.int16, device=rgb.device)
    # No sum falls below 0, so that truncation rounds down; none reaches 2**24 by this order.
    chroma[:, :1] = _weighted(8421375, (blue, 32768), (red, -11059), (green, -21709))
    chroma[:, 1:] = _weighted(8421375, (red, 32768), (green, -27439), (blue, -5329))
    return luma, chroma


def _weighted(start: int, *terms: tuple[Tensor, int]) -> Tensor:
    """``(start + sum of plane * weight) / 2**16``, exact if no partial sum exceeds 2**24."""
    (first, weight), *others = terms
    total = (first * (weight / 65536)).add_(start / 65536)
    for plane, weight in others:
        total.add_(plane, alpha=weight / 65536)
    return total


def _downsample(chroma: Tensor) -> Tensor:
    """Means of 2 x 2, with 1/4 and 1/2 added in turn along a row before rounding down (jcsample).

    Args:
        chroma (Tensor): int16 in 0..255, shape (N, 2, H, W), H and W even.

    Returns:
        Tensor: int32 in -128..127, shape (N, 2, H/2, W/2).
    """
    sums = chroma[..., ::2, :] + chroma[..., 1::2, :]
    pairs = sums.view(torch.int32)
    bias = torch.arange(pairs.shape[-1], dtype=torch.int32, device=chroma.device)
    bias = bias.bitwise_and_(1).add_(1 - 4 * 128).mul_(65536)
    # Of a pair (a, b), a + 65536 b, times 65537 the upper 16 bits are a + b.
    return torch.add(bias, pairs, alpha=65537).bitwise_right_shift_(18)


def _code_blocks(planes: Tensor, factors: Tensor, steps: Tensor) -> Tensor:
    """DCT, quantisation and back (jfdctint, jcdctmgr, jidctint).

    A pass along one axis is linear up to its one rounding, hence a product with a matrix. Its sums
    are multiples of 2**-18 far below 2**35, which float64 holds.

    Args:
        planes (Tensor): Samples - 128, whole blocks, shape (N, C, h, w).
        factors (Tensor): What a coefficient is multiplied by to count its steps, float64, shape
            (8, w).
        steps (Tensor): The size of a step, float64, shape (8, w).

    Returns:
        Tensor: Samples, uint8, shape (N, C, h, w).
    """
    device = planes.device
    values = planes.to(torch.float64).view(-1, 8, planes.shape[-1])
    values = _along_rows(values, dct(11, device).T).add_(0.5).floor_()
    values = _along_columns(values, dct(15, device)).add_(0.5).floor_()
    values.mul_(factors).round_().mul_(steps)
    # On the way back the mean's coefficient, times 4 and times 1 / 32, carries the halves that
    # round and the 128.
    values[:, 0].add_(0.5 / 4)
    values[:, 0, ::8].add_(128.5 * 32 / 4)
    values = _along_columns(values, dct(11, device).T).floor_()
    values = _along_rows(values, dct(18, device))
    # Truncation differs from rounding down only below 0, where the clamp acts.
    return values.to(torch.int16).clamp_(0, 255).to(torch.uint8).view(planes.shape)


def _along_rows(values: Tensor, matrix: Tensor) -> Tensor:
    """Each 8 neighbours of a row times a matrix."""
    return torch.mm(values.view(-1, 8), matrix).view(values.shape)


def _along_columns(values: Tensor, matrix: Tensor) -> Tensor:
    """A matrix times each column of 8."""
    return torch.bmm(matrix.expand(len(values), 8, 8), values)


def _upsample(chroma: Tensor) -> Tensor:
    """Twice the size by weights 3/4 and 1/4 along both axes, rounded once (jdsample).

    The rounding adds 8/16 and 7/16 in turn along a row.

    Args:
        chroma (Tensor): uint8, shape (N, C, h + 2, w + 2), with one more sample on each side.

    Returns:
        Tensor: int16 in 0..255, shape (N, C, 2h, 2w).
    """
    values = chroma.to(torch.int32)
    middle = values[..., 1:-1, :] * 3
    count, channels, height, width = middle.shape
    sums = middle.new_empty(count, channels, height, 2, width)
    torch.add(middle, values[..., :-2, :], out=sums[..., 0, :])
    torch.add(middle, values[..., 2:, :], out=sums[..., 1, :])
    sums = sums.view(count, channels, 2 * height, width)
    left, right = sums[..., :-2], sums[..., 2:]
    # Both columns that a sample turns into, in the halves of 32 bits: left + 3 * sample + 8 and
    # right + 3 * sample + 7. The shift brings bits of one into the other, which the mask drops.
    pairs = torch.add(left, sums[..., 1:-1], alpha=0x30003).add_(right, alpha=0x10000)
    return pairs.add_(0x70008).bitwise_right_shift_(4).bitwise_and_(0xFF00FF).view(torch.int16)


def _to_rgb(luma: Tensor, chroma: Tensor, out: Tensor) -> None:
    """Colours from samples, rounded by adding a half (jdcolor).

    Args:
        luma (Tensor): uint8, shape (N, 1, H, W).
        chroma (Tensor): int16 in 0..255, shape (N, 2, H, W) or larger. Overwritten.
        out (Tensor): Receives RGB, uint8, shape (N, 3, H, W).
    """
    height, width = luma.shape[-2:]
    centred = chroma.sub_(128)[..., :height, :width].to(torch.float32)
    bluish, reddish = centred.split(1, dim=1)
    bright = luma.to(torch.float32).add_(0.5)
    # float32 holds these sums exactly from -256 to 256; larger ones end at 255 all the same.
    red = torch.add(bright, reddish, alpha=91881 / 65536)
    blue = torch.add(bright, bluish, alpha=116130 / 65536)
    green = (bluish * (-22554 / 65536)).add_(reddish, alpha=-46802 / 65536).add_(bright)
    for index, colour in enumerate((red, green, blue)):
        # uint8 by way of int16: processors convert float32 to int16 many numbers at a time.
        out[:, index : index + 1] = colour.to(torch.int16).clamp_(0, 255)
