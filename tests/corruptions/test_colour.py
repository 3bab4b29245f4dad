"""Brightness, contrast and saturation against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import SIZES, batch, picture, run, share_within_one

from mmseg_robust.corruptions.colour import brightness, contrast, saturate

SEVERITIES = range(1, 6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("corruption", [brightness, contrast, saturate])
def test_colours_equal_the_reference(corruption, severity: int, size: str) -> None:
    image = picture(size)
    ours = corruption(batch(image), severity, 0)
    assert share_within_one(ours, run(image, corruption.name, severity)) >= 0.9999


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("corruption", [brightness, saturate])
def test_every_kind_of_colour(corruption, severity: int) -> None:
    """Greys, black, white, pure hues and random colours."""
    grey = np.repeat(np.arange(256), 3).reshape(-1, 3)
    pure = np.array(np.meshgrid([0, 255], [0, 128, 255], [0, 1, 255])).reshape(3, -1).T
    rest = np.random.default_rng(0).integers(0, 256, (4096 - len(grey) - len(pure), 3))
    image = np.concatenate([grey, pure, rest]).astype(np.uint8).reshape(64, 64, 3)
    ours = corruption(batch(image), severity, 0)
    assert share_within_one(ours, run(image, corruption.name, severity)) == 1
