"""With its own random numbers the engine's pictures have the reference's statistics.

Mean and deviation of each channel, and the radial power spectrum in octaves, over sets of 64
images: within 3 % of the reference's, or within 3 standard deviations of the reference's own spread
between sets of seeds where that is larger.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from oracle import batch, picture

from mmseg_robust.corruptions import corrupt, corrupt_reference

RANDOM = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "glass_blur",
    "motion_blur",
    "snow",
    "frost",
    "fog",
    "elastic_transform",
    "spatter",
)
HEIGHT, WIDTH = 64, 96
REPEATS = 8


@pytest.fixture(autouse=True)
def textures_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference's frost reads a photograph for each image."""
    monkeypatch.setattr(cv2, "imread", read_once)


read_once = cache(cv2.imread)


@cache
def crops() -> tuple[np.ndarray, ...]:
    """64 parts of the three photographs."""
    images = [picture(size) for size in ("square", "wide", "odd")]
    places = np.random.default_rng(0)
    made = []
    for index in range(64):
        image = images[index % 3]
        top = places.integers(0, image.shape[0] - HEIGHT)
        left = places.integers(0, image.shape[1] - WIDTH)
        made.append(image[top : top + HEIGHT, left : left + WIDTH])
    return tuple(made)


def statistics(images: np.ndarray) -> np.ndarray:
    """Means, deviations and powers by octave of pictures (N, H, W, 3)."""
    values = images.astype(float)
    grey = values.mean(-1)
    power = abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))) ** 2
    down, across = np.fft.fftfreq(HEIGHT), np.fft.fftfreq(WIDTH)
    radius = np.hypot(down[:, None], across[None])
    edges = [2.0**-k for k in range(6, 0, -1)] + [1.0]
    octaves = [
        power[:, (radius >= low) & (radius < high)].mean() for low, high in zip(edges, edges[1:])
    ]
    return np.array([*values.mean((0, 1, 2)), *values.std((1, 2)).mean(0), *octaves])


def reference(name: str, severity: int, first: int) -> np.ndarray:
    return np.stack(
        [corrupt_reference(c, name, severity, first + i) for i, c in enumerate(crops())]
    )


def engine(name: str, severity: int, first: int) -> np.ndarray:
    seeds = range(first, first + 64)
    return corrupt(batch(*crops()), name, severity, seeds).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("name", RANDOM)
def test_statistics_equal_the_reference_s(name: str) -> None:
    severity = 4  # all of them draw the same random numbers
    theirs = np.stack([statistics(reference(name, severity, 1000 * k)) for k in range(REPEATS)])
    ours = np.stack([statistics(engine(name, severity, 1000 * k)) for k in range(REPEATS)])
    allowed = np.maximum(0.03 * theirs.mean(0), 3 * theirs.std(0, ddof=1))
    assert (abs(ours.mean(0) - theirs.mean(0)) <= allowed).all()


def test_the_bound_can_tell_severities_apart() -> None:
    for name in RANDOM:
        weak, strong = (statistics(engine(name, severity, 0)) for severity in (2, 3))
        assert (abs(weak / strong - 1) > 0.03).any(), name
