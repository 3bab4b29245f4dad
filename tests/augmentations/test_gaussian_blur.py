"""Gaussian blur against SciPy's, and the distribution of its draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from augmentation_cases import check_equals, largest_gap, pictures
from scipy.ndimage import gaussian_filter

from mmseg_robust.augmentations import build_augmentation


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.7, 6.0])
def test_blur_is_scipy_s(sigma: float) -> None:
    images = pictures(2, 21, 34)
    expected = [
        [gaussian_filter(plane, sigma, mode="nearest", truncate=4) for plane in image]
        for image in images.double().numpy()
    ]
    check_equals(dict(type="GaussianBlur", sigma=sigma), np.array(expected), images)


def test_blur_draws_a_sigma_an_image() -> None:
    """The variance of a spread point is the kernel's own."""
    points = torch.zeros(200, 3, 41, 41)
    points[..., 20, 20] = 255
    spread = build_augmentation(dict(type="GaussianBlur", sigma=(1, 3)))(points, range(200))[:, 0]
    assert torch.allclose(spread.sum((1, 2)), torch.tensor(255.0), atol=1e-2)
    places = torch.arange(41.0) - 20
    sigmas = ((spread.sum(1) * places**2).sum(1) / 255).sqrt()
    # Cutting off at four deviations takes some 0.1 % of the variance.
    assert largest_gap(((sigmas - 1) / 2).clamp(0, 1)) < 1.95
