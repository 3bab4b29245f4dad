"""Gaussian noise against its equation, and the distribution of its draws."""

from __future__ import annotations

import pytest
import torch
from augmentation_cases import check_equals, grey, largest_gap, pictures

from mmseg_robust.augmentations import build_augmentation
from mmseg_robust.corruptions.random import RandomFields


def test_gaussian_noise_is_the_equation() -> None:
    images = pictures(3, 21, 34)
    normal = RandomFields(range(3), "GaussianNoise", torch.device("cpu")).normal(
        (3, 21, 34), "noise"
    )
    expected = images.double().numpy() + 0.15 * 255 * normal.double().numpy()
    check_equals(dict(type="GaussianNoise", sigma=0.15), expected, images)


@pytest.mark.parametrize("sigma", [0.04, 0.1])
def test_gaussian_noise_has_the_deviation_that_it_says(sigma: float) -> None:
    noise = build_augmentation(dict(type="GaussianNoise", sigma=sigma))(grey(8), range(8)) - 128
    numbers = noise.double() / (255 * sigma)
    size = numbers.numel()
    assert abs(numbers.mean()) < 4 / size**0.5
    assert abs(numbers.var() - 1) < 4 * (2 / size) ** 0.5
    channels = numbers.transpose(0, 1).flatten(1)
    assert (torch.corrcoef(channels) - torch.eye(3)).abs().max() < 4 / channels.shape[1] ** 0.5


def test_gaussian_noise_of_sigma_zero_changes_nothing() -> None:
    images = pictures(2, 20, 20)
    assert torch.equal(
        build_augmentation(dict(type="GaussianNoise", sigma=0))(images, [1, 2]), images
    )


def test_gaussian_noise_draws_a_sigma_an_image() -> None:
    augment = build_augmentation(dict(type="GaussianNoise", sigma=(0.02, 0.1)))
    deviations = (augment(grey(400, 32, 32), range(400)) - 128).double().std(dim=(1, 2, 3)) / 255
    # A deviation is itself uncertain by 1.3 %, which blurs the ends of the range.
    assert 0.019 < deviations.min() < 0.022
    assert 0.098 < deviations.max() < 0.105
    assert largest_gap(((deviations - 0.02) / 0.08).clamp(0, 1)) < 1.95
