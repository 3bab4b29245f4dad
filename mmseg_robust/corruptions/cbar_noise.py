"""Noises of ImageNet-C-bar: blue samples, brownish and Perlin noise. See :mod:`.cbar`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_robust.corruptions.cbar import ORIGINAL_SIDE, places, side, strength
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption

BLUE_FLOOR = 2.5
"""Standard deviations below the mean where the threshold of blue noise starts at level 0."""
LATTICE = 256
"""Period of Perlin's lattice in cells."""
LATTICE_CELL = 32
"""Pixels a cell of Perlin's coarsest octave on an image of the original's size."""
OCTAVES = (1, 2, 4, 8, 16)
"""Perlin's frequencies; amplitudes are one over them."""


def spectrum_size(images: Tensor) -> tuple[int, int]:
    """Height and width of the periodic noise that an image's noise is cut from.

    Args:
        images (Tensor): Shape (N, 3, H, W).

    Returns:
        tuple[int, int]: The least even numbers not below H and W that have no prime factor above
        7, which Fourier transforms are fast at; at most 6 % above them.
    """
    height, width = images.shape[-2:]
    return _fast_length(height), _fast_length(width)


def _fast_length(length: int) -> int:
    while length % 2 or not _is_smooth(length):
        length += 1
    return length


def _is_smooth(number: int) -> bool:
    for factor in (2, 3, 5, 7):
        while number % factor == 0:
            number //= factor
    return number == 1


def _frequencies(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cycles a pixel down, shape (height, 1), and across, shape (1, width / 2 + 1)."""
    down = torch.fft.fftfreq(height, dtype=torch.float32, device=device)
    across = torch.fft.rfftfreq(width, dtype=torch.float32, device=device)
    return down[:, None], across[None, :]


def _noises(phases: Tensor, amplitude: Tensor) -> Iterator[Tensor]:
    """Noise of unit deviation with the original's spectrum, image by image.

    The original gives coefficient (i, j), counted from the frequencies -1/2, the phase
    ``phases[i, j]`` in the left half, and point-mirrored phases in the right half, and takes the
    real part of the inverse transform. That is the transform of the half-sum of a coefficient and
    its opposite's conjugate, of which half the columns do. It goes image by image because a
    transform of a batch may round differently.

    Args:
        phases (Tensor): float32 in radians, shape (N, C, H, W / 2), H and W even.
        amplitude (Tensor): Of frequencies in the order of ``rfft2``, float32, shape (H, W / 2 + 1).

    Yields:
        Tensor: float32, shape (C, H, W).
    """
    height, half = phases.shape[-2:]
    rows = height // 2 - torch.arange(height, device=phases.device)
    own, opposite = (rows - 1).remainder_(height), rows.remainder_(height)
    scaled = amplitude.clone()
    # The two columns that are their own opposites, whose half-sum the real part takes.
    scaled[:, ::half] *= 2
    for image in phases:
        mirrored = image.flip(-1)
        turned = torch.complex(mirrored.cos(), mirrored.sin())
        spectrum = F.pad(torch.view_as_real(turned[:, own]), (0, 0, 0, 1))
        spectrum = torch.view_as_complex(spectrum)
        spectrum[..., 1:] += turned[:, opposite].conj()
        spectrum = torch.fft.ifft(spectrum.mul_(scaled), dim=-2)
        torch.view_as_real(spectrum)[..., ::half, 1] = 0
        noise = torch.fft.irfft(spectrum, n=2 * half, dim=-1)
        yield noise.div_(noise.std(dim=(-2, -1), correction=0, keepdim=True))


def _blue_phases(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor]:
    height, width = spectrum_size(images)
    return (fields.uniform((1, height, width // 2), "phases").mul_(2 * math.pi),)


def _brownish_phases(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor]:
    height, width = spectrum_size(images)
    return (fields.uniform((3, height, width // 2), "phases").mul_(2 * math.pi),)


@corruption(draw=_blue_phases)
def blue_noise_sample(images: Tensor, severity: int, phases: Tensor) -> Tensor:
    """Pixels where blue noise of unit deviation is above ``0.3 * level - 2.5``; others black.

    The noise's amplitude is proportional to the frequency, its phases are uniform.

    Sizes: frequencies are cycles a pixel along both axes, so holes are about a pixel wide in any
    image. The noise is made at :func:`spectrum_size` and cut.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        phases (Tensor): Radians, float32, shape (N, 1, H', W' / 2), H' and W' from
            :func:`spectrum_size`.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    height, width = images.shape[-2:]
    threshold = strength("blue_noise_sample", severity, 3) - BLUE_FLOOR
    down, across = _frequencies(phases.shape[-2], 2 * phases.shape[-1], images.device)
    out = torch.empty_like(images)
    for index, noise in enumerate(_noises(phases, torch.hypot(down, across))):
        kept = noise[:, :height, :width] > threshold
        torch.mul(images[index], kept, out=out[index])
    return out


@corruption(draw=_brownish_phases)
def brownish_noise(images: Tensor, severity: int, phases: Tensor) -> Tensor:
    """``v + A * noise``, where the noise's amplitude is ``1 / (k^2 + 1)`` at frequency k.

    ``A = 6.4 * level``; each channel has a noise of its own with uniform phases and, not counting
    its mean, unit deviation.

    Sizes: k counts cycles a side S along both axes, so blotches scale with the image. The noise is
    made at :func:`spectrum_size` and cut.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        phases (Tensor): Radians, float32, shape (N, 3, H', W' / 2), H' and W' from
            :func:`spectrum_size`.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    height, width = images.shape[-2:]
    down, across = _frequencies(phases.shape[-2], 2 * phases.shape[-1], images.device)
    amplitude = 1 / ((down**2 + across**2) * side(images) ** 2 + 1)
    values = to_float(images)
    scale = strength("brownish_noise", severity, 64)
    for index, noise in enumerate(_noises(phases, amplitude)):
        values[index].add_(noise[:, :height, :width], alpha=scale)
    return to_uint8(values)


def _lattices(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor, Tensor]:
    order = fields.bits((LATTICE,), "order").argsort(dim=-1)
    square = fields.uniform((LATTICE, 2), "gradients").mul_(2).sub_(1)
    return order, F.normalize(square, dim=-1)


@corruption(draw=_lattices)
def perlin_noise(images: Tensor, severity: int, order: Tensor, gradients: Tensor) -> Tensor:
    """``(1 - a) * v + a * 255 * min(1/2 + t / 2, 1)`` with t the turbulence of Perlin's noise.

    ``t = sum over f in (1, 2, 4, 8, 16) of |n(f * p)| / f``, where p is the place in cells and
    ``n`` is 1.5 times Perlin's gradient noise: the four corners' gradients times the distances to
    them, blended by ``s(d) = d^2 (3 - 2 d)`` along both axes. The gradient of the corner in row i
    and column j is number ``order[(order[i] + j) mod 256]``; ``a = 0.05 * level``. The original
    draws gradients from 512x512 points of a square (here: from all of it) and normalises them, and
    shuffles by 256 swaps with any place, which favours some orders a little (here: none).

    Sizes: a cell of the first octave has ``32 * S / 224`` pixels, the original's rule.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        order (Tensor): A permutation of 0 to 255 an image, int64, shape (N, 256).
        gradients (Tensor): Unit vectors (down, across), float32, shape (N, 256, 2).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    cells = ORIGINAL_SIDE / (LATTICE_CELL * side(images))
    height, width = images.shape[-2:]
    turbulence = images.new_zeros((len(images), height, width), dtype=torch.float32)
    for frequency in OCTAVES:
        noise = _gradient_noise(images, cells * frequency, order, gradients)
        turbulence.add_(noise.abs_(), alpha=1.5 / frequency)
    amount = strength("perlin_noise", severity, 0.5)
    noise = turbulence.mul_(0.5).add_(0.5).clamp_(max=1)
    return to_uint8(to_float(images).mul_(1 - amount).add_(noise[:, None], alpha=255 * amount))


def _gradient_noise(images: Tensor, cells: float, order: Tensor, gradients: Tensor) -> Tensor:
    """Perlin's noise, (N, H, W), of ``cells`` cells a pixel."""
    rows, columns = places(images)
    (row, down), (column, across) = _split(rows * cells), _split(columns[0] * cells)
    corners = [int((length - 1) * cells) + 2 for length in images.shape[-2:]]
    steep, flat = _corner_gradients(order, gradients, *corners)
    # Along the lattice's rows first, which are few: what multiplies the distance down, and what
    # does not.
    fade = _fade(across)
    slope = torch.lerp(steep[..., column], steep[..., column + 1], fade)
    level = torch.lerp(flat[..., column] * across, flat[..., column + 1] * (across - 1), fade)
    row = row[:, 0]
    upper = torch.addcmul(level[:, row], slope[:, row], down)
    lower = torch.addcmul(level[:, row + 1], slope[:, row + 1], down - 1)
    return upper.lerp_(lower, _fade(down))


def _split(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Whole part, int64, and fraction, float32."""
    whole = numbers.floor()
    return whole.to(torch.int64), (numbers - whole).to(torch.float32)


def _fade(distance: Tensor) -> Tensor:
    return distance**2 * (3 - 2 * distance)


def _corner_gradients(
    order: Tensor, gradients: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Components down and across at the lattice's corners, (N, height, width) each."""
    rows = torch.arange(height, device=order.device).remainder_(LATTICE)
    columns = torch.arange(width, device=order.device)
    places_in_order = (order[:, rows, None] + columns).remainder_(LATTICE).flatten(1)
    number = order.gather(1, places_in_order)
    down, across = (
        gradients[..., axis].gather(1, number).view(-1, height, width) for axis in (0, 1)
    )
    return down, across
