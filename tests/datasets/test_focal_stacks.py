"""Focal stacks: how files make stacks, what a sample is, wrong input."""

from __future__ import annotations

import shutil
from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip
import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS
from small_stacks import PLANES, UNIQUE, plane_of, stacks_cfg, write_stacks

from mmseg_robust.datasets.blur_levels import read_image
from mmseg_robust.errors import InputError


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stacks(tmp_path_factory.mktemp("stacks"))


def eight_bits(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) * 255 / (high - low)).astype(np.uint8)


def test_folders_as_bbbc006_has_them(stacks: Path) -> None:
    dataset = DATASETS.build(dict(stacks_cfg(stacks, test_mode=True), crop_size=None))
    assert len(dataset) == 4
    assert dataset.get_data_info(2)["name"] == "BBBC006_v1_images_z_N/a02_s1_w1"
    sample = dataset[2]
    assert tuple(sample["levels"]) == PLANES and sample["margin"] == 0
    assert sample["inputs"].shape == (4, 1, 1, 40, 48)
    for plane, image in zip(PLANES, sample["inputs"][:, 0, 0]):
        assert np.array_equal(image.numpy(), eight_bits(plane_of(2, plane)))


def test_planes_of_a_triplet_are_cropped_alike(stacks: Path) -> None:
    dataset = DATASETS.build(stacks_cfg(stacks))
    np.random.seed(0)
    seen = set()
    for _ in range(20):
        sample = dataset[1]
        seen.add(tuple(sample["levels"]))
        assert sample["inputs"].shape == (3, 2, 1, 32, 32)
        for crop in range(2):
            places = []
            for level, image in zip(sample["levels"], sample["inputs"][:, crop, 0].numpy()):
                whole = eight_bits(plane_of(1, int(level)))
                windows = np.lib.stride_tricks.sliding_window_view(whole, (32, 32))
                for own in (image, image[:, ::-1]):
                    places += [tuple(at) for at in np.argwhere((windows == own).all((2, 3)))]
            assert len(places) == 3 and len(set(places)) == 1
    assert seen == {(0, 16, 8), (0, 8, 4)}  # the planes 2, 6, 10, 12 and 14 are not there


def test_file_suffixes_and_other_planes(tmp_path: Path) -> None:
    for name in ("left", "right"):
        for plane in (20, 23, 26):
            cv2.imwrite(str(tmp_path / f"{name}_Z{plane}.png"), np.full((40, 40), plane, np.uint8))
            cv2.imwrite(str(tmp_path / f"{name}_red_z{plane}.png"), np.zeros((40, 40), np.uint8))
    dataset = DATASETS.build(stacks_cfg(tmp_path, ends=(26, 20), pattern="*t_Z*", test_mode=True))
    assert [dataset.get_data_info(i)["name"] for i in range(2)] == ["left", "right"]
    sample = dataset[0]
    assert tuple(sample["levels"]) == (0, 8, 16)
    assert sample["inputs"][:, 0, 0, 0, 0].tolist() == [26, 23, 20]


def message(root: Path, read: bool = False, **changes: object) -> str:
    with pytest.raises(InputError) as error:
        dataset = DATASETS.build(stacks_cfg(root, **changes))
        assert read
        dataset[0]
    return str(error.value)


def test_wrong_stacks(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there are no images '*'" in message(tmp_path / "empty")
    assert "does not exist" in message(tmp_path / "nowhere")
    one = write_stacks(tmp_path / "one", planes=(16,))
    assert "has the planes [16] and lacks 0: set ends" in message(one)
    assert "there are no images '*_w2*'" in message(one, pattern="*_w2*")
    two = write_stacks(tmp_path / "two", planes=(0, 16))
    assert "[0, 16] only: one half way" in message(two)
    assert "such as 8 for 0 and 16" in message(two)
    assert "two different planes" in message(two, ends=(0, 0))
    (tmp_path / "flat").mkdir()
    shutil.copy(next(one.rglob("*.tif")), tmp_path / "flat/picture.tif")
    assert "picture.tif' tells no plane of focus" in message(tmp_path / "flat")


def test_planes_of_different_sizes_and_doubles(tmp_path: Path) -> None:
    root = write_stacks(tmp_path / "stacks", 1, (0, 8, 16))
    folder = root / "BBBC006_v1_images_z_08"
    name = "a00_s1_w1" + UNIQUE.format(8) + ".tif"
    cv2.imwrite(str(folder / name), np.zeros((40, 40), np.uint16))
    text = message(root, read=True)
    assert "differ in size" in text and "is 40x40" in text and "is 48x40" in text
    cv2.imwrite(str(folder / "a00_s1_w1.tif"), np.zeros((40, 40), np.uint16))
    assert "Plane 8 of the stack 'BBBC006_v1_images_z_N/a00_s1_w1' is there twice" in message(root)


def test_grey_by_default(stacks: Path) -> None:
    assert read_image(str(next(stacks.rglob("*.tif"))), 1).shape[0] == 1
    assert DATASETS.build(stacks_cfg(stacks)).in_channels == 1
    assert DATASETS.build(stacks_cfg(stacks, in_channels=3))[0]["inputs"].shape[2] == 3
