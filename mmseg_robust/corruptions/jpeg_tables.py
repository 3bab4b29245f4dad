"""What a JPEG encoder and decoder look up: steps of quantisation, and the DCT as a matrix."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from mmseg_robust.corruptions.transfer import kept_on_device

LUMA_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Steps of the luma coefficients at quality 50, vertical frequency by row: Annex K, table K.1."""
CHROMA_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99, 99, 99, 99, 99, 99, 99, 99),) * 4,
)
"""The same of the chroma coefficients: table K.2."""

_HALF_DCT = (
    (8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703),
    (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433),
    (2260, -6436, 9633, -11363),
)
"""The left half of the 8-point DCT times 2**13 * sqrt(8). An entry is a sum of some of the flow
graph's twelve rounded multipliers (jfdctint), so it may differ by one from the rounded cosine."""


@lru_cache(maxsize=128)
def quantisation(quality: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Annex K's steps scaled to a quality and kept within a byte (jcparam).

    Args:
        quality (int): libjpeg's, 1 to 100.
        device (torch.device): Of the result.

    Returns:
        tuple[Tensor, Tensor]: Of luma and of chroma, float64, shape (2, 8, 8): the factors by which
        coefficients at 8 times their size turn into numbers of steps, to be rounded to the nearest;
        the steps.
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = torch.tensor((LUMA_STEPS, CHROMA_STEPS), device="cpu") * percent
    steps = ((steps + 50) // 100).clamp_(1, 255).to(torch.float64)
    # A quotient of integers by 8 * step is a half or misses it by 1 / 2040 at least, so this little
    # more rounds halves away from 0, as libjpeg does, and moves nothing else.
    factors = (1 + 2.0**-30) / (8 * steps)
    luma, chroma = kept_on_device(torch.stack((factors, steps), dim=1), device, torch.float64)
    return luma, chroma


@lru_cache(maxsize=64)
def dct(bits: int, device: torch.device) -> Tensor:
    """The 8-point DCT as a matrix.

    Args:
        bits (int): The entries are integers divided by 2 to the power of this.
        device (torch.device): Of the result.

    Returns:
        Tensor: The DCT times ``2**(13 - bits) * sqrt(8)``, a frequency a row, float64, shape
        (8, 8).
    """
    half = torch.tensor(_HALF_DCT, dtype=torch.float64, device="cpu") / 2**bits
    parity = torch.tensor([1.0, -1.0], device="cpu").repeat(4)
    whole = torch.cat((half, half.flip(1) * parity[:, None]), dim=1)
    return kept_on_device(whole, device, torch.float64)
