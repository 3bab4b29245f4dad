"""The pipeline's corruption: the right channels, reproducible pixels, labels as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colour_runs import CLASSES, pipeline, scene, write_scenes
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import TRANSFORMS
from torch.utils.data import DataLoader

from mmseg_robust.corruptions import CLEAN, Cell, corrupt_reference, image_seed
from mmseg_robust.corruptions.backends import corrupt_array
from mmseg_robust.datasets import CorruptImage
from mmseg_robust.errors import InputError

SOME = ["gaussian_noise", "shot_noise", "impulse_noise"]


def bgr(index: int = 0) -> np.ndarray:
    return np.ascontiguousarray(scene(index)[0][..., ::-1])


def results(index: int = 0, path: str | None = "somewhere/a.png") -> dict[str, Any]:
    label = scene(index)[1]
    return dict(img=bgr(index), img_path=path, gt_seg_map=label, seg_fields=["gt_seg_map"])


def test_a_fixed_cell_is_made_in_rgb_and_leaves_the_label() -> None:
    transform = CorruptImage("gaussian_noise", 4, seed=7)
    before = results()
    out = transform(before)
    rgb = corrupt_array(scene(0)[0], "gaussian_noise", 4, image_seed(7, "elsewhere/a.jpg"))
    np.testing.assert_array_equal(out["img"], rgb[..., ::-1])
    assert out["img"].flags.c_contiguous
    assert out["corruption"] == Cell("gaussian_noise", 4)
    np.testing.assert_array_equal(out["gt_seg_map"], scene(0)[1])
    assert set(out) == {"img", "img_path", "gt_seg_map", "seg_fields", "corruption"}


def test_the_array_that_was_loaded_is_not_written_to() -> None:
    loaded = results()
    image, copy = loaded["img"], loaded["img"].copy()
    CorruptImage("gaussian_noise", 4)(loaded)
    np.testing.assert_array_equal(image, copy)


def test_the_reference_backend() -> None:
    out = CorruptImage("speckle_noise", 2, seed=3, backend="imagecorruptions")(results())
    expected = corrupt_reference(scene(0)[0], "speckle_noise", 2, image_seed(3, "a.png"))
    np.testing.assert_array_equal(out["img"], expected[..., ::-1])


def test_without_a_seed_numpy_decides_and_one_number_an_image_is_drawn() -> None:
    transform = CorruptImage(SOME, prob=0.5)
    torch_state = torch.get_rng_state()

    def run() -> list[tuple[Cell, bytes]]:
        np.random.seed(5)
        outs = [transform(results()) for _ in range(8)]
        return [(out["corruption"], out["img"].tobytes()) for out in outs]

    first = run()
    after = np.random.randint(2**31)
    assert run() == first
    assert len({pixels for _, pixels in first}) > 4
    assert {cell == CLEAN for cell, _ in first} == {True, False}
    np.random.seed(5)
    for _ in range(8):
        CorruptImage(SOME, prob=0)(results())
    assert np.random.randint(2**31) == after, "what follows must not depend on prob"
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_with_a_seed_an_image_is_always_the_same_and_numpy_is_left_alone() -> None:
    transform = CorruptImage(SOME, seed=0)
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    names = [f"{number}.png" for number in range(40)]
    first = [transform(results(path=name)) for name in names]
    again = [transform(results(path=name)) for name in reversed(names)][::-1]
    for one, other in zip(first, again):
        assert one["corruption"] == other["corruption"]
        np.testing.assert_array_equal(one["img"], other["img"])
    assert len({out["corruption"] for out in first}) > 10
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    other_seed = CorruptImage(SOME, seed=1)
    assert [other_seed(results(path=n))["corruption"] for n in names] != [
        out["corruption"] for out in first
    ]


def test_an_image_that_is_left_alone_is_the_very_same() -> None:
    loaded = results()
    image = loaded["img"]
    out = CorruptImage(prob=0.0)(loaded)
    assert out["img"] is image
    assert out["corruption"] == CLEAN


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_pipeline_with_workers(tmp_path: Path, workers: int) -> None:
    init_default_scope("mmseg")
    root = write_scenes(tmp_path, count=4)
    loader, _, labels, pack = pipeline()
    step = dict(type="CorruptImage", corruptions=SOME, seed=0)
    pack = dict(pack, meta_keys=("img_path", "corruption"))
    dataset = BaseSegDataset(
        data_root=str(root), img_suffix=".png", metainfo=dict(classes=CLASSES),
        data_prefix=dict(img_path="img", seg_map_path="ann"), pipeline=[loader, step, labels, pack],
    )  # fmt: skip
    items = list(DataLoader(dataset, batch_size=None, num_workers=workers))
    for index, item in enumerate(items):
        sample = item["data_samples"]
        image, label = scene(index)
        seed = image_seed(0, f"{index}.png")
        expected = corrupt_array(image, *sample.corruption, seed)[..., ::-1].transpose(2, 0, 1)
        np.testing.assert_array_equal(item["inputs"].numpy(), expected)
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), label)


def test_mmsegmentation_and_mmpretrain_find_it() -> None:
    config = dict(type="CorruptImage", corruptions="fog", severities=3)
    assert isinstance(TRANSFORMS.build(dict(config)), CorruptImage)
    registry = pytest.importorskip("mmpretrain.registry").TRANSFORMS
    assert isinstance(registry.build(dict(config)), CorruptImage)


def test_it_tells_what_it_does() -> None:
    text = repr(CorruptImage(["fog"], [1, 2], prob=0.5, seed=4))
    assert "['fog']" in text and "[1, 2]" in text and "0.5" in text and "seed=4" in text


def test_bad_images_are_named() -> None:
    transform = CorruptImage("gaussian_noise", 3)
    loaded = results()
    with pytest.raises(InputError, match=r"somewhere/a\.png: .* got float32"):
        transform(dict(loaded, img=loaded["img"].astype(np.float32)))
    with pytest.raises(InputError, match=r"somewhere/a\.png: .* at least 32"):
        transform(dict(loaded, img=loaded["img"][:20]))
    with pytest.raises(InputError, match="no img_path"):
        CorruptImage("gaussian_noise", 3, seed=0)(results(path=None))
    assert CorruptImage("gaussian_noise", 3)(results(path=None))["img"].dtype == np.uint8


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(corruptions="gausian_noise"), "Did you mean 'gaussian_noise'"),
        (dict(severities=9), "integer from 0"),
        (dict(backend="opencv"), "Unknown backend"),
        (dict(corruptions="sparkles", backend="imagecorruptions"), "has no sparkles"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CorruptImage(**settings)
