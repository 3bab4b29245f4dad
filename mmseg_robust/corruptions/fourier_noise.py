"""Noise of a single frequency, from which Fourier heat maps are made.

Paper: D. Yin, R. Gontijo Lopes, J. Shlens, E. D. Cubuk, J. Gilmer, "A Fourier Perspective on Model
Robustness in Computer Vision", NeurIPS 2019, arXiv 1906.08988. With white as 1, a channel x becomes

    clip(x + r v U, 0, 1)

where U is a real H x W wave with ||U||_2 = 1 whose spectrum is zero but at one frequency and its
mirror, v is the norm of the noise and r is -1 or 1, drawn for each channel of each image.

* Read in the authors' code (google-research, frequency_analysis/freq_heatmap.py): the formula; U,
  with the coefficient (1 + i) / 2 at one of the two frequencies, its conjugate at the other, and 1
  where they are the same; signs by image and channel. (With random signs that code leaves v out.)
* Recalled, not read: v = 4 on CIFAR and 15.7 on ImageNet at 224 x 224.

In other words ``sqrt(H W) U = cos(t) + sin(t)`` with ``t = 2 pi (a y / H + b x / W)`` for a cycles
down the image and b across: at most sqrt(2), with a root mean square of 1 for every frequency.
Hence v is a root mean square of ``v / sqrt(H W)`` in a channel, which means the same at every size:
4 at 32 x 32 is 0.125, 15.7 at 224 x 224 is 0.07.

The project's own choices:

* Frequencies are stated in cycles a pixel and rounded to whole cycles of the image, so that U is an
  element of the Fourier basis at every size. A network sees pixels, not images: the same number
  asks the same of it at 224 x 224 and at 1024 x 2048.
* The engine's images are uint8: the sum is clipped to 0..255 and rounded to whole grey levels. Both
  add a little of other frequencies, and clipping takes from the strength where images are black or
  white.
* Signs come from the image's seed and the frequency; noises of all strengths share them.

The noises are too many to list and are no members of ``names.ALL_NAMES``: their names state what
they do, ``fourier[0.125,-0.25]@0.07``: cycles a pixel down and across, and root mean square.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_robust.corruptions.pixels import to_float
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import FAMILIES, Corruption
from mmseg_robust.corruptions.transfer import to_device
from mmseg_robust.errors import InputError

FAMILY = "fourier"
"""First word of the names."""
NYQUIST = 0.5
"""Greatest frequency of an image in cycles a pixel."""
LEAST_STRENGTH = 1 / 255
"""Root mean square of a grey level: weaker noise is mostly lost in rounding."""

_NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
_NAME = re.compile(rf"{FAMILY}\[({_NUMBER}),({_NUMBER})\]@({_NUMBER})")
_ROUNDED = 1e-4  # relative; names state six digits


class Frequency(NamedTuple):
    """A frequency in cycles a pixel.

    Args:
        down (float): From row to row, in [-0.5, 0.5].
        across (float): From column to column, likewise.
    """

    down: float
    across: float


def noise_name(frequency: Frequency, strength: float) -> str:
    """Name of a noise.

    Args:
        frequency (Frequency): Its frequency; six digits count.
        strength (float): Root mean square in a channel, white is 1; likewise.

    Returns:
        str: The name.
    """
    return f"{FAMILY}[{frequency.down:.6g},{frequency.across:.6g}]@{strength:.6g}"


def cycles(frequency: float, length: int) -> int:
    """Whole cycles of a frequency along an image.

    Args:
        frequency (float): In cycles a pixel, in [-0.5, 0.5].
        length (int): Height or width in pixels.

    Returns:
        int: The nearest whole number, at most half the length in size.

    Raises:
        InputError: If less than one cycle fits in.
    """
    exact = abs(frequency) * length
    if 0 < exact < 1 - _ROUNDED:
        raise InputError(
            f"An image with a side of {length} pixels has no room for a cycle of "
            f"{abs(frequency):g} cycles a pixel: take larger images or fewer frequencies, a grid "
            f"whose smallest is at least 1 / {length}."
        )
    whole = min(math.floor(exact + 0.5), length // 2)
    return whole if frequency > 0 else -whole


def wave(frequency: Frequency, height: int, width: int, device: torch.device) -> Tensor:
    """``sqrt(H W) U``, see the module.

    Args:
        frequency (Frequency): In cycles a pixel.
        height (int): H.
        width (int): W.
        device (torch.device): Where it is needed.

    Returns:
        Tensor: float32, shape (H, W), root mean square 1.

    Raises:
        InputError: If less than one cycle fits into a side.
    """
    rows = _angles(cycles(frequency.down, height), height, device)[:, None]
    columns = _angles(cycles(frequency.across, width), width, device)[None]
    # cos(y + x) + sin(y + x), from sines of H + W numbers instead of H * W
    out = (rows.cos() + rows.sin()).float() * columns.cos().float()
    return out.addcmul_((rows.cos() - rows.sin()).float(), columns.sin().float())


def _angles(count: int, length: int, device: torch.device) -> Tensor:
    """Angles of ``count`` whole cycles, float64, shape (length,)."""
    turns = (torch.arange(length, device=device) * count).remainder_(length)
    return turns.double().mul_(2 * math.pi / length)


def fourier_noise(name: str) -> Corruption:
    """The corruption of a name.

    Args:
        name (str): See :func:`noise_name`.

    Returns:
        Corruption: It is the same at each severity but 0: the strength is in the name.

    Raises:
        InputError: If the name is of another form, or a number in it out of range.
    """
    frequency, strength = _parsed(name)

    def signs(images: Tensor, severity: int, fields: RandomFields) -> tuple[list[list[float]]]:
        drawn = fields.scalars("signs", images.shape[1])
        return ([[-1.0 if unit < 0.5 else 1.0 for unit in own] for own in drawn],)

    def apply(images: Tensor, severity: int, signs: list[list[float]]) -> Tensor:
        height, width = images.shape[2:]
        added = wave(frequency, height, width, images.device)
        factors = to_device(signs, images.device, torch.float32).mul_(255 * strength)
        values = to_float(images).addcmul_(factors[:, :, None, None], added)
        return values.clamp_(0, 255).round_().to(torch.uint8)

    # Named without the strength, from which the signs then do not depend.
    return Corruption(name.partition("@")[0], signs, apply)


def _parsed(name: str) -> tuple[Frequency, float]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise InputError(
            f"Unknown corruption {name!r}: noise of one frequency is called like "
            f"'{noise_name(Frequency(0.125, -0.25), 0.07)}', cycles a pixel down and across, and "
            "root mean square."
        )
    down, across, strength = map(float, found.groups())
    if max(abs(down), abs(across)) > NYQUIST:
        raise InputError(
            f"{name!r}: an image has frequencies from -{NYQUIST} to {NYQUIST} cycles a pixel."
        )
    return Frequency(down, across), check_strength(strength)


def check_strength(strength: float) -> float:
    """Returns the root mean square of a noise if it is in range.

    Args:
        strength (float): White is 1.

    Returns:
        float: The same number.

    Raises:
        InputError: If it is out of range.
    """
    if not LEAST_STRENGTH <= strength <= 1:
        raise InputError(
            f"The root mean square of the noise must be from {LEAST_STRENGTH:.4f} (a grey level, "
            f"less is lost in rounding) to 1 (white), got {strength!r}."
        )
    return strength


FAMILIES[FAMILY] = fourier_noise
