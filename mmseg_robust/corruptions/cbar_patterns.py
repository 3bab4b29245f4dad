"""Patterns of ImageNet-C-bar: cut-out checkerboard and sparkles. See :mod:`.cbar`."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_robust.corruptions.cbar import ORIGINAL_SIDE, between, per_image, places, side, strength
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption
from mmseg_robust.corruptions.transfer import to_device

GREY = 128
"""Of a field that is cut out."""
BOARD_SCALE = (0.1, 0.25)
"""Range of a field's side, as a share of the image's."""
SPARKLES = 5
"""In an image."""
RAYS = (50, 200)
"""Least number of rays of a sparkle, and one above the greatest."""
RAY_DEVIATION = 0.25
"""Standard deviation of a ray's length, as a share of the radius."""
INVERSE_RADIUS = 0.25
"""Of the inverse sparkle, as a share of the side."""
INVERSE_RANGE = (0.25, 0.75)
"""Of the inverse sparkle's centre, as a share of height and width."""


class Board(NamedTuple):
    """Angle in radians and side of a field in pixels."""

    angle: float
    scale: float


class Sparkle(NamedTuple):
    """Centre in pixels and number of rays."""

    row: float
    column: float
    rays: int


def board_reach(images: Tensor) -> int:
    """How many fields a turned checkerboard reaches from the image's corner at most.

    Args:
        images (Tensor): Shape (N, 3, H, W).

    Returns:
        int: Fields in one direction.
    """
    return math.ceil(math.hypot(*images.shape[-2:]) / (BOARD_SCALE[0] * side(images))) + 1


def _boards(images: Tensor, severity: int, fields: RandomFields) -> tuple[list[Board], Tensor]:
    boards = [
        Board(2 * math.pi * angle, between(*BOARD_SCALE, scale) * side(images))
        for angle, scale in fields.scalars("board", 2)
    ]
    size = 2 * board_reach(images)
    share = strength("checkerboard_cutout", severity, 1)
    return boards, fields.uniform((size, size), "cut") < share


@corruption(draw=_boards)
def checkerboard_cutout(images: Tensor, severity: int, boards: list[Board], cut: Tensor) -> Tensor:
    """Grey 128 in fields of one colour of a turned checkerboard, each with a given probability.

    Field (i, j) holds the pixels with ``i = floor((cos(a) y + sin(a) x) / scale)`` and
    ``j = floor((cos(a) x - sin(a) y) / scale)``. It is cut out if i + j is even and ``cut`` says so
    for i and j rounded towards 0 instead, as in the original, where fields (0, 0) and (-1, -1)
    hence go together. A field of that colour is cut with probability ``level / 10``; the angle a
    is uniform, the scale too in [0.1, 0.25) * S.

    Sizes: the scale is tied to S, so an image holds as many fields as the original's.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5; acts through ``cut``.
        boards (list[Board]): One an image.
        cut (Tensor): Whether field (i - R, j - R) is cut, bool, shape (N, 2R, 2R), where R is
            :func:`board_reach`.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    rows, columns = places(images)
    device, reach = images.device, cut.shape[-1] // 2
    number = torch.arange(-reach, reach, device=device)
    towards_zero = number + (number < 0) + reach
    even = (number[:, None] + number).remainder_(2) == 0
    table = cut[:, towards_zero[:, None], towards_zero].logical_and_(even)
    turns = [(math.cos(board.angle), math.sin(board.angle), board.scale) for board in boards]
    cosine, sine, scale = per_image(turns, device)
    field = _whole(cosine * rows / scale, sine * columns / scale).add_(reach).mul_(2 * reach)
    field += _whole(-sine * rows / scale, cosine * columns / scale).add_(reach)
    hit = table.flatten(1).gather(1, field.flatten(1).to(torch.int64))
    return images.masked_fill(hit.view(len(images), 1, *images.shape[-2:]), GREY)


def _whole(down: Tensor, across: Tensor) -> Tensor:
    """Whole part of the sum of (N, H, 1) and (N, 1, W), float32, shape (N, H, W)."""
    return (down.float() + across.float()).floor_()


def _sparkles(
    images: Tensor, severity: int, fields: RandomFields
) -> tuple[list[list[Sparkle]], Tensor]:
    height, width = images.shape[-2:]
    centres = fields.scalars("centres", 3 * SPARKLES)
    sparkles = [
        [
            Sparkle(height * row, width * column, int(between(*RAYS, rays)))
            for row, column, rays in zip(*[iter(numbers)] * 3)
        ]
        for numbers in centres
    ]
    return sparkles, fields.normal((SPARKLES, RAYS[1]), "rays")


@corruption(draw=_sparkles)
def sparkles(images: Tensor, severity: int, centres: list[list[Sparkle]], normal: Tensor) -> Tensor:
    """White sparkles: ``v + f * (255 - v)`` for each of five, one after the other.

    At distance r and angle ``atan2(x - x0, y - y0)`` from a centre, with d the angle from -pi in
    units of the angle between two rays and u its fraction, ``f = min((1 - (u - 1/2)^2) * g, 1)``,
    ``g = l^2 / (r^2 + 1e-4)``, where l runs linearly from the length of ray floor(d) to the next
    one's. A ray's length is ``max(R + R n / 4, S / 224)`` with n normal and ``R = 0.01 * level *
    S``. Centres are uniform, numbers of rays in {50, ..., 199}. The sparkles' shares of light
    multiply, so the order does not matter.

    Sizes: lengths scale with S; the original's least ray of one pixel does too.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        centres (list[list[Sparkle]]): Five an image.
        normal (Tensor): n of the rays, of which the first ones count, float32, shape (N, 5, 200).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    radius = strength("sparkles", severity, 0.1) * side(images)
    lengths = normal.mul(RAY_DEVIATION * radius).add_(radius)
    lengths.clamp_(min=side(images) / ORIGINAL_SIDE)
    light = images.new_ones((len(images), *images.shape[-2:]), dtype=torch.float32)
    for index in range(lengths.shape[1]):
        shape, glow = _shine(images, [own[index] for own in centres], lengths[:, index])
        light.mul_(shape.mul_(glow).clamp_(max=1).neg_().add_(1))
    return to_uint8(to_float(images).sub_(255).mul_(light[:, None]).add_(255))


def _inverse(images: Tensor, severity: int, fields: RandomFields) -> tuple[list[Sparkle], Tensor]:
    height, width = images.shape[-2:]
    centres = [
        Sparkle(
            height * between(*INVERSE_RANGE, row),
            width * between(*INVERSE_RANGE, column),
            int(between(*RAYS, rays)),
        )
        for row, column, rays in fields.scalars("centre", 3)
    ]
    return centres, fields.normal((RAYS[1],), "rays")


@corruption(draw=_inverse)
def inverse_sparkles(
    images: Tensor, severity: int, centres: list[Sparkle], normal: Tensor
) -> Tensor:
    """All white but for one sparkle: ``255 + f * (v - 255)``.

    ``f = min((1 - (u - 1/2)^2) * g^(0.13 * level), 1)`` with u and g as in :func:`sparkles`;
    a ray's length is ``R + R n / 4`` with ``R = S / 4``; the centre is uniform in the middle half
    of height and width.

    Sizes: lengths scale with S.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        centres (list[Sparkle]): One an image.
        normal (Tensor): n of the rays, of which the first ones count, float32, shape (N, 200).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    radius = INVERSE_RADIUS * side(images)
    lengths = normal.mul(RAY_DEVIATION * radius).add_(radius)
    shape, glow = _shine(images, centres, lengths)
    light = glow.pow_(strength("inverse_sparkles", severity, 65) / 50).mul_(shape).clamp_(max=1)
    return to_uint8(to_float(images).sub_(255).mul_(light[:, None]).add_(255))


def _shine(images: Tensor, centres: list[Sparkle], lengths: Tensor) -> tuple[Tensor, Tensor]:
    """``1 - (u - 1/2)^2`` and g of a sparkle an image, float32, (N, H, W) each.

    Args:
        images (Tensor): Shape (N, 3, H, W).
        centres (list[Sparkle]): One an image.
        lengths (Tensor): Of rays, the first ones count, float32, shape (N, 200).
    """
    device, (height, width) = images.device, images.shape[-2:]
    rows, columns = places(images)
    row, column, rays = per_image(centres, device)
    y, x, rays = (rows - row).float(), (columns - column).float(), rays.float()
    turn = torch.atan2(x, y).mul_(rays / (2 * math.pi)).add_(rays / 2)
    # Truncation: rounding may leave a number a little below 0.
    number = turn.to(torch.int64)
    fraction = turn.sub_(number)
    start, step = _rays(lengths, to_device([own.rays for own in centres], device, torch.int64))
    flat = number.flatten(1)
    length = start.gather(1, flat).view(-1, height, width)
    length.addcmul_(step.gather(1, flat).view(-1, height, width), fraction)
    glow = length.square_().div_((y * y + 1e-4) + x * x)
    return fraction.sub_(0.5).square_().neg_().add_(1), glow


def _rays(lengths: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Length of each ray and what the next one has more, the last before the first, (N, 200)."""
    number = torch.arange(lengths.shape[1] + 1, device=lengths.device)
    cyclic = lengths.gather(1, number.remainder(counts[:, None]))
    return cyclic[:, :-1], cyclic[:, 1:] - cyclic[:, :-1]
