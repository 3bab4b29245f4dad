"""Blur levels as the data preprocessor makes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from torch import Tensor

import mmseg_robust  # noqa: F401  (registers it)
from mmseg_robust.augmentations.defocus_levels import defocus


def picture(seed: int, height: int = 60, width: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


def sample(inputs: Tensor, levels: tuple[float, ...], margin: int) -> dict:
    return dict(inputs=inputs, levels=np.array(levels, np.float64), margin=margin, name="x")


def collated(*samples: dict) -> dict:
    return {key: [own[key] for own in samples] for key in samples[0]}


def test_crops_of_sharp_images_are_blurred_as_parts_of_the_whole() -> None:
    images, triplets = [picture(0), picture(1)], [(0, 16, 8), (8, 16, 12)]
    samples = [
        sample(image[None, None, :, 2:54, 5:57].repeat(1, 2, 1, 1, 1), levels, 10)
        for image, levels in zip(images, triplets)
    ]
    made = MODELS.build(dict(type="BlurLevelPreprocessor"))(collated(*samples), training=True)
    assert list(made) == ["inputs"]
    assert made["inputs"].shape == (4, 3, 3, 32, 32) and made["inputs"].dtype == torch.float32
    for index, (image, levels) in enumerate(zip(images, triplets)):
        for place, level in enumerate(levels):
            whole = defocus(image[None], level) / 255
            expected = whole[0, :, 12:44, 15:47]
            for crop in (2 * index, 2 * index + 1):
                assert torch.allclose(made["inputs"][crop, place], expected, atol=1e-5)


def test_stacks_are_taken_as_they_are_beside_images_of_other_sizes() -> None:
    stack = torch.stack([picture(seed)[:1] for seed in range(3)])[:, None]
    made = MODELS.build(dict(type="BlurLevelPreprocessor"))(
        collated(
            sample(stack, (0, 8, 16), 0),
            sample(picture(4, 40, 48)[None, None], (0, 4, 16), 0),
            sample(picture(5)[None, None], (0, 4, 16), 0),
        )
    )
    assert torch.equal(made["inputs"][0], stack[:, 0] / 255)
    assert made["levels"] == [[0, 8, 16], [0, 4, 16], [0, 4, 16]]
    assert made["names"] == ["x"] * 3
    assert [tuple(own.shape) for own in made["inputs"][1:]] == [(3, 3, 40, 48), (3, 3, 60, 64)]
    expected = defocus(picture(5)[None], 4)[0] / 255
    assert torch.allclose(made["inputs"][2][1], expected, atol=1e-6)
    assert torch.equal(made["inputs"][2][2], picture(5) / 255)


@pytest.mark.gpu
def test_a_gpu_gives_the_same() -> None:
    crop = picture(0)[None, None, :, :52, :52]
    batch = collated(sample(crop, (0, 16, 8), 10), sample(crop, (4, 8, 6), 10))
    build = dict(type="BlurLevelPreprocessor")
    there = MODELS.build(build).cuda()(batch, training=True)["inputs"]
    here = MODELS.build(build)(batch, training=True)["inputs"]
    assert torch.allclose(there.cpu(), here, atol=1e-4)
