"""Contours as OpenCV finds them and the distance to them, in batched torch.

Equal to OpenCV but for the limits that the docstrings name: how far Canny follows weak edges, and
where distances end.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_robust.corruptions.filters import convolve

TAN_22 = 13573 / 2**15
"""OpenCV's tangent of 22.5 degrees."""
DISTANCE_UNIT = 645
"""Units a pixel of :func:`chamfer_distance`: OpenCV's three steps become whole numbers."""
FAR = 20
"""The distance in pixels at which :func:`chamfer_distance` ends."""
_AXIAL, _DIAGONAL, _KNIGHT = 645, 903, 1417
# The longest optimal path has 19 straight, 14 diagonal or 9 knight's steps; any number of them up
# to that is a sum of some of these.
_AXIAL_STRIDES, _DIAGONAL_STRIDES, _KNIGHT_STRIDES = (1, 2, 4, 8, 4), (1, 2, 4, 7), (1, 2, 4, 2)
_MARGIN = 8


def canny(planes: Tensor, low: int, high: int, steps: int) -> Tensor:
    """Edges by Canny (IEEE PAMI 8, 1986) as ``cv2.Canny(plane, low, high)`` with its defaults.

    Sobel gradients with repeated edge pixels; their size is ``|dx| + |dy|``. A pixel is a candidate
    if its size exceeds ``low`` and is a maximum across the edge, in one of four directions. Edges
    are the candidates above ``high`` and those joined to one through neighbouring candidates.

    Args:
        planes (Tensor): Whole numbers in 0..255, float32, shape (N, H, W).
        low (int): Least gradient of a candidate.
        high (int): Gradient of an edge in its own right.
        steps (int): How far in pixels edges are followed from there; OpenCV goes on to the end.

    Returns:
        Tensor: bool, shape (N, H, W).
    """
    dx = convolve(convolve(planes, (1, 2, 1), -2, "nearest"), (-1, 0, 1), -1, "nearest")
    dy = convolve(convolve(planes, (-1, 0, 1), -2, "nearest"), (1, 2, 1), -1, "nearest")
    rising = (dx < 0) ^ (dy < 0)
    # All numbers are whole and small: float32 decides as OpenCV's integers do.
    across, down = dx.abs_(), dy.abs_()
    level = down < across * TAN_22
    upright = down > across * (TAN_22 + 2)
    size = across.add_(down).to(torch.int16)
    candidates = _maxima(size, level, upright, rising).bitwise_and_(size > low)
    return _follow(candidates & (size > high), candidates, steps)


def _maxima(size: Tensor, level: Tensor, upright: Tensor, rising: Tensor) -> Tensor:
    """Where the gradient is larger than at both neighbours in its direction.

    Straight ahead, the neighbour to the right or below may be as large.
    """
    padded = F.pad(size, (1, 1, 1, 1))

    def exceeds(before: Tensor, after: Tensor) -> Tensor:
        return size > torch.maximum(before, after)

    def at(dy: int, dx: int) -> Tensor:
        return _part(padded, 1, dy, dx)

    diagonal = _choose(rising, exceeds(at(-1, 1), at(1, -1)), exceeds(at(-1, -1), at(1, 1)))
    straight = _choose(level, exceeds(at(0, -1), at(0, 1) - 1), exceeds(at(-1, 0), at(1, 0) - 1))
    return _choose(level | upright, straight, diagonal)


def _choose(where: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """``torch.where`` of booleans, whose own is slow on a processor. Overwrites ``one``."""
    return one.bitwise_xor_(other).bitwise_and_(where).bitwise_xor_(other)


def _follow(edges: Tensor, candidates: Tensor, steps: int) -> Tensor:
    """Adds the candidates among the eight neighbours, ``steps`` times."""
    padded = F.pad(edges, (1, 1, 1, 1))
    for _ in range(steps):
        rows = padded[:, :-2] | padded[:, 1:-1]
        rows |= padded[:, 2:]
        near = rows[..., :-2] | rows[..., 1:-1]
        near |= rows[..., 2:]
        _part(padded, 1, 0, 0).bitwise_or_(near.bitwise_and_(candidates))
    return _part(padded, 1, 0, 0)


def chamfer_distance(marked: Tensor) -> Tensor:
    """Distance to the nearest marked pixel as ``cv2.distanceTransform(..., DIST_L2, 5)``, to 20.

    Length of the shortest way in steps to the four neighbours (1), to the diagonal ones (1.4) and
    in knight's moves (2.1969), Borgefors' 5 x 5 chamfer metric (CVGIP 34, 1986). A shortest way
    needs two kinds of steps at most, each in one direction and in any order, so that one pass for
    each kind finds it; a pass goes 1, 2, 4 ... steps at once.

    Args:
        marked (Tensor): bool, shape (N, H, W).

    Returns:
        Tensor: Distance times ``DISTANCE_UNIT`` (of which 1, 1.4 and, within 1e-6, 2.1969 are
        whole multiples), at most ``FAR`` times it, int16, shape (N, H, W).
    """
    height, width = marked.shape[-2:]
    far = FAR * DISTANCE_UNIT
    padded = torch.full(
        (len(marked), height + 2 * _MARGIN, width + 2 * _MARGIN),
        far,
        dtype=torch.int16,
        device=marked.device,
    )
    inner = _part(padded, _MARGIN, 0, 0)
    inner.copy_(marked).mul_(-far).add_(far)
    for stride in _AXIAL_STRIDES:
        beside = _least(padded[:, _MARGIN:-_MARGIN], stride, -1)
        above = _least(padded[..., _MARGIN:-_MARGIN], stride, -2)
        _shorten(inner, torch.minimum(beside, above), stride * _AXIAL)
    for stride in _DIAGONAL_STRIDES:
        _shorten(inner, _least(_least(padded, stride, -1), stride, -2), stride * _DIAGONAL)
    for stride in _KNIGHT_STRIDES:
        flat = _least(_least(padded, 2 * stride, -1), stride, -2)
        steep = _least(_least(padded, stride, -1), 2 * stride, -2)
        _shorten(inner, torch.minimum(flat, steep), stride * _KNIGHT)
    return inner


def _least(padded: Tensor, stride: int, axis: int) -> Tensor:
    """The smaller of the values ``stride`` before and after, without the margin along the axis."""
    size = padded.shape[axis] - 2 * _MARGIN
    before = padded.narrow(axis, _MARGIN - stride, size)
    return torch.minimum(before, padded.narrow(axis, _MARGIN + stride, size))


def _shorten(distance: Tensor, other: Tensor, length: int) -> None:
    torch.minimum(distance, other.add_(length), out=distance)


def _part(padded: Tensor, margin: int, dy: int, dx: int) -> Tensor:
    """The plane without its margin, moved: element (y, x) is (y + dy, x + dx)."""
    height, width = padded.shape[-2] - 2 * margin, padded.shape[-1] - 2 * margin
    return padded[:, margin + dy : margin + dy + height, margin + dx : margin + dx + width]
