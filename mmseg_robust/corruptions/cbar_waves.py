"""Waves of ImageNet-C-bar: one frequency, rings around a point, plasma. See :mod:`.cbar`."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_robust.corruptions.cbar import between, per_image, places, side, strength
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption

GREATEST_FREQUENCY = math.pi
"""Of the single wave along an axis, in radians a pixel."""
GREATEST_LOBES = 10.0
"""Upper end of the frequency at which rings bulge around their centre."""
GREATEST_RING = 0.1
"""Upper end of ring width and bulge, as a share of the side."""
GREATEST_TIME = 6 * math.pi
"""Upper end of plasma's phase."""
PLASMA_STEPS = (4, 7)
"""Least number of plasma's displacements, and one above the greatest."""
SHARPNESS = (0.5, 1.0)
"""Range of plasma's sharpness."""
PLASMA_SCALE = (0.075, 0.2)
"""Range of plasma's unit of length, as a share of the side."""
FREQUENCY_GROWTH, PHASE_DECAY, AMPLITUDE_DECAY, TWIST = 1.93, 1.15, 2.25, 0.3
"""Plasma's constants a step; sharpness is taken from the third."""


class Wave(NamedTuple):
    """A plane wave: radians a pixel along a row and down a column, and phase at the corner."""

    across: float
    down: float
    phase: float


class Rings(NamedTuple):
    """Centre in pixels, number of bulges around it, size of bulge and width of ring in pixels."""

    column: float
    row: float
    lobes: float
    bulge: float
    width: float


class Plasma(NamedTuple):
    """Phase, number of displacements, sharpness, unit of length in pixels."""

    time: float
    steps: int
    sharpness: float
    scale: float


def _waves(images: Tensor, severity: int, fields: RandomFields) -> tuple[list[Wave]]:
    waves = []
    for first, second, order, phase in fields.scalars("wave", 4):
        frequency = between(-GREATEST_FREQUENCY, GREATEST_FREQUENCY, first)
        other = between(-abs(frequency), abs(frequency), second)
        across, down = (frequency, other) if order < 0.5 else (other, frequency)
        waves.append(Wave(across, down, between(0, 2 * math.pi, phase)))
    return (waves,)


@corruption(draw=_waves)
def single_frequency_greyscale(images: Tensor, severity: int, waves: list[Wave]) -> Tensor:
    """``v + A * sin(fx * x + fy * y + phase)``, the same on all channels; A up to 98 grey levels.

    ``A = 19.6 * level``. One frequency, f, is uniform in [-pi, pi) radians a pixel, the other in
    [-|f|, |f|); which is which is a toss; the phase is uniform.

    Sizes: frequencies stay in radians a pixel, as in the original at 32 and at 224 pixels.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        waves (list[Wave]): One an image.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    rows, columns = places(images)
    across, down, phase = per_image(waves, images.device)
    along, along_column = across * columns, down * rows + phase
    # sin(a + b): sines of H + W numbers instead of H * W
    noise = along_column.sin().float() * along.cos().float()
    noise.addcmul_(along_column.cos().float(), along.sin().float())
    amplitude = strength("single_frequency_greyscale", severity, 196)
    return to_uint8(to_float(images).add_(noise[:, None], alpha=amplitude))


def _rings(images: Tensor, severity: int, fields: RandomFields) -> tuple[list[Rings]]:
    height, width = images.shape[-2:]
    most = GREATEST_RING * side(images)
    rings = [
        Rings(width * column, height * row, GREATEST_LOBES * lobes, most * bulge, most * ring)
        for column, row, lobes, bulge, ring in fields.scalars("rings", 5)
    ]
    return (rings,)


@corruption(draw=_rings)
def cocentric_sine_waves(images: Tensor, severity: int, rings: list[Rings]) -> Tensor:
    """``v + A * (frac((r + bulge * sin(lobes * angle)) / width) - 1/2)``, on all channels alike.

    ``r`` and ``angle = atan2(x - x0, y - y0)`` are polar coordinates around a uniformly drawn
    centre (x0, y0); ``A = 12.8 * level``; ``lobes`` is uniform in [0, 10), ``bulge`` and
    ``width`` in [0, S/10). Double precision: rings may be far narrower than a pixel.

    Sizes: bulge and width scale with S; the centre lies anywhere in the image.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        rings (list[Rings]): One an image.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    rows, columns = places(images)
    column, row, lobes, bulge, width = per_image(rings, images.device)
    x, y = columns - column, rows - row
    phase = torch.atan2(x, y).mul_(lobes).sin_().mul_(bulge)
    turns = phase.add_(torch.hypot(x, y)).div_(width)
    noise = turns.sub_(turns.floor()).sub_(0.5).float()
    amplitude = strength("cocentric_sine_waves", severity, 128)
    return to_uint8(to_float(images).add_(noise[:, None], alpha=amplitude))


def _plasmas(images: Tensor, severity: int, fields: RandomFields) -> tuple[list[Plasma]]:
    plasmas = [
        Plasma(
            GREATEST_TIME * time,
            int(between(*PLASMA_STEPS, steps)),
            between(*SHARPNESS, sharpness),
            between(*PLASMA_SCALE, scale) * side(images),
        )
        for time, steps, sharpness, scale in fields.scalars("plasma", 4)
    ]
    return (plasmas,)


@corruption(draw=_plasmas)
def plasma_noise(images: Tensor, severity: int, plasmas: list[Plasma]) -> Tensor:
    """``(1 - A / 255) * v + A * noise``; the noise is sine waves of places that waves displace.

    With (x, y) in units of ``scale`` and ``t`` the time, steps k = 0, 1, ... do at once

    ``a = cos(1.93^k y + t / 1.15^k) / q^k``, ``b = sin(1.93^k x + t / 1.15^k) / q^k``,
    ``x += a - 0.3 b``, ``y += b + 0.3 a``, where ``q = 2.25 - sharpness``.

    Red is ``sin(x - t)``, green ``sin((x + y + sin t) / 2)``, blue ``sin(y + t)``;
    ``A = 6.4 * level``; t is uniform in [0, 6 pi), the number of steps in {4, 5, 6}, the sharpness
    in [0.5, 1), the scale in [0.075, 0.2) * S. The original's further phase term is always 0.

    Sizes: the scale is tied to S.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        plasmas (list[Plasma]): One an image.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    rows, columns = places(images)
    steps = max(plasma.steps for plasma in plasmas)
    numbers = per_image([_plasma_numbers(plasma, steps) for plasma in plasmas], images.device)
    time, scale, waves = numbers[0].float(), numbers[1], numbers[2:]
    x, y = (columns / scale).float(), (rows / scale).float()
    for step in range(steps):
        phase, gain = (number.float() for number in waves[2 * step : 2 * step + 2])
        frequency = FREQUENCY_GROWTH**step
        a = torch.add(phase, y, alpha=frequency).cos_()
        b = torch.add(phase, x, alpha=frequency).sin_()
        twisted = gain * TWIST
        x = torch.addcmul(x, a, gain).addcmul_(b, -twisted)
        y = torch.addcmul(y, b, gain).addcmul_(a, twisted)
    amplitude = strength("plasma_noise", severity, 64)
    values = to_float(images).mul_(1 - amplitude / 255)
    values[:, 0].add_((x - time).sin_(), alpha=amplitude)
    values[:, 2].add_((y + time).sin_(), alpha=amplitude)
    values[:, 1].add_(x.add_(y).add_(time.sin()).mul_(0.5).sin_(), alpha=amplitude)
    return to_uint8(values)


def _plasma_numbers(plasma: Plasma, steps: int) -> list[float]:
    """Time and scale, then phase and gain of each step; no gain after the image's last step."""
    numbers = [plasma.time, plasma.scale]
    for step in range(steps):
        gain = (AMPLITUDE_DECAY - plasma.sharpness) ** -step if step < plasma.steps else 0.0
        numbers += [plasma.time / PHASE_DECAY**step, gain]
    return numbers
