"""What holds for every augmentation, and how one is built."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from augmentation_cases import CONFIGS, pictures
from torch import Tensor

from mmseg_robust.augmentations import (
    AUGMENTATIONS,
    BatchAugmentation,
    GaussianNoise,
    build_augmentation,
    overlap,
)
from mmseg_robust.corruptions import ALL_NAMES, PROTOCOLS, get_protocol
from mmseg_robust.errors import InputError

SEEDS = [7, 2**62, 11, -3]

each = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["type"])


def test_every_class_is_among_the_cases() -> None:
    apart = {"DominantFrequencies"}  # needs more than images, and has a file of its own
    assert {config["type"] for config in CONFIGS} | apart == set(AUGMENTATIONS)


@each
def test_pixels_depend_on_image_and_seed_alone(config: dict) -> None:
    augment, images = build_augmentation(config), pictures(4, 45, 67)
    before = images.clone()
    together = augment(images, SEEDS)
    assert together.shape == images.shape
    assert together.dtype == torch.float32
    assert together.min() >= 0 and together.max() <= 255
    assert torch.equal(images, before)
    assert torch.equal(augment(images.flip(0), SEEDS[::-1]).flip(0), together)
    for index, seed in enumerate(SEEDS):
        alone = build_augmentation(config)(images[index : index + 1], seed)
        assert torch.equal(alone[0], together[index])
    assert not torch.equal(together, images)
    others = augment(images[:1].repeat(4, 1, 1, 1), SEEDS)
    assert len({own.numpy().tobytes() for own in others}) == 4


@each
def test_any_layout_and_size(config: dict) -> None:
    augment, images = build_augmentation(config), pictures(2, 33, 40)
    expected = augment(images, [1, 2])
    assert torch.equal(augment(images.to(memory_format=torch.channels_last), [1, 2]), expected)
    strided = torch.stack([images, images], dim=-1)[..., 0]
    assert torch.equal(augment(strided, [1, 2]), expected)
    assert augment(images[:0], []).shape == (0, 3, 33, 40)
    assert augment(pictures(1, 32, 32), 5).shape == (1, 3, 32, 32)


@each
def test_modes_of_torch_and_global_random_state_do_not_matter(config: dict) -> None:
    augment, images = build_augmentation(config), pictures(2, 40, 52)
    expected = augment(images, [1, 2])
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(images, [1, 2]), expected)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]
    torch.manual_seed(123)
    learnt = augment(images.clone().requires_grad_(), [1, 2])
    assert torch.equal(learnt, expected)
    assert not learnt.requires_grad
    torch.random.set_rng_state(states[0])


@each
def test_values_that_are_next_to_grey_levels(config: dict) -> None:
    """Undoing a normalisation gives no whole numbers."""
    augment, images = build_augmentation(config), pictures(2, 40, 52)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    mean, std = mean[:, None, None], std[:, None, None]
    undone = (((images - mean) / std) * std + mean).clamp(0, 255)
    assert not torch.equal(undone, images)
    assert (augment(undone, [1, 2]) - augment(images, [1, 2])).abs().max() < 1e-3


@pytest.mark.gpu
@each
def test_a_gpu_gives_the_same_without_waiting(config: dict) -> None:
    augment, images = build_augmentation(config), pictures(4, 45, 67)
    there = images.cuda()
    augment(there, SEEDS)  # tables are made and kernels compiled
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = augment(there, SEEDS)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    apart = (result.cpu() - augment(images, SEEDS)).abs()
    assert (apart > 1.01).double().mean() < 1e-3


def bad_images() -> list[tuple[object, str]]:
    return [
        (np.zeros((1, 3, 8, 8), np.float32), "got ndarray"),
        (torch.zeros(3, 8, 8), r"got torch.float32 \(3, 8, 8\)"),
        (torch.zeros(1, 1, 8, 8), r"\(1, 1, 8, 8\)"),
        (torch.zeros(1, 3, 0, 8), r"\(1, 3, 0, 8\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"torch.uint8 .* Call .float\(\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16), "torch.bfloat16"),
    ]


@pytest.mark.parametrize(("images", "message"), bad_images())
def test_bad_images(images: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GaussianNoise()(images, [1])


def test_bad_seeds() -> None:
    images = pictures(2, 32, 32)
    for seeds, message in (([1], "2 images, 1 seeds"), ([1, 2.5], "got 2.5"), (3, "1 seeds")):
        with pytest.raises(InputError, match=message):
            GaussianNoise()(images, seeds)


BAD_CONFIGS = (
    ("GaussianNoise", "must be a dict with 'type'"),
    (dict(sigma=0.1), "must be a dict with 'type'"),
    (dict(type="GausianNoise"), "Did you mean 'GaussianNoise'.*Known: .*AugMix.*FourierBasis"),
    (dict(type=3), "Unknown augmentation 3"),
    (dict(type="GaussianNoise", sigme=1), "unexpected keyword argument 'sigme'. It takes: sigma"),
    (dict(type="GaussianNoise", sigma=-1), "sigma is -1; it must be a number of 0 or more"),
    (dict(type="GaussianNoise", sigma="a"), "sigma is 'a'"),
    (dict(type="GaussianNoise", sigma=True), "sigma is True"),
    (dict(type="GaussianNoise", sigma=float("nan")), "sigma is nan"),
    (dict(type="GaussianNoise", sigma=float("inf")), "sigma is inf"),
    (dict(type="GaussianNoise", sigma=(0.2, 0.1)), "the smaller first"),
    (dict(type="GaussianNoise", sigma=(0.1, 0.2, 0.3)), "sigma is"),
    (dict(type="GaussianNoise", sigma=[]), "sigma is"),
    (dict(type="Brightness", shift=2), "shift is 2; it must be a number from -1 to 1"),
    (dict(type="Contrast", factor=-0.1), "factor is -0.1"),
    (dict(type="Saturation", factor=(-1, 1)), "factor is"),
    (dict(type="Hue", degrees=(-200, 0)), "from -180 to 180"),
    (dict(type="GaussianBlur", sigma=0), "from 0.1 to 32"),
    (dict(type="FourierBasis", mean_strength=-1), "mean_strength is -1"),
    (dict(type="FourierBasis", least_strength=None), "least_strength is None"),
    (dict(type="AugMix", severity=0), "severity is 0; it must be a number from 0.1 to 10"),
    (dict(type="AugMix", severity=11), "severity is 11"),
    (dict(type="EngineCorruption", corruptions="fgo"), "Did you mean 'fog'"),
    (dict(type="EngineCorruption", severities=6), "0 .clean. to 5, got 6"),
    (dict(type="EngineCorruption", corruptions="fog", holdout="fog"), "No corruption to draw"),
    (dict(type="CombinedAugmentations", members=[]), "at least one augmentation"),
    (dict(type="CombinedAugmentations", members="Hue"), "must be a list"),
    (dict(type="CombinedAugmentations", members=["Hue"]), "must be a dict with 'type'"),
    (dict(type="CombinedAugmentations", members=[dict(type="Hu")]), "Did you mean 'Hue'"),
)


@pytest.mark.parametrize(("config", "message"), BAD_CONFIGS)
def test_bad_configs(config: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_augmentation(config)


def test_building_leaves_the_config_as_it_is() -> None:
    config = dict(type="GaussianNoise", sigma=[0.1, 0.2])
    built = build_augmentation(config)
    assert config == dict(type="GaussianNoise", sigma=[0.1, 0.2])
    assert isinstance(built, GaussianNoise)
    assert built.sigma == (0.1, 0.2)
    assert build_augmentation(built) is built


@each
def test_what_is_resembled_is_a_corruption(config: dict) -> None:
    assert set(build_augmentation(config).resembles) <= set(ALL_NAMES)


OVERLAPS = (
    (dict(type="GaussianNoise"), "cityscapes-c", 4),
    (dict(type="GaussianNoise"), "cbar", 0),
    (dict(type="FourierBasis"), "cityscapes-c", 0),
    (dict(type="FourierBasis"), "cbar", 2),
    (dict(type="AugMix"), "all-19x5", 0),
    (dict(type="Hue"), "all-19x5", 0),
    (dict(type="EngineCorruption"), "all-19x5", 19),
    (dict(type="EngineCorruption"), "cbar", 0),
    (dict(type="EngineCorruption", holdout=["fog", "frost"]), "all-19x5", 17),
    (dict(type="CombinedAugmentations"), "cityscapes-c", 10),
)


@pytest.mark.parametrize(("config", "protocol", "count"), OVERLAPS)
def test_overlap_with_a_test(config: dict, protocol: str, count: int) -> None:
    augment = build_augmentation(config)
    names = overlap(augment, protocol)
    assert len(names) == count
    assert names == overlap(augment, get_protocol(protocol))
    assert names == [name for name in PROTOCOLS[protocol].corruptions if name in names]


def test_overlap_names_the_corruptions() -> None:
    blur = build_augmentation(dict(type="GaussianBlur"))
    assert overlap(blur, "cityscapes-c") == ["defocus_blur", "glass_blur", "gaussian_blur"]
    with pytest.raises(InputError, match="Did you mean 'cityscapes-c'"):
        overlap(blur, "cityscape-c")


def test_an_augmentation_of_one_s_own() -> None:
    class Negative(BatchAugmentation):
        def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
            return 255 - images

    images = pictures(1, 8, 8)
    both = build_augmentation(dict(type="CombinedAugmentations", members=[Negative()]))
    assert torch.equal(both(images, 1), 255 - images)
