"""DFM-X in a pipeline: the augmentation's pixels, labels as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from small_maps import made, random_maps

from mmseg_robust.augmentations import DominantFrequencies, FrequencyMaps
from mmseg_robust.datasets import KeepDominantFrequencies
from mmseg_robust.errors import InputError


def maps(**changes: Any) -> FrequencyMaps:
    return made(random_maps(5, 16, 16), **changes)


def results(**changes: Any) -> dict[str, Any]:
    """An image of three of five classes, as a pipeline of MMSegmentation holds it."""
    random = np.random.default_rng(0)
    label = random.choice(np.array([0, 2, 3, 255], np.uint8), (24, 30))
    image = random.integers(0, 256, (24, 30, 3), dtype=np.uint8)
    return dict(dict(img=image, gt_seg_map=label, img_path="somewhere/a.png"), **changes)


def drawn_seeds(count: int) -> list[int]:
    np.random.seed(1)
    return [int(np.random.randint(2**63 - 1, dtype=np.int64)) for _ in range(count)]


@pytest.mark.parametrize("task", ["segmentation", "classification"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_pixels_are_the_augmentation_s(task: str, kind: type) -> None:
    own = maps(task=task)
    transform, augment = KeepDominantFrequencies(own, 0.5), DominantFrequencies(own, 0.5)
    labels = dict(gt_label=2) if task == "classification" else {}
    present = torch.tensor([[task == "segmentation", False, True, task == "segmentation", False]])
    seeds = drawn_seeds(8)
    np.random.seed(1)
    for seed in seeds:
        before = results(**labels)
        image = before["img"] = before["img"].astype(kind)
        rgb = torch.from_numpy(image[..., ::-1].astype(np.float32)).permute(2, 0, 1)[None]
        expected = augment(rgb, seed, present)[0].permute(1, 2, 0).numpy()[..., ::-1]
        out = transform(before)
        assert out["img"].dtype == kind
        assert out["img"].flags.c_contiguous
        wanted = expected.round() if kind is np.uint8 else expected
        # The channels are filtered alike, and their transforms differ by rounding at most.
        assert np.abs(out["img"] - wanted).max() <= (1 if kind is np.uint8 else 1e-3)
        np.testing.assert_array_equal(out["gt_seg_map"], results()["gt_seg_map"])
    assert any(share is None for share in augment.draw(seeds))
    assert any(share is not None for share in augment.draw(seeds))


def test_one_number_an_image_is_drawn_from_numpy_whatever_prob_is() -> None:
    states = []
    torch_state = torch.get_rng_state()
    for prob in (0.0, 1.0):
        np.random.seed(3)
        image = results()["img"]
        out = KeepDominantFrequencies(maps(), prob)(results(img=image))
        assert (out["img"] == image).all() == (prob == 0)
        np.testing.assert_array_equal(image, results()["img"])
        states.append(np.random.randint(2**31))
    assert states[0] == states[1]
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_several_labels_of_an_image() -> None:
    transform = KeepDominantFrequencies(maps(task="classification"), 1.0)
    image = results()["img"]
    for label in ([0, 1, 2, 3, 4], np.array([0, 1, 2, 3, 4])):
        assert (transform(results(gt_label=label))["img"] == image).all()


def test_in_pipelines_of_both_packages(tmp_path: Path) -> None:
    init_default_scope("mmseg")
    maps().save(tmp_path / "maps.npz")
    step = dict(type="KeepDominantFrequencies", maps=str(tmp_path / "maps.npz"), prob=0.4)
    built = TRANSFORMS.build(step)
    assert isinstance(built, KeepDominantFrequencies)
    assert "prob=0.4" in repr(built)
    pytest.importorskip("mmpretrain.datasets")
    from mmpretrain.registry import TRANSFORMS as MMPRETRAIN

    init_default_scope("mmpretrain")
    assert isinstance(MMPRETRAIN.build(step), KeepDominantFrequencies)


@pytest.mark.parametrize(
    ("task", "changes", "message"),
    [
        ("segmentation", dict(img=np.zeros((15, 40, 3), np.uint8)), "15 x 40 pixels are smaller"),
        ("segmentation", dict(gt_seg_map=np.full((24, 30), 7)), "The label 7 is none of the 5"),
        ("classification", dict(gt_label=5), "The label 5 is none of the 5 classes"),
        ("classification", dict(), "maps are those of classification, .* holds no gt_label"),
        ("segmentation", dict(img=np.zeros((24, 30, 1), np.uint8)), r"\(1, 1, 24, 30\)"),
    ],
)
def test_images_and_labels_that_do_not_fit(task: str, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=rf"somewhere/a\.png: .*{message}"):
        KeepDominantFrequencies(maps(task=task), 1.0)(results(**changes))
