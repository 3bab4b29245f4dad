"""Pixelation against Pillow's, to the bit."""

from __future__ import annotations

import numpy as np
import PIL
import pytest
import torch
from oracle import SIZES, batch, picture, run

from mmseg_robust.corruptions.pixelate import pixelate

SEVERITIES = range(1, 6)


def ours(image: np.ndarray, severity: int) -> np.ndarray:
    return pixelate.apply(batch(image), severity)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_pictures_equal_the_reference(size: str, severity: int) -> None:
    image = picture(size)
    np.testing.assert_array_equal(ours(image, severity), run(image, "pixelate", severity))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_sizes_of_every_remainder_equal_the_reference(severity: int) -> None:
    random = np.random.default_rng(severity)
    for height in range(32, 53):
        width = height + int(random.integers(0, 400))
        image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        np.testing.assert_array_equal(ours(image, severity), run(image, "pixelate", severity))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_tall_images_turn_the_passes_around(severity: int) -> None:
    random = np.random.default_rng(severity)
    recent = int(PIL.__version__.split(".")[0]) >= 13
    for width in (32, 40, 57):
        for height in range(2 * width - 3, 2 * width + 7):
            image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            apart = ours(image, severity).astype(int) - run(image, "pixelate", severity)
            assert abs(apart).max() <= (0 if recent else 1)


def test_images_of_a_batch_do_not_mix() -> None:
    images = batch(picture("wide")[:33, :47], picture("wide")[99:132, 99:146])
    together = pixelate.apply(images, 1)
    for index in range(2):
        alone = pixelate.apply(images[index : index + 1], 1)
        assert torch.equal(together[index : index + 1], alone)
