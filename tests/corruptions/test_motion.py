"""The motion kernel against the reference's loop of shifted images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import functions

from mmseg_robust.corruptions.filters import correlate
from mmseg_robust.corruptions.motion import motion_taps


@pytest.mark.parametrize("angle", [-135.0, -100.3, -90.0, -45.0, -17.2, 0.0, 30.1, 45.0])
@pytest.mark.parametrize(("radius", "sigma"), [(10, 3), (20, 15)])
@pytest.mark.parametrize("size", [(64, 50), (33, 36)])
def test_taps_blur_as_the_reference(
    radius: int, sigma: float, angle: float, size: tuple[int, int]
) -> None:
    # (20, 15) has places 40 pixels away: beyond the smaller size's sides, where the kernel ends.
    image = np.random.default_rng(0).uniform(0, 255, size)
    expected = functions()._motion_blur(image, radius, sigma, angle)
    taps = motion_taps(radius, sigma, angle, *size)
    blurred = correlate(torch.from_numpy(image).float()[None, None], [taps], "nearest")
    np.testing.assert_allclose(blurred[0, 0].numpy(), expected, atol=1e-3)


def test_a_kernel_inside_the_image_sums_to_one_and_starts_at_the_pixel() -> None:
    taps = motion_taps(12, 8, -61.0, 100, 100)
    assert taps[0][:2] == (0, 0)
    assert sum(weight for _, _, weight in taps) == pytest.approx(1)
    assert all(dy <= 0 <= dx for dy, dx, _ in taps)
    assert len({tap[:2] for tap in taps}) == len(taps)


def test_a_kernel_longer_than_the_image_darkens() -> None:
    taps = motion_taps(20, 15, 0.0, 32, 32)
    assert [dx for _, dx, _ in taps] == list(range(32))
    assert sum(weight for _, _, weight in taps) < 0.99
