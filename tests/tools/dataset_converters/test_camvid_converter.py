from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from mmseg_robust.errors import InputError

SCRIPT = Path(__file__).parents[3] / "tools" / "dataset_converters" / "camvid.py"
COUNTS = {"train": 2, "val": 1, "test": 1}


@pytest.fixture(scope="module")
def converter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("camvid_converter", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A CamVid folder as the SegNet tutorial lays it out, with four random pictures."""
    random = np.random.default_rng(0)
    root = tmp_path / "CamVid"
    for split, count in COUNTS.items():
        for folder, shape, top in ((split, (360, 480, 3), 256), (f"{split}annot", (360, 480), 12)):
            (root / folder).mkdir(parents=True)
            for index in range(count):
                array = random.integers(0, top, shape, dtype=np.uint8)
                cv2.imwrite(str(root / folder / f"{split}_{index:06}.png"), array)
    return root


def test_images_keep_their_bytes_and_void_becomes_255(converter, source, tmp_path):
    target = tmp_path / "camvid"
    converter.convert(source, target, COUNTS)
    for split, count in COUNTS.items():
        assert len(list((target / "images" / split).iterdir())) == count
        assert len(list((target / "labels" / split).iterdir())) == count
    name = "train_000001.png"
    image = (target / "images" / "train" / name).read_bytes()
    assert image == (source / "train" / name).read_bytes()
    before = cv2.imread(str(source / "trainannot" / name), cv2.IMREAD_UNCHANGED)
    after = cv2.imread(str(target / "labels" / "train" / name), cv2.IMREAD_UNCHANGED)
    assert (before == 11).any()
    np.testing.assert_array_equal(after, np.where(before == 11, 255, before))


def test_second_run_repairs_what_a_killed_one_left(converter, source, tmp_path):
    target = tmp_path / "camvid"
    converter.convert(source, target, COUNTS)
    broken = target / "labels" / "val" / "val_000000.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    converter.convert(source, target, COUNTS)
    assert broken.read_bytes() == whole
    assert not list(target.rglob("*.part"))


def test_converted_tree_loads_in_the_dataset(converter, source, tmp_path):
    from mmseg_robust.datasets import CamVidDataset

    target = tmp_path / "camvid"
    converter.convert(source, target, COUNTS)
    dataset = CamVidDataset(
        data_root=str(target),
        data_prefix={"img_path": "images/train", "seg_map_path": "labels/train"},
        pipeline=[{"type": "LoadImageFromFile"}, {"type": "mmseg.LoadAnnotations"}],
    )
    assert len(dataset) == COUNTS["train"]
    label = dataset[0]["gt_seg_map"]
    assert set(np.unique(label)) == {*range(11), 255}


def test_missing_split_folder_is_named(converter, source, tmp_path):
    (source / "valannot").rename(source / "elsewhere")
    with pytest.raises(InputError, match="valannot is not a folder"):
        converter.convert(source, tmp_path / "out", COUNTS)


def test_missing_label_is_named_before_anything_is_written(converter, source, tmp_path):
    (source / "testannot" / "test_000000.png").unlink()
    with pytest.raises(InputError, match=r"testannot/test_000000\.png is missing"):
        converter.convert(source, tmp_path / "out", COUNTS)
    assert not (tmp_path / "out").exists()


def test_missing_image_is_named(converter, source, tmp_path):
    (source / "train" / "train_000000.png").unlink()
    with pytest.raises(InputError, match=r"train/train_000000\.png is missing"):
        converter.convert(source, tmp_path / "out", COUNTS)


def test_wrong_number_of_images_is_refused(converter, source, tmp_path):
    with pytest.raises(InputError, match="holds 2 images, 367 expected"):
        converter.convert(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train/train_000001.png", np.zeros((90, 120, 3), np.uint8), "120x90 with 3"),
        ("train/train_000001.png", np.zeros((360, 480), np.uint8), "with 1 channel"),
        ("trainannot/train_000001.png", np.zeros((360, 480, 3), np.uint8), "with 3 channel"),
        ("trainannot/train_000001.png", np.full((360, 480), 12, np.uint8), "value 12"),
        ("trainannot/train_000001.png", np.zeros((360, 480), np.uint16), "8-bit PNG"),
    ],
)
def test_wrong_picture_is_named(converter, source, tmp_path, name, array, message):
    cv2.imwrite(str(source / name), array)
    with pytest.raises(InputError, match=message) as error:
        converter.convert(source, tmp_path / "out", COUNTS)
    assert name in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_unreadable_picture_is_named(converter, source, tmp_path, content):
    (source / "val" / "val_000000.png").write_bytes(content)
    with pytest.raises(InputError, match=r"val_000000\.png cannot be read"):
        converter.convert(source, tmp_path / "out", COUNTS)


def test_command_prints_one_line_and_exits_with_2(converter, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["camvid.py", str(tmp_path / "none"), str(tmp_path / "out")])
    assert converter.main() == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
