"""Which images are read and chosen, and that test images are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import class_runs
import colour_runs
import pytest
import torch
from mmengine.config import Config

from mmseg_robust.analysis.chosen_images import LEAST_PIXELS, choose_images
from mmseg_robust.analysis.split_data import Split, refuse_test_images
from mmseg_robust.errors import InputError


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Twelve training scenes behind a wrapper, four test scenes."""
    root = tmp_path_factory.mktemp("data")
    cfg = colour_runs.config(colour_runs.write_scenes(root / "test", 4), root / "work")
    test = cfg.test_dataloader.dataset
    train = dict(test, data_root=str(colour_runs.write_scenes(root / "train", 12)), pipeline=[])
    cfg.train_dataloader = dict(dataset=dict(type="RepeatDataset", times=3, dataset=train))
    cfg.val_dataloader = dict(dataset=dict(test, pipeline=test.pipeline[:1]))
    return cfg


def nothing(done: int, total: int) -> None:
    pass


def test_training_images_go_through_the_test_pipeline(cfg: Config) -> None:
    split = Split(cfg, "train")
    assert (len(split), split.task, split.classes) == (12, "segmentation", colour_runs.CLASSES)
    image = split[3]
    assert image.name == split.names()[3] and "train" in image.name
    assert image.pixels.shape == (3, 60, 80) and image.pixels.dtype == torch.uint8
    _, label = colour_runs.scene(int(Path(image.name).stem))
    expected = torch.from_numpy(label).long().clamp(max=3)  # 255 counts as none of three
    assert torch.equal(image.labels, expected)
    assert image.sample.ori_shape == (48, 64) and "gt_sem_seg" not in image.sample
    assert len(list(split)) == 12, "it ends"


def test_choice_is_fixed_by_its_seed(cfg: Config) -> None:
    split = Split(cfg, "train")
    one, same, other = (choose_images(split, 3, seed, nothing) for seed in (0, 0, 1))
    names = [[image.name for image in chosen.images] for chosen in (one, same, other)]
    assert names[0] == names[1] != names[2]
    assert one.counts == [3, 3, 3]
    for label, places in enumerate(one.of_class):
        for place in places:
            assert (one.images[place].labels == label).sum() >= LEAST_PIXELS
    every = choose_images(split, 100, 0, nothing)
    assert len(every.images) == 12 and max(every.counts) <= 12
    with pytest.raises(InputError, match="images of each class is 0"):
        choose_images(split, 0, 0, nothing)


def test_choice_of_a_classifiers_images(tmp_path: Path) -> None:
    pytest.importorskip("mmpretrain")
    root = class_runs.write_pictures(tmp_path / "data", 11)
    split = Split(class_runs.config(root, tmp_path / "work"), "test")
    assert (split.task, split.classes) == ("classification", class_runs.CLASSES)
    chosen = choose_images(split, 3, 0, nothing)
    assert chosen.counts == [3, 3, 3] and len(chosen.images) == 9
    for label, places in enumerate(chosen.of_class):
        assert [int(chosen.images[place].labels) for place in places] == [label] * 3
    assert choose_images(split, 4, 0, nothing).counts == [4, 4, 3], "the last has but three"


def test_test_images_are_refused(cfg: Config, tmp_path: Path) -> None:
    refuse_test_images(cfg, "train", Split(cfg, "train"))
    with pytest.raises(InputError, match="--split is 'test'"):
        refuse_test_images(cfg, "test", Split(cfg, "test"))
    with pytest.raises(InputError, match="val split is also its test split"):
        refuse_test_images(cfg, "val", Split(cfg, "val"))
    shared = Config(cfg.to_dict())
    dataset: dict[str, Any] = shared.train_dataloader.dataset.dataset
    root = cfg.test_dataloader.dataset.data_root
    dataset.update(
        data_root="", data_prefix=dict(img_path=f"{root}/img", seg_map_path=f"{root}/ann")
    )
    with pytest.raises(InputError, match="4 images of the train split are also in the test split"):
        refuse_test_images(shared, "train", Split(shared, "train"))
    absent = Config(cfg.to_dict())
    absent.test_dataloader.dataset.data_root = str(tmp_path / "nowhere")
    refuse_test_images(absent, "train", Split(absent, "train"))


def test_wrong_splits(cfg: Config, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split is 'all'; it must be one of train, val, test"):
        Split(cfg, "all")
    without = Config(cfg.to_dict())
    without.train_dataloader = None
    with pytest.raises(InputError, match="needs train_dataloader and"):
        Split(without, "train")
    unlabelled = Config(cfg.to_dict())
    del unlabelled.test_dataloader.dataset.pipeline[2]
    with pytest.raises(InputError, match="gives no labels"):
        Split(unlabelled, "train")[0]
    empty = Config(cfg.to_dict())
    empty.train_dataloader.dataset.dataset.data_root = str(tmp_path)
    with pytest.raises(InputError, match="is missing"):
        Split(empty, "train")
    (colour_runs.write_scenes(tmp_path, 2) / "ann" / "1.png").unlink()
    with pytest.raises(InputError, match=r"1.png' is missing \(1 of 4 files are"):
        Split(empty, "train")
