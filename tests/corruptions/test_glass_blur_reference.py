"""The vectorised glass blur against the loop of imagecorruptions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmseg_robust.compat import load_imagecorruptions
from mmseg_robust.corruptions.glass_blur_reference import glass_blur


@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_output_and_random_state_equal_the_original(size: tuple[int, int], severity: int) -> None:
    image = np.random.default_rng(severity).integers(0, 256, (*size, 3), dtype=np.uint8)
    original = load_imagecorruptions().corruption_dict["glass_blur"]
    np.random.seed(severity)
    expected = original(Image.fromarray(image), severity)
    expected_next = np.random.random(3)
    np.random.seed(severity)
    result = glass_blur(image, severity)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(np.random.random(3), expected_next)
