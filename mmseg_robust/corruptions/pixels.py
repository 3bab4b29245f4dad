"""Steps that many corruptions share: grey levels to numbers and back."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-4
"""Grey levels added before truncation. The reference computes in float64 and truncates; a value
that is a whole number there may come out a rounding error below it in float32."""


def to_float(images: Tensor) -> Tensor:
    """Grey levels as numbers.

    Args:
        images (Tensor): uint8.

    Returns:
        Tensor: float32 in 0..255, of the same shape.
    """
    return images.to(torch.float32)


def to_uint8(values: Tensor) -> Tensor:
    """Numbers as grey levels, truncated as the reference does it. Overwrites ``values``.

    Args:
        values (Tensor): float32, 0..255 and beyond, which is clipped.

    Returns:
        Tensor: uint8 of the same shape.
    """
    return values.add_(ROUNDING).clamp_(0, 255).to(torch.uint8)
