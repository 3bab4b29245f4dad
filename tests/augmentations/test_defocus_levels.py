"""Defocus of any level."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from augmentation_cases import pictures
from scipy.ndimage import correlate

from mmseg_robust.augmentations.defocus_levels import (
    defocus,
    defocus_further,
    disk,
    level_of,
    radius_of,
)
from mmseg_robust.corruptions import corrupt
from mmseg_robust.errors import InputError


def kernel(radius: float) -> np.ndarray:
    weights = np.zeros((23, 23))
    for y, x, weight in disk(radius):
        weights[y + 11, x + 11] = weight
    return weights


def spread(weights: np.ndarray) -> float:
    places = np.arange(len(weights)) - len(weights) // 2
    return float((weights * (places[:, None] ** 2 + places**2)).sum())


def test_the_middle_level_has_the_mean_radius() -> None:
    assert radius_of(16) == 0 and radius_of(0) == 10
    assert radius_of(8) == (radius_of(0) + radius_of(16)) / 2
    assert radius_of(6) == (radius_of(4) + radius_of(8)) / 2
    assert level_of(radius_of(5.5)) == pytest.approx(5.5)


def test_disks_are_round_and_grow_without_steps() -> None:
    last = kernel(0.0)
    assert last[11, 11] == 1 and last.sum() == 1
    for radius in np.arange(0.05, 10.01, 0.05):
        weights = kernel(float(radius))
        assert weights.sum() == pytest.approx(1)
        assert (weights == weights.T).all() and (weights == weights[::-1]).all()
        assert spread(weights) >= spread(last)
        assert np.abs(weights - last).max() < 0.2
        last = weights
    # A disk's second moment is half its squared radius.
    assert spread(kernel(10)) == pytest.approx(50, rel=0.02)


@pytest.mark.parametrize("level", [0, 7.3, 15, 16])
def test_equals_scipy(level: float) -> None:
    images = pictures(2, 33, 40)
    made = defocus(images, level)
    expected = [
        [correlate(plane, kernel(radius_of(level)), mode="mirror") for plane in image]
        for image in images.double().numpy()
    ]
    assert np.abs(made.numpy() - np.array(expected)).max() < 1e-3
    levels = images.to(torch.uint8)
    assert torch.allclose(defocus(levels, level), made, atol=1e-3)
    assert torch.equal(defocus(images, 16), images)


def test_level_0_is_the_engine_s_strongest_defocus() -> None:
    images = pictures(2, 64, 80).to(torch.uint8)
    engine = corrupt(images, "defocus_blur", 5, [1, 2]).float()
    ours = defocus(images, 0)
    brightening = engine.mean() / ours.mean()
    assert 1 < brightening < 1.02
    assert (engine / brightening - ours).abs().mean() < 0.6


def test_blurring_further_spreads_as_far_as_level_0() -> None:
    light = torch.zeros(1, 1, 61, 61)
    light[0, 0, 30, 30] = 1
    for level in (3.0, 8.0, 14.0):
        twice = defocus_further(defocus(light, level), level)[0, 0]
        assert spread(twice.double().numpy()) == pytest.approx(50, rel=0.03)
    assert torch.equal(defocus_further(light, 0), light)
    assert torch.equal(defocus_further(light, 16), defocus(light, 0))


def test_images_that_are_too_small() -> None:
    with pytest.raises(InputError, match="10x40 pixels are too small"):
        defocus(torch.zeros(1, 1, 10, 40), 3)
