"""AFA's waves against the equations written out in NumPy, and the distribution of their draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from augmentation_cases import grey, largest_gap, pictures

from mmseg_robust.augmentations import FourierBasis
from mmseg_robust.augmentations.fourier_basis import Wave, add_waves


def equations(height: int, width: int, wave: Wave) -> np.ndarray:
    """What is added to a channel, white being 1, with the norm taken over the grid.

    For squares as in the official code, whose scale N / 32 is sqrt(H W) / 32 there.
    """
    rows = np.linspace(-height / 2, height / 2, height)
    columns = np.linspace(-width / 2, width / 2, width)
    u, v = np.meshgrid(rows, columns, indexing="ij")
    along = u * math.cos(wave.direction) + v * math.sin(wave.direction)
    sine = np.sin(2 * math.pi * wave.frequency * along - math.pi / 4)
    return wave.strength * math.sqrt(height * width) / 32 * sine / np.linalg.norm(sine)


def some_waves(count: int, height: int, width: int, **settings: float) -> list[list[Wave]]:
    return FourierBasis(**settings).draw(range(count), height, width)


@pytest.mark.parametrize(("height", "width"), [(48, 48), (31, 31), (40, 72), (65, 32)])
def test_waves_are_the_equations(height: int, width: int) -> None:
    images = pictures(3, height, width)
    waves = some_waves(3, height, width, mean_strength=4)
    added = [[255 * equations(height, width, wave) for wave in own] for own in waves]
    expected = (images.double().numpy() + np.array(added)).clip(0, 255)
    assert np.abs(add_waves(images, waves).numpy() - expected).max() < 1e-3


@pytest.mark.parametrize(("height", "width"), [(512, 512), (512, 1024), (33, 480)])
def test_root_mean_square_is_sigma_over_32_before_the_clamp(height: int, width: int) -> None:
    """Whatever the wave, also those that alias or do not complete a period."""
    frequencies = (1 / 1024, 0.013, 0.25, 0.4999, 0.5, 0.77, 1.0)
    directions = (0.0, -math.pi / 447, -0.7, -math.pi / 2, -math.pi)
    for frequency in frequencies:
        for direction in directions:
            wave = Wave(frequency, direction, 2.0)
            added = add_waves(grey(1, height, width), [[wave] * 3]).double() - 128
            assert abs(added.square().mean().sqrt() / 255 - 2 / 32) < 1e-5
            if frequency == 0.013:
                assert (
                    np.abs(added[0, 0].numpy() / 255 - equations(height, width, wave)).max() < 1e-5
                )


def test_frequencies_and_directions_are_the_official_grid() -> None:
    """k / N with k in 1..N and -pi t with t in linspace(0, 1, 448), each equally often."""
    waves = [wave for own in some_waves(6000, 40, 64) for wave in own]
    steps = np.array([wave.frequency * 64 for wave in waves])
    assert np.allclose(steps, steps.round())
    places = np.array([-wave.direction / math.pi * 447 for wave in waves])
    assert np.allclose(places, places.round(), atol=1e-9)
    for drawn, first, number in ((steps, 1, 64), (places, 0, 448)):
        counts = np.bincount(drawn.round().astype(int), minlength=first + number)[first:]
        assert len(counts) == number
        expected = len(waves) / number
        squares = ((counts - expected) ** 2 / expected).sum()
        assert squares < number - 1 + 4 * (2 * (number - 1)) ** 0.5


def test_strengths_are_exponential() -> None:
    waves = [wave for own in some_waves(1000, 32, 32, mean_strength=7) for wave in own]
    strengths = torch.tensor([wave.strength for wave in waves], dtype=torch.float64)
    assert largest_gap(1 - torch.exp(-strengths / 7)) < 1.95
    shifted = some_waves(1000, 32, 32, mean_strength=7, least_strength=3)
    both = zip(waves, (wave for own in shifted for wave in own))
    assert all(math.isclose(wave.strength + 3, other.strength) for wave, other in both)


def test_the_published_distribution_of_the_root_mean_square() -> None:
    """With mean 10 and least 0, in shares of white: 0.090, 0.217, 0.433 at the quartiles."""
    waves = [wave for own in some_waves(5000, 32, 32) for wave in own]
    quartiles = np.quantile([wave.strength / 32 for wave in waves], (0.25, 0.5, 0.75))
    assert np.allclose(quartiles, (0.090, 0.217, 0.433), rtol=0.05)


def test_channels_and_images_draw_by_themselves() -> None:
    drawn = np.array(some_waves(1500, 64, 64))  # (images, channels, parameters)
    flat = np.concatenate([drawn.reshape(1500, 9), np.roll(drawn, 1, 0).reshape(1500, 9)], axis=1)
    correlation = np.corrcoef(flat.T) - np.eye(18)
    assert np.abs(correlation).max() < 4.5 / 1500**0.5


def test_strength_zero_changes_nothing() -> None:
    images = pictures(2, 20, 33)
    assert torch.equal(FourierBasis(mean_strength=0)(images, [1, 2]), images)
