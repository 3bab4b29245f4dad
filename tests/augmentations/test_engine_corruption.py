"""Corruptions of the engine as augmentation."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from augmentation_cases import pictures

from mmseg_robust.augmentations import EngineCorruption
from mmseg_robust.corruptions import corrupt
from mmseg_robust.corruptions.choice import CellChoice
from mmseg_robust.errors import InputError

NAMES = ["brightness", "contrast", "jpeg_compression"]


def test_pixels_are_the_engine_s() -> None:
    images, seeds = pictures(6, 40, 52), [5, 6, 7, 8, 9, 10]
    result = EngineCorruption(NAMES, severities=(1, 4))(images, seeds)
    choice = CellChoice(NAMES, (1, 4))
    names, severities = zip(*(choice.draw(seed) for seed in seeds))
    expected = corrupt(images.to(torch.uint8), names, severities, seeds)
    assert torch.equal(result, expected.to(torch.float32))
    assert len(set(names)) > 1 and len(set(severities)) > 1


def test_values_are_rounded_not_truncated() -> None:
    images = pictures(2, 40, 52)
    augment = EngineCorruption("contrast", severities=2)
    assert torch.equal(augment(images - 1e-4, [1, 2]), augment(images, [1, 2]))


def test_severity_zero_is_the_image() -> None:
    images = pictures(12, 32, 32)
    result = EngineCorruption("fog", severities=(0, 3))(images, range(12))
    same = [torch.equal(own, image) for own, image in zip(result, images)]
    assert 0 < sum(same) < 12


def test_holdout_is_never_drawn() -> None:
    augment = EngineCorruption(holdout=["fog", "frost"])
    drawn = Counter(augment.choice.draw(seed) for seed in range(4000))
    assert {cell.corruption for cell in drawn} == set(augment.resembles)
    assert not {"fog", "frost"} & set(augment.resembles)
    assert {cell.severity for cell in drawn} == {1, 2, 3, 4, 5}


def test_images_that_are_too_small() -> None:
    with pytest.raises(InputError, match="at least 32 pixels"):
        EngineCorruption("fog")(pictures(1, 31, 40), 1)
