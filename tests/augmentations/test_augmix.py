"""AugMix against Pillow's operations, image by image, and the distribution of its draws."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from augmentation_cases import largest_gap, pictures
from PIL import Image, ImageOps

from mmseg_robust.augmentations import AugMix
from mmseg_robust.augmentations.augmix import OPERATIONS, Mixture, Step, mix


def by_pillow(image: Image.Image, step: Step) -> Image.Image:
    """One operation, with the official code's reading of its level."""
    if step.operation == "autocontrast":
        return ImageOps.autocontrast(image)
    if step.operation == "equalize":
        return ImageOps.equalize(image)
    if step.operation == "posterize":
        return ImageOps.posterize(image, 4 - int(step.level * 4 / 10))
    return ImageOps.solarize(image, 256 - int(step.level * 256 / 10))


def reference(image: torch.Tensor, mixture: Mixture) -> np.ndarray:
    """``(1 - m) x + m sum_i w_i chain_i(x)`` of one image in float64."""
    values = image.double().numpy()
    total = np.zeros_like(values)
    for weight, chain in zip(mixture.weights, mixture.chains):
        altered = Image.fromarray(values.round().astype(np.uint8).transpose(1, 2, 0))
        for step in chain:
            altered = by_pillow(altered, step)
        total += weight * np.asarray(altered, np.float64).transpose(2, 0, 1)
    return (1 - mixture.share) * values + mixture.share * total


def hard_pictures() -> torch.Tensor:
    """Besides ordinary ones: one level, two levels, few levels, and a gap at both ends."""
    images = pictures(8, 37, 53)
    images[1] = 77
    images[2] = (images[2] > 128) * 180.0 + 20
    images[3] = (images[3] / 60).floor() * 60
    images[4] = images[4] * 0.3 + 90
    images[5, 0] = 255
    images[6] = 0
    images[6, :, 3, 4] = 1
    images[7, 1, :30] = 255
    return images.round()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("level", [0.1, 2.6, 5.0, 7.5, 9.9])
def test_operations_are_pillow_s_to_the_bit(operation: str, level: float) -> None:
    images = hard_pictures()
    once = Mixture([[Step(operation, level)]] * 3, [1.0, 0.0, 0.0], 1.0)
    result = mix(images, [once] * len(images))
    for own, image in zip(result, images):
        assert np.array_equal(own.numpy(), reference(image, once))


@pytest.mark.parametrize("severity", [1, 3, 10])
def test_mixtures_are_the_equation(severity: int) -> None:
    augment, images, seeds = AugMix(severity), hard_pictures().repeat(4, 1, 1, 1), range(32)
    mixtures = augment.draw(seeds)
    assert max(len(chain) for own in mixtures for chain in own.chains) == 3
    for own, image, mixture in zip(augment(images, seeds), images, mixtures):
        assert np.abs(own.numpy() - reference(image, mixture)).max() < 1e-3


def test_draws_are_distributed_as_the_official_ones() -> None:
    mixtures = AugMix(3).draw(range(3000))
    chains = [chain for own in mixtures for chain in own.chains]
    steps = [step for chain in chains for step in chain]
    for drawn, kinds in (
        (Counter(len(chain) for chain in chains), (1, 2, 3)),
        (Counter(step.operation for step in steps), OPERATIONS),
    ):
        assert set(drawn) == set(kinds)
        count, share = sum(drawn.values()), 1 / len(kinds)
        limit = 4 * (count * share * (1 - share)) ** 0.5
        assert all(abs(number - count * share) < limit for number in drawn.values())
    levels = torch.tensor([step.level for step in steps], dtype=torch.float64)
    assert largest_gap((levels - 0.1) / 2.9) < 1.95
    assert largest_gap(torch.tensor([own.share for own in mixtures])) < 1.95
    weights = torch.tensor([own.weights for own in mixtures], dtype=torch.float64)
    assert torch.allclose(weights.sum(1), torch.ones(3000, dtype=torch.float64))
    # A weight of Dirichlet(1, 1, 1) is Beta(1, 2): 1 - (1 - w)^2 is uniform.
    assert all(largest_gap(1 - (1 - weights[:, i]) ** 2) < 1.95 for i in range(3))


def test_share_zero_is_the_image() -> None:
    images = pictures(1, 20, 33)
    chains = [[Step("solarize", 10.0)]] * 3
    assert torch.equal(mix(images, [Mixture(chains, [0.2, 0.3, 0.5], 0.0)]), images)
