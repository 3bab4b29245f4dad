"""DFM-X: the filter beside a plain one, the rules that draw classes, labels."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from augmentation_cases import largest_gap, pictures
from small_maps import made, random_maps
from torch import Tensor

from mmseg_robust.augmentations import (
    DominantFrequencies,
    build_augmentation,
    classes_in,
    overlap,
)
from mmseg_robust.errors import InputError

SEEDS = list(range(12))
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def augmentation(task: str = "segmentation", prob: float = 1.0, **changes: object):
    return DominantFrequencies(made(random_maps(5, 16, 16), task=task, **changes), prob)


def shown(*classes: int, count: int = 12) -> Tensor:
    """The same classes in every image."""
    present = torch.zeros(count, 5, dtype=torch.bool)
    present[:, list(classes)] = True
    return present


def chosen_class(share: float, candidates: list[int]) -> int:
    return candidates[int(share * len(candidates))]


def as_the_paper(image: Tensor, mask: Tensor) -> np.ndarray:
    """On a normalised image, by the whole complex transform of one channel after the other."""
    height, width = mask.shape
    mask = mask.numpy().copy()
    mask[height // 2, width // 2] = True
    channels = []
    for channel, mean, std in zip(image.double().numpy(), MEAN, STD):
        spectrum = np.fft.fftshift(np.fft.fft2((channel - mean) / std)) * mask
        channels.append(np.fft.ifft2(np.fft.ifftshift(spectrum)).real * std + mean)
    return np.stack(channels).clip(0, 255)


@pytest.mark.parametrize("task", ["classification", "segmentation"])
@pytest.mark.parametrize("size", [(16, 16), (33, 40), (21, 17)])
def test_equals_the_filter_on_normalised_images(task: str, size: tuple[int, int]) -> None:
    augment, images, present = augmentation(task, prob=0.7), pictures(12, *size), shown(1)
    maps = augment.maps.at_size(*size)
    candidates = [0, 1, 2, 3, 4] if task == "classification" else [0, 2, 3, 4]
    result = augment(images, SEEDS, present)
    kept = 0
    for image, own, share in zip(images, result, augment.draw(SEEDS)):
        drawn = None if share is None else chosen_class(share, candidates)
        if drawn in (None, 1):
            kept += 1
            assert torch.equal(own, image)
        else:
            assert np.abs(own.numpy() - as_the_paper(image, maps[drawn])).max() < 2e-3
    assert 0 < kept < 12


def test_dc_is_kept_whatever_the_map_says() -> None:
    maps = torch.zeros(5, 8, 8, dtype=torch.bool)
    images = pictures(2, 24, 30)
    result = DominantFrequencies(made(maps), 1.0)(images, [1, 2], shown(count=2))
    torch.testing.assert_close(result, images.mean((2, 3), keepdim=True).expand_as(images))
    assert not maps.any()


def drawn_classes(augment: DominantFrequencies, present: Tensor, seeds: range) -> Counter:
    """Counts which map each image got; None for the image as it is."""
    size = augment.maps.size
    point = torch.zeros(len(seeds), 3, *size)
    point[:, :, size[0] // 2, size[1] // 2] = 255  # has every frequency
    results = augment(point, seeds, present.expand(len(seeds), -1))
    expected: dict = {None: point[0]}
    for index, mask in enumerate(augment.maps.maps):
        expected[index] = torch.from_numpy(spread(mask)).float()
    found: Counter = Counter()
    for own in results:
        gaps = {name: float((own - other).abs().max()) for name, other in expected.items()}
        name = min(gaps, key=lambda key: gaps[key])
        assert gaps[name] < 1e-3
        found[name] += 1
    return found


def spread(mask: Tensor) -> np.ndarray:
    """What a filter makes of a white point in the middle of black, three channels."""
    height, width = mask.shape
    point = np.zeros((height, width))
    point[height // 2, width // 2] = 255
    mask = mask.numpy().copy()
    mask[height // 2, width // 2] = True
    filtered = np.fft.ifft2(np.fft.fft2(point) * np.fft.ifftshift(mask)).real
    return np.stack([filtered.clip(0, 255)] * 3)


def close(count: int, total: int, share: float) -> bool:
    """Within four standard deviations."""
    return abs(count - total * share) < 4 * (total * share * (1 - share)) ** 0.5 + 1


def test_a_classifier_draws_of_all_classes_and_leaves_its_own() -> None:
    found = drawn_classes(augmentation("classification", 0.5), shown(3, count=1), range(600))
    assert set(found) == {None, 0, 1, 2, 4}
    assert close(found[None], 600, 1 - 0.5 * (1 - 1 / 5))
    assert all(close(found[index], 600, 0.1) for index in (0, 1, 2, 4))


def test_a_segmentor_draws_of_the_absent_classes() -> None:
    found = drawn_classes(augmentation("segmentation", 0.5), shown(0, 3, count=1), range(600))
    assert set(found) == {None, 1, 2, 4}
    assert close(found[None], 600, 0.5)
    assert all(close(found[index], 600, 0.5 / 3) for index in (1, 2, 4))


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_classes_without_a_map_are_never_drawn(task: str) -> None:
    augment = augmentation(task, 1.0, found=(True, False, True, False, True))
    found = drawn_classes(augment, shown(0, count=1), range(300))
    assert set(found) - {None} == {2, 4}
    assert close(found[None], 300, 1 / 3) if task == "classification" else found[None] == 0


@pytest.mark.parametrize("classes", [(0, 1, 2, 3, 4), (0, 2, 4)])
def test_an_image_that_shows_all_that_could_be_drawn_stays(classes: tuple[int, ...]) -> None:
    augment = augmentation(found=(True, len(classes) == 5, True, len(classes) == 5, True))
    images = pictures(12, 16, 16)
    assert torch.equal(augment(images, SEEDS, shown(*classes)), images)


def test_draws_are_independent_uniform_numbers() -> None:
    drawn = augmentation(prob=0.3).draw(range(4000))
    shares = torch.tensor([share for share in drawn if share is not None])
    assert close(len(shares), 4000, 0.3)
    assert largest_gap(shares) < 1.95
    assert augmentation(prob=0).draw(range(100)) == [None] * 100


def test_off_is_a_copy() -> None:
    images = pictures(2, 20, 20)
    result = augmentation(prob=0)(images, [1, 2], shown(count=2))
    assert torch.equal(result, images)
    assert result.data_ptr() != images.data_ptr()


def test_pixels_depend_on_image_seed_and_classes_alone() -> None:
    augment, images = augmentation(prob=0.6), pictures(12, 45, 37)
    present = torch.rand(12, 5, generator=torch.Generator().manual_seed(3)) < 0.4
    before = images.clone()
    together = augment(images, SEEDS, present)
    assert together.dtype == torch.float32
    assert together.min() >= 0 and together.max() <= 255
    assert torch.equal(images, before)
    turned = augment(images.flip(0), SEEDS[::-1], present.flip(0)).flip(0)
    assert torch.equal(turned, together)
    for index, seed in enumerate(SEEDS):
        alone = augmentation(prob=0.6)(images[index : index + 1], seed, present[index : index + 1])
        assert torch.equal(alone[0], together[index])
        other = pictures(1, 33, 64)
        augment(other, seed, present[:1])  # of another size in between


def test_modes_of_torch_and_global_random_state_do_not_matter() -> None:
    augment, images, present = augmentation(), pictures(2, 40, 52), shown(1, count=2)
    expected = augment(images, [1, 2], present)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(images, [1, 2], present), expected)
    assert torch.equal(augmentation()(images.clone().requires_grad_(), [1, 2], present), expected)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]
    assert augment(images[:0], [], present[:0]).shape == (0, 3, 40, 52)


@pytest.mark.gpu
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_a_gpu_gives_the_same_without_waiting(task: str) -> None:
    augment, images = augmentation(task, prob=0.7), pictures(12, 45, 67)
    labels = torch.randint(0, 7, (12, 45, 67), generator=torch.Generator().manual_seed(0))
    labels[:, :, :] = labels[:, :1, :2].repeat(1, 45, 34)[:, :, :67]  # two classes an image
    there, labels_there = images.cuda(), labels.cuda()
    augment(there, SEEDS, classes_in(labels_there, 5))  # the maps are moved
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = augment(there, SEEDS, classes_in(labels_there, 5))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = augment(images, SEEDS, classes_in(labels, 5))
    assert (result.cpu() - expected).abs().max() < 1e-2
    assert not torch.equal(expected, images)


def test_classes_of_labels() -> None:
    maps = torch.tensor([[[0, 2], [255, 2]], [[1, 1], [1, -1]], [[255, 3], [3, 255]]])
    expected = [[True, False, True], [False, True, False], [False, False, False]]
    assert classes_in(maps, 3).tolist() == expected
    assert classes_in(maps.to(torch.int32)[:, None], 3).tolist() == expected
    assert classes_in(torch.tensor([[1], [0]]), 2).tolist() == [[False, True], [True, False]]
    assert classes_in(maps.remainder(256).to(torch.uint8), 3).tolist() == expected


def test_a_member_of_combined_augmentations() -> None:
    """It gets the labels of those images that draw it; the other members go without."""
    own = augmentation()
    both = build_augmentation(dict(type="CombinedAugmentations", members=[dict(type="Hue"), own]))
    assert both.reads_labels
    assert both.least_size == (16, 16)
    images, present = pictures(12, 24, 24), torch.rand(12, 5) < 0.5
    result = both(images, SEEDS, present)
    chosen = both.choose(SEEDS)
    assert set(chosen) == {0, 1}
    for place in [place for place, index in enumerate(chosen) if index == 1]:
        expected = own(images[place][None], SEEDS[place], present[place][None])[0]
        assert torch.equal(result[place], expected)
    with pytest.raises(InputError, match="reads labels"):
        both(images, SEEDS)
    with pytest.raises(InputError, match="5 classes, here are 2"):
        both.check_classes(["a", "b"])


@pytest.mark.parametrize(
    ("present", "message"),
    [
        (None, r"reads labels: 'present' must be bool, \(2, classes\); got NoneType"),
        (torch.zeros(2, 5), "got torch.float32"),
        (torch.zeros(3, 5, dtype=torch.bool), r"\(3, 5\)"),
        (torch.zeros(5, dtype=torch.bool), r"\(5,\)"),
        (torch.zeros(2, 6, dtype=torch.bool), "5 classes, here are 6. Use maps of a model"),
    ],
)
def test_labels_that_do_not_fit(present: Tensor | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        augmentation()(pictures(2, 16, 16), [1, 2], present)


def test_images_smaller_than_the_maps() -> None:
    with pytest.raises(InputError, match=r"15 x 40 pixels are smaller .* maps of 16 x 16"):
        augmentation()(pictures(2, 15, 40), [1, 2], shown(count=2))


def test_maps_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "maps.npz"
    augmentation().maps.save(path)
    built = build_augmentation(dict(type="DominantFrequencies", maps=str(path)))
    assert isinstance(built, DominantFrequencies)
    assert built.prob == 0.3
    assert built.least_size == (16, 16)
    assert "'data': 'made up'" in repr(built)
    assert overlap(built, "cbar") == []
    assert overlap(built, "cityscapes-c") == ["defocus_blur", "glass_blur", "gaussian_blur"]
    built.check_classes([f"class {index}" for index in range(5)])
    with pytest.raises(InputError, match=r"Class 0 .* is 'class 0', here it is 'road'"):
        built.check_classes(["road", "b", "c", "d", "e"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(maps="nowhere.npz"), r"at 'nowhere.npz'. tools/.*dominant_frequencies.py makes them"),
        (dict(maps=None), "maps is None; it must be a file"),
        (dict(maps=made(random_maps(2, 8, 8)), prob=1.5), "prob is 1.5; .* from 0 to 1"),
        (dict(maps=made(random_maps(2, 8, 8), found=(False, False))), "No class .* has a map"),
        (dict(), "missing a required argument: 'maps'"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_augmentation(dict(type="DominantFrequencies", **settings))
