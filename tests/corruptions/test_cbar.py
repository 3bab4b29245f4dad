"""The ten of ImageNet-C-bar against plain NumPy, their rule for sizes, and golden values."""

from __future__ import annotations

from typing import Any

import cbar_reference
import numpy as np
import pytest
import torch
from oracle import SIZES, batch, picture, share_within_one

from mmseg_robust.corruptions import CBAR, CORRUPTIONS
from mmseg_robust.corruptions.cbar import LEVELS
from mmseg_robust.corruptions.cbar_noise import spectrum_size
from mmseg_robust.corruptions.cbar_patterns import board_reach
from mmseg_robust.corruptions.cbar_waves import Plasma
from mmseg_robust.corruptions.random import RandomFields

SEVERITIES = range(1, 6)
SCALED = (
    "caustic_refraction",
    "checkerboard_cutout",
    "cocentric_sine_waves",
    "inverse_sparkles",
    "perlin_noise",
    "plasma_noise",
    "sparkles",
)
"""Those whose pattern scales with the image."""


def draw(name: str, images: torch.Tensor, severity: int, seeds: list[int]) -> tuple[Any, ...]:
    fields = RandomFields(seeds, name, images.device)
    return CORRUPTIONS[name].draw(images, severity, fields)


def grey(height: int, width: int, count: int = 1, level: int = 100) -> torch.Tensor:
    return torch.full((count, 3, height, width), level, dtype=torch.uint8)


def share_of_agreement(name: str, image: np.ndarray, severity: int, seed: int) -> float:
    """Runs the pure part and the reference on the same random numbers."""
    images = batch(image)
    drawn = draw(name, images, severity, [seed])
    own = [part[0] if isinstance(part, list) else part[0].numpy() for part in drawn]
    if name == "checkerboard_cutout":
        board = own[0]
        count = int(4 * len(image) // board.scale)
        uniform = np.random.default_rng(seed).random((count, count))
        field = np.arange(-board_reach(images), board_reach(images)) % count
        cut = uniform[np.ix_(field, field)] < cbar_reference.tenths(name, severity)
        drawn, own = (drawn[0], torch.from_numpy(cut)[None]), [*board, uniform]
    elif "sparkles" not in name and isinstance(drawn[0], list):
        own = [*own[0]]
    theirs = getattr(cbar_reference, name)(image, severity, *own)
    assert (theirs != image).mean() > 0.005
    return share_within_one(CORRUPTIONS[name].apply(images, severity, *drawn), theirs)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", CBAR)
def test_the_original_size_equals_the_reference(name: str, severity: int) -> None:
    image = picture(SIZES[severity % 3])[40:264, 100:324]
    assert share_of_agreement(name, image, severity, seed=severity) >= 0.9998


@pytest.mark.parametrize("severity", SEVERITIES)
def test_refraction_takes_the_same_pixels_of_an_image_of_noise(severity: int) -> None:
    image = np.random.default_rng(severity).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    assert share_of_agreement("caustic_refraction", image, severity, severity) >= 0.9998


@pytest.mark.parametrize("name", [name for name in CBAR if name != "caustic_refraction"])
def test_the_originals_own_rule_holds_at_another_size(name: str) -> None:
    image = picture("square")[100:196, 150:246]
    assert share_of_agreement(name, image, 5, seed=1) >= 0.9998


def ramps(side: int) -> torch.Tensor:
    """One smooth picture at any size."""
    place = torch.arange(side) * 255 // side
    channels = (place.expand(side, side), place[:, None].expand(side, side))
    return torch.stack((*channels, torch.full((side, side), 100))).to(torch.uint8)[None]


@pytest.mark.parametrize("name", SCALED)
def test_patterns_scale_with_the_image(name: str) -> None:
    corruption, seeds = CORRUPTIONS[name], [1, 2, 3, 4]
    clean = ramps(112).expand(4, -1, -1, -1)
    small = corruption(clean, 1, seeds).float()
    large = corruption(ramps(336).expand(4, -1, -1, -1), 1, seeds).float()[..., ::3, ::3]
    # Slopes of caustics are differences over whole pixels, which blur more in a small image.
    tolerance = {"caustic_refraction": 0.15}.get(name, 0.001)
    assert (large - small).abs().mean() < tolerance * (small - clean).abs().mean()


def test_a_single_frequency_is_the_same_in_an_image_of_any_size() -> None:
    name = "single_frequency_greyscale"
    small, large = (CORRUPTIONS[name](grey(*size), 5, [4]) for size in ((64, 70), (200, 90)))
    assert torch.equal(large[..., :64, :70], small)


@pytest.mark.parametrize("name", ["blue_noise_sample", "brownish_noise"])
def test_spectra_are_alike_along_both_axes_of_a_wide_image(name: str) -> None:
    noise = CORRUPTIONS[name](grey(96, 240, 48), 5, range(48)).float()[:, 0]
    power = torch.fft.fft2(noise - noise.mean(dim=(1, 2), keepdim=True)).abs().square().mean(0)
    down = torch.fft.fftfreq(96)[:, None].abs().expand(96, 240)
    across = torch.fft.fftfreq(240)[None].abs().expand(96, 240)
    radius = torch.hypot(down, across)
    bands = []
    for low, high in ((0.06, 0.12), (0.24, 0.48)):
        band = (radius >= low) & (radius < high)
        upright, level = power[band & (down > across)].mean(), power[band & (down < across)].mean()
        assert abs(upright / level - 1) < 0.1
        bands.append(float((upright + level) / 2))
    # Two octaves apart: the square of 1 / (f * S)^2, and what a threshold leaves of blue noise,
    # where white noise would have 1.
    if name == "brownish_noise":
        assert bands[0] / bands[1] == pytest.approx(4**4, rel=0.2)
    else:
        assert bands[1] / bands[0] > 1.4


@pytest.mark.parametrize(
    "size, expected", [((224, 224), (224, 224)), ((33, 47), (36, 48)), ((427, 1367), (432, 1372))]
)
def test_sizes_of_spectra_are_even_and_smooth(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert spectrum_size(grey(*size)) == expected


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 97), (32, 400)])
@pytest.mark.parametrize("name", CBAR)
def test_a_batch_equals_its_images_alone(name: str, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (3, 3, *size), dtype=torch.uint8, generator=generator)
    seeds = [5, 6, 7]
    together = CORRUPTIONS[name](images, 4, seeds)
    for index, seed in enumerate(seeds):
        alone = CORRUPTIONS[name](images[index : index + 1], 4, seed)
        assert torch.equal(together[index : index + 1], alone)


def test_plasmas_of_one_batch_take_different_numbers_of_steps() -> None:
    images, corruption = grey(40, 50, 3), CORRUPTIONS["plasma_noise"]
    plasmas = [Plasma(2.0, steps, 0.7, 9.0) for steps in (5, 4, 6)]
    together = corruption.apply(images, 5, plasmas)
    alone = [corruption.apply(images[:1], 5, [plasma]) for plasma in plasmas]
    assert torch.equal(together, torch.cat(alone))
    assert not torch.equal(alone[0], alone[1])


def test_levels_are_the_originals() -> None:
    assert sorted(LEVELS) == sorted(CBAR)
    for name, text in cbar_reference.LEVELS.items():
        assert LEVELS[name] == tuple(float(level) for level in text.split())


def golden_image() -> torch.Tensor:
    """Ramps of all grey levels, red from left to right, green downwards, blue across both."""
    rows, columns = torch.arange(48)[:, None], torch.arange(64)
    channels = (columns * 4 + rows * 0, rows * 5 + columns * 0, (rows * 7 + columns * 11) % 256)
    return torch.stack(channels).to(torch.uint8)[None]


def summary(name: str, severity: int) -> tuple[float, ...]:
    """Mean of each channel, and mean change of a value, over five seeds."""
    images = golden_image().expand(5, -1, -1, -1)
    corrupted = CORRUPTIONS[name](images, severity, range(5)).double()
    means = corrupted.mean(dim=(0, 2, 3)).tolist()
    return (*means, float((corrupted - images).abs().mean()))


GOLDEN: dict[str, tuple[tuple[float, ...], ...]] = {
    "blue_noise_sample": (
        (124.26, 116.02, 125.80, 1.61),
        (122.86, 114.60, 124.35, 3.04),
        (121.16, 113.07, 122.69, 4.67),
        (113.96, 106.08, 115.39, 11.83),
        (100.18, 93.35, 101.24, 25.38),
    ),
    "brownish_noise": (
        (126.88, 116.57, 127.59, 5.91),
        (128.27, 116.23, 128.22, 11.67),
        (129.69, 115.98, 128.84, 17.24),
        (131.07, 115.81, 129.45, 22.60),
        (132.38, 115.70, 130.06, 27.77),
    ),
    "caustic_refraction": (
        (125.48, 116.97, 127.06, 4.43),
        (125.47, 116.97, 127.13, 5.97),
        (125.44, 116.97, 127.20, 8.99),
        (125.40, 117.00, 127.25, 11.93),
        (125.23, 117.01, 127.14, 16.23),
    ),
    "checkerboard_cutout": (
        (124.85, 118.02, 127.92, 5.36),
        (124.75, 118.64, 127.74, 7.90),
        (125.23, 120.85, 128.31, 10.59),
        (126.85, 121.04, 128.32, 14.07),
        (127.80, 122.51, 128.86, 17.76),
    ),
    "cocentric_sine_waves": (
        (125.65, 117.25, 127.00, 9.35),
        (125.75, 117.52, 127.05, 15.35),
        (125.87, 117.97, 127.10, 23.97),
        (125.91, 118.13, 127.13, 26.74),
        (125.95, 118.28, 127.14, 29.44),
    ),
    "inverse_sparkles": (
        (148.06, 143.86, 150.27, 23.76),
        (158.51, 156.81, 161.29, 35.23),
        (174.60, 176.06, 177.94, 52.56),
        (197.14, 201.59, 200.63, 76.15),
        (199.86, 204.54, 203.33, 78.94),
    ),
    "perlin_noise": (
        (140.21, 133.67, 141.30, 18.84),
        (142.13, 135.84, 143.18, 21.33),
        (144.05, 138.02, 145.05, 23.82),
        (149.80, 144.53, 150.69, 31.30),
        (153.65, 148.89, 154.44, 36.28),
    ),
    "plasma_noise": (
        (109.66, 101.60, 115.39, 22.62),
        (102.54, 94.59, 110.31, 32.91),
        (97.98, 90.07, 107.09, 39.61),
        (95.79, 87.86, 105.53, 42.89),
        (93.65, 85.68, 104.03, 46.12),
    ),
    "single_frequency_greyscale": (
        (128.33, 120.06, 129.68, 12.38),
        (129.67, 121.62, 131.00, 18.35),
        (130.97, 123.12, 132.28, 24.11),
        (136.70, 129.48, 138.01, 49.82),
        (137.70, 130.56, 139.02, 54.33),
    ),
    "sparkles": (
        (127.14, 118.82, 128.50, 1.18),
        (130.65, 122.74, 131.80, 4.76),
        (135.57, 128.22, 136.53, 9.80),
        (147.88, 141.88, 148.57, 22.47),
        (154.80, 149.50, 155.43, 29.60),
    ),
}
"""What :func:`summary` gave when this was written, by severity. Another value means other corrupted
images: results from before and after cannot be compared."""


@pytest.mark.parametrize("name", CBAR)
def test_images_are_what_they_were(name: str) -> None:
    for severity, expected in zip(SEVERITIES, GOLDEN[name]):
        assert summary(name, severity) == pytest.approx(expected, abs=0.02)
