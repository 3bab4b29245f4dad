"""The random parts of the ten of ImageNet-C-bar have the distributions of their definitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from mmseg_robust.corruptions import CORRUPTIONS
from mmseg_robust.corruptions.random import RandomFields

SEEDS = list(range(1000))
HEIGHT, WIDTH = 32, 128
SIDE = 64.0
"""The square root of height times width."""


def grey(height: int, width: int, count: int = 1) -> torch.Tensor:
    return torch.full((count, 3, height, width), 100, dtype=torch.uint8)


def draw(name: str, images: torch.Tensor, seeds: list[int]) -> tuple[Any, ...]:
    return CORRUPTIONS[name].draw(images, 2, RandomFields(seeds, name, images.device))


def assert_uniform(values: Sequence[float], low: float, high: float) -> None:
    """Kolmogorov's test at one in a thousand."""
    expected = (np.sort(values) - low) / (high - low)
    assert expected[0] >= 0
    assert expected[-1] < 1
    steps = np.arange(len(values) + 1) / len(values)
    distance = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    assert distance < 1.95 / math.sqrt(len(values))


def assert_rays(counts: Sequence[int]) -> None:
    assert min(counts) >= 50
    assert max(counts) <= 199
    assert_uniform([count + 0.5 for count in counts], 50, 200)


def parameters(name: str) -> tuple[Any, ...]:
    return draw(name, grey(HEIGHT, WIDTH), SEEDS)


def test_waves_are_drawn_as_defined() -> None:
    (waves,) = parameters("single_frequency_greyscale")
    assert_uniform([wave.phase for wave in waves], 0, 2 * math.pi)
    larger = [max(wave.across, wave.down, key=abs) for wave in waves]
    smaller = [min(wave.across, wave.down, key=abs) for wave in waves]
    assert_uniform(larger, -math.pi, math.pi)
    assert_uniform([low / abs(high) for low, high in zip(smaller, larger)], -1, 1)
    assert 0.45 < np.mean([abs(wave.across) > abs(wave.down) for wave in waves]) < 0.55


def test_rings_are_drawn_as_defined() -> None:
    (rings,) = parameters("cocentric_sine_waves")
    limits = (WIDTH, HEIGHT, 10, SIDE / 10, SIDE / 10)
    for values, limit in zip(zip(*rings), limits):
        assert_uniform(values, 0, limit)
    correlation = np.corrcoef(np.transpose(rings)) - np.eye(5)
    assert abs(correlation).max() < 4 / math.sqrt(len(SEEDS))


def test_plasmas_are_drawn_as_defined() -> None:
    (plasmas,) = parameters("plasma_noise")
    times, steps, sharpness, scales = zip(*plasmas)
    assert_uniform(times, 0, 6 * math.pi)
    assert set(steps) == {4, 5, 6}
    assert min(steps.count(number) for number in (4, 5, 6)) > 280
    assert_uniform(sharpness, 0.5, 1)
    assert_uniform(scales, 0.075 * SIDE, 0.2 * SIDE)


def test_waters_are_drawn_as_defined() -> None:
    (waters,) = parameters("caustic_refraction")
    times, sizes = zip(*waters)
    assert_uniform(times, 0.5, 2)
    assert_uniform(sizes, 0.75 * SIDE, 1.25 * SIDE)


def test_boards_are_drawn_as_defined() -> None:
    boards, cut = parameters("checkerboard_cutout")
    angles, scales = zip(*boards)
    assert_uniform(angles, 0, 2 * math.pi)
    assert_uniform(scales, 0.1 * SIDE, 0.25 * SIDE)
    assert cut.float().mean() == pytest.approx(0.3, abs=0.003)
    hidden = CORRUPTIONS["checkerboard_cutout"](grey(HEIGHT, WIDTH, 300), 2, range(300)) == 128
    assert hidden.float().mean() == pytest.approx(0.15, abs=0.01)


def test_sparkles_are_drawn_as_defined() -> None:
    centres, normal = parameters("sparkles")
    own = [sparkle for image in centres for sparkle in image]
    assert len(own) == 5 * len(SEEDS)
    rows, columns, rays = zip(*own)
    assert_uniform(rows, 0, HEIGHT)
    assert_uniform(columns, 0, WIDTH)
    assert_rays(rays)
    assert normal.shape == (len(SEEDS), 5, 200)
    assert abs(normal.mean()) < 0.004
    assert normal.std() == pytest.approx(1, abs=0.004)


def test_inverse_sparkles_are_drawn_as_defined() -> None:
    centres, normal = parameters("inverse_sparkles")
    rows, columns, rays = zip(*centres)
    assert_uniform(rows, 0.25 * HEIGHT, 0.75 * HEIGHT)
    assert_uniform(columns, 0.25 * WIDTH, 0.75 * WIDTH)
    assert_rays(rays)
    assert normal.shape == (len(SEEDS), 200)
    assert normal.std() == pytest.approx(1, abs=0.01)


def test_lattices_are_drawn_as_defined() -> None:
    order, gradients = parameters("perlin_noise")
    assert torch.equal(order.sort(dim=1).values, torch.arange(256).expand(len(SEEDS), 256))
    assert_uniform(order[:, 7].tolist(), 0, 256)
    assert torch.allclose(gradients.norm(dim=-1), torch.ones(()))
    angle = torch.atan2(gradients[..., 1], gradients[..., 0]).remainder(math.pi / 2)
    # A square has less of itself near the axes than a disc, where it would be a half.
    near_axis = (angle < math.pi / 8) | (angle > 3 * math.pi / 8)
    assert near_axis.float().mean() == pytest.approx(math.tan(math.pi / 8), abs=0.004)
    assert gradients.mean(dim=(0, 1)).abs().max() < 0.01


@pytest.mark.parametrize("name, channels", [("blue_noise_sample", 1), ("brownish_noise", 3)])
def test_phases_are_drawn_as_defined(name: str, channels: int) -> None:
    (phases,) = draw(name, grey(33, 47), [1, 2])
    assert phases.shape == (2, channels, 36, 24)
    assert_uniform(phases.flatten().tolist(), 0, 2 * math.pi)
