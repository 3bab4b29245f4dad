from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from mmseg_robust.datasets import CamVidDataset

CONFIG = Path(__file__).parents[2] / "configs" / "_base_" / "datasets" / "camvid.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A converted data set with as many pictures as the number of the split, 1 to 3."""
    random = np.random.default_rng(0)
    for count, split in enumerate(("train", "val", "test"), start=1):
        for folder, shape in (("images", (360, 480, 3)), ("labels", (360, 480))):
            (tmp_path / folder / split).mkdir(parents=True)
            for index in range(count):
                array = random.integers(0, 11, shape, dtype=np.uint8)
                cv2.imwrite(str(tmp_path / folder / split / f"{index}.png"), array)
    return tmp_path


def build(root: Path, loader: str):
    config = Config.fromfile(CONFIG)
    with DefaultScope.overwrite_default_scope("mmseg"):
        return DATASETS.build({**config[loader].dataset, "data_root": str(root)})


def test_eleven_classes_with_different_colours_and_void_255(root):
    dataset = build(root, "val_dataloader")
    assert isinstance(dataset, CamVidDataset)
    assert dataset.metainfo["classes"][3] == "Road"
    assert dataset.metainfo["classes"][10] == "Bicyclist"
    assert len({tuple(colour) for colour in dataset.metainfo["palette"]}) == 11
    assert dataset.metainfo["palette"][3] == [128, 64, 128]
    assert dataset.ignore_index == 255
    assert not dataset.reduce_zero_label


@pytest.mark.parametrize(("split", "count"), [("train", 1), ("val", 2), ("test", 3)])
def test_each_loader_reads_its_own_split(root, split, count):
    assert len(build(root, f"{split}_dataloader")) == count


def test_train_pipeline_gives_crops_of_at_most_320(root):
    dataset = build(root, "train_dataloader")
    np.random.seed(0)
    shapes = set()
    for _ in range(8):
        item = dataset[0]
        shapes.add(tuple(item["inputs"].shape[1:]))
        assert item["data_samples"].gt_sem_seg.data.shape[1:] == item["inputs"].shape[1:]
    assert all(max(shape) <= 320 for shape in shapes)
    assert len(shapes) > 1  # the data preprocessor pads those that the resize made smaller


def test_test_pipeline_keeps_the_image_as_it_is(root):
    item = build(root, "test_dataloader")[1]
    image = cv2.imread(str(root / "images" / "test" / "1.png"))
    np.testing.assert_array_equal(item["inputs"].numpy(), image.transpose(2, 0, 1))


def test_images_may_be_jpeg(root):
    image = np.zeros((360, 480, 3), np.uint8)
    cv2.imwrite(str(root / "images" / "val" / "0.jpg"), image)
    prefix = {"img_path": "images/val", "seg_map_path": "labels/val"}
    dataset = CamVidDataset(img_suffix=".jpg", data_root=str(root), data_prefix=prefix)
    assert len(dataset) == 1
    assert dataset.get_data_info(0)["seg_map_path"].endswith("labels/val/0.png")
