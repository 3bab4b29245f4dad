"""The noises against the reference's own random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import SIZES, batch, picture, recorded, run, share_within_one

from mmseg_robust.corruptions.noise import (
    gaussian_noise,
    impulse_noise,
    shot_noise,
    speckle_noise,
)
from mmseg_robust.corruptions.random import RandomFields

SEVERITIES = range(1, 6)


def fields(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))[None]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_normal_noises_equal_the_reference(size: str, severity: int) -> None:
    image = picture(size)
    for corruption, scales in (
        (gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
        (speckle_noise, (0.15, 0.2, 0.35, 0.45, 0.6)),
    ):
        with recorded("normal") as drawn:
            theirs = run(image, corruption.name, severity)
        (noise,) = drawn["normal"]
        normal = fields(noise / scales[severity - 1]).float()
        ours = corruption.apply(batch(image), severity, normal)
        assert share_within_one(ours, theirs) >= 0.9999


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_shot_noise_equals_the_reference(size: str, severity: int) -> None:
    image = picture(size)
    with recorded("poisson") as drawn:
        theirs = run(image, "shot_noise", severity)
    ours = shot_noise.apply(batch(image), severity, fields(drawn["poisson"][0]))
    assert share_within_one(ours, theirs) >= 0.9999


@pytest.mark.parametrize("severity", SEVERITIES)
def test_impulse_noise_equals_the_reference(severity: int) -> None:
    image = picture("odd")
    theirs = run(image, "impulse_noise", severity)
    hit = fields(theirs != image)
    ours = impulse_noise.apply(batch(image), severity, hit, fields(theirs == 255))
    assert share_within_one(ours, theirs) == 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_drawn_counts_are_poisson(severity: int) -> None:
    photons = (60, 25, 12, 5, 3)[severity - 1]
    images = torch.full((1, 3, 256, 256), 170, dtype=torch.uint8)
    images[:, 1] = 255
    images[:, 2] = 0
    drawing = RandomFields([3], "shot_noise", torch.device("cpu"))
    (counts,) = shot_noise.draw(images, severity, drawing)
    for channel, level in enumerate((170, 255)):
        mean = photons * level / 255
        values = counts[0, channel].double()
        error = (mean / values.numel()) ** 0.5
        assert abs(values.mean() - mean) < 4 * error
        assert abs(values.var() / mean - 1) < 4 * (3 / values.numel()) ** 0.5
        expected = np.exp(-mean) * values.numel()
        assert abs((values == 0).sum() - expected) < 4 * expected**0.5 + 1
    assert counts[0, 2].max() == 0
