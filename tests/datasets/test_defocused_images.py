"""Images as data for blur levels: reading, crops, wrong input."""

from __future__ import annotations

from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip
import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from small_stacks import images_cfg, write_images

from mmseg_robust.augmentations.linear_latent_space import TRIPLETS
from mmseg_robust.datasets.blur_levels import LEVELS, read_image
from mmseg_robust.errors import InputError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"))


def test_training_crops_are_parts_of_the_image_with_a_mirrored_margin(data: Path) -> None:
    dataset = DATASETS.build(images_cfg(data))
    image = read_image(str(data / "images/train/1.png"), 3)
    padded = np.pad(image.numpy(), ((0, 0), (10, 10), (10, 10)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (52, 52), axis=(1, 2))
    np.random.seed(0)
    found, triplets = [], set()
    for _ in range(30):
        sample = dataset[1]
        assert sample["inputs"].shape == (1, 2, 3, 52, 52) and sample["margin"] == 10
        triplets.add(tuple(sample["levels"]))
        for crop in sample["inputs"][0].numpy():
            for mirrored in (False, True):
                own = crop[..., ::-1] if mirrored else crop
                places = (windows == own[:, None, None]).all((0, 3, 4))
                found += [(mirrored, *place) for place in np.argwhere(places)]
    assert len(found) == 60, "each crop is a window of the padded image, once"
    assert triplets == set(TRIPLETS)
    assert {mirrored for mirrored, *_ in found} == {False, True}
    assert max(top for _, top, _ in found) == 16 and min(top for _, top, _ in found) == 0


def test_the_middle_and_the_whole_image_in_tests(data: Path) -> None:
    image = read_image(str(data / "images/val/0.png"), 3)
    middle = DATASETS.build(images_cfg(data, "val", test_mode=True))[0]
    assert torch.equal(middle["inputs"][0, 0, :, 10:-10, 10:-10], image[:, 8:40, 12:44])
    assert tuple(middle["levels"]) == LEVELS == tuple(range(0, 17, 2))
    assert middle["name"] == "0.png"
    whole = DATASETS.build(dict(images_cfg(data, "val", test_mode=True), crop_size=None))[0]
    assert torch.equal(whole["inputs"][0, 0], image) and whole["margin"] == 0


def test_reading(tmp_path: Path) -> None:
    values = np.arange(300, 300 + 64 * 40, dtype=np.uint16).reshape(64, 40)
    path = str(tmp_path / "deep.tif")
    cv2.imwrite(path, values)
    expected = np.round((values - 300.0) * 255 / (values.size - 1))
    assert np.array_equal(read_image(path, 1)[0].numpy(), expected)
    assert read_image(path, 3).shape == (3, 64, 40)
    cv2.imwrite(path, np.full((40, 40), 700, np.uint16))
    assert not read_image(path, 1).any()
    colours = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "colours.png"), colours[..., ::-1])
    read = read_image(str(tmp_path / "colours.png"), 3).permute(1, 2, 0)
    assert np.array_equal(read.numpy(), colours)
    assert read_image(str(tmp_path / "colours.png"), 1).shape == (1, 40, 48)
    cv2.imwrite(path, np.zeros((40, 40), np.float32))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    for name, message in (
        ("deep.tif", "holds float32 values"),
        ("empty.png", "it is no image"),
        ("text.png", "it is no image"),
        ("nothing.png", "No such file"),
    ):
        with pytest.raises(InputError, match=message):
            read_image(str(tmp_path / name), 1)


def test_parts_of_the_sorted_images(data: Path) -> None:
    def names(*part: float) -> list[str]:
        dataset = DATASETS.build(images_cfg(data, part=part))
        return [dataset.get_data_info(index)["name"] for index in range(len(dataset))]

    assert names(0, 0.25) + names(0.25, 1) == names(0, 1) == [f"{i}.png" for i in range(4)]


BAD = (
    (dict(crop_size=16), "crop_size is 16; it must be 32 or more"),
    (dict(crop_size=None), "or None with test_mode=True"),
    (dict(crops=0), "crops is 0"),
    (dict(in_channels=2), "in_channels is 2"),
    (dict(part=(0.5, 0.2)), "part is .0.5, 0.2."),
    (dict(part=(0.0, 0.05)), "of 4 scenes in .* is none"),
    (dict(data_prefix=dict(img_path="images/none")), "does not exist"),
    (dict(data_prefix=dict(img_path="empty")), "there are no images in"),
)


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_settings(data: Path, changes: dict, message: str) -> None:
    (data / "empty").mkdir(exist_ok=True)
    with pytest.raises(InputError, match=message):
        DATASETS.build({**images_cfg(data), **changes})


def test_images_smaller_than_a_crop(data: Path) -> None:
    with pytest.raises(InputError, match=r"'0.png' is 56x48 pixels.*at most 48 \(it is 64\)"):
        DATASETS.build({**images_cfg(data), "crop_size": 64})[0]
