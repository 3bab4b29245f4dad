"""The two generators behind one signature."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmseg_robust.corruptions import corrupt, corrupt_reference
from mmseg_robust.corruptions.backends import corrupt_array, get_backend
from mmseg_robust.errors import InputError

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def test_an_array_is_corrupted_as_a_tensor() -> None:
    before = IMAGE.copy()
    tensor = torch.from_numpy(IMAGE).permute(2, 0, 1)[None].contiguous()
    expected = corrupt(tensor, "shot_noise", 3, [2**62 + 1])[0].permute(1, 2, 0).numpy()
    for image in (IMAGE, IMAGE[:, ::-1].copy()[:, ::-1]):  # also one with a negative stride
        result = corrupt_array(image, "shot_noise", 3, 2**62 + 1)
        np.testing.assert_array_equal(result, expected)
        assert result.flags.c_contiguous
    np.testing.assert_array_equal(IMAGE, before)


def test_severity_0_gives_a_copy() -> None:
    result = corrupt_array(IMAGE, "shot_noise", 0, 1)
    np.testing.assert_array_equal(result, IMAGE)
    assert not np.shares_memory(result, IMAGE)


def test_backends_by_name() -> None:
    assert get_backend("engine").corrupt is corrupt_array
    assert get_backend("imagecorruptions").corrupt is corrupt_reference
    assert "perlin_noise" in get_backend("engine").names
    assert "perlin_noise" not in get_backend("imagecorruptions").names
    with pytest.raises(InputError, match="Unknown backend 'wand'"):
        get_backend("wand")
    with pytest.raises(InputError, match="Did you mean 'fog'"):
        get_backend("engine").check(["foq"])
    with pytest.raises(InputError, match="has no perlin_noise: choose backend='engine'"):
        get_backend("imagecorruptions").check(["fog", "perlin_noise"])


@pytest.mark.parametrize("image", [IMAGE.astype(np.float32), IMAGE[..., 0], IMAGE[:20], None])
def test_wrong_images(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="An image to corrupt must be"):
        corrupt_array(image, "shot_noise", 3, 0)
