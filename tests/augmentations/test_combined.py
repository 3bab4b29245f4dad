"""Combined augmentations: which member an image gets, and that it gets only that one."""

from __future__ import annotations

from collections import Counter

import torch
from augmentation_cases import pictures
from torch import Tensor

from mmseg_robust.augmentations import (
    BatchAugmentation,
    CombinedAugmentations,
    build_augmentation,
)


class Counting(BatchAugmentation):
    """Counts calls and images."""

    def __init__(self) -> None:
        self.calls = 0
        self.images = 0

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        self.calls += 1
        self.images += len(images)
        return images.clone()


def test_each_image_gets_what_its_member_makes_of_it() -> None:
    combined, images, seeds = CombinedAugmentations(), pictures(24, 33, 40), range(100, 124)
    result, chosen = combined(images, seeds), combined.choose(seeds)
    assert set(chosen) == set(range(6))
    for place, (index, seed) in enumerate(zip(chosen, seeds)):
        alone = combined.members[index](images[place : place + 1], seed)
        assert torch.equal(result[place], alone[0])


def test_members_are_drawn_with_equal_probability() -> None:
    count = 6000
    drawn = Counter(CombinedAugmentations().choose(range(count)))
    deviation = (count * 1 / 6 * 5 / 6) ** 0.5
    assert all(abs(drawn[index] - count / 6) < 4 * deviation for index in range(6))


def test_the_choice_says_nothing_about_what_the_member_draws() -> None:
    """Otherwise an image of one member would see a part of its range alone."""
    combined = CombinedAugmentations([dict(type="Brightness", shift=(-0.2, 0.2)), dict(type="Hue")])
    images = torch.full((1000, 3, 2, 2), 128.0)
    first = torch.tensor(combined.choose(range(1000))) == 0
    shifts = combined.members[0](images, range(1000))[first, 0, 0, 0] - 128
    deviation = 0.4 * 255 / 12**0.5 / int(first.sum()) ** 0.5
    assert abs(shifts.mean()) < 4 * deviation


def test_the_cost_does_not_grow_with_the_number_of_members() -> None:
    for number in (1, 3, 40):
        members = [Counting() for _ in range(number)]
        CombinedAugmentations(members)(pictures(8, 8, 8), range(8))
        assert sum(member.images for member in members) == 8
        assert sum(member.calls for member in members) <= min(number, 8)


def test_it_resembles_what_its_members_do() -> None:
    combined = build_augmentation(
        dict(
            type="CombinedAugmentations",
            members=[
                dict(type="EngineCorruption", corruptions=["fog", "brightness"]),
                dict(type="Brightness"),
                dict(type="CombinedAugmentations", members=[dict(type="Contrast")]),
            ],
        )
    )
    assert combined.resembles == ("fog", "brightness", "contrast")
