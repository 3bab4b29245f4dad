"""Scenes on disk: layout, resuming, refusing wrong numbers."""

import numpy as np
import pytest
from load_tool import load_tool
from mmseg.datasets import CityscapesDataset
from PIL import Image

from mmseg_robust.datasets import CamVidDataset
from mmseg_robust.datasets.synthetic_streets import draw_scene, to_camvid
from mmseg_robust.errors import InputError

converter = load_tool("dataset_converters/synthetic_streets.py")
SIZE = (96, 64)


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_stock_dataset_reads_what_was_drawn(tmp_path):
    converter.draw(tmp_path, dict(train=3, val=2), SIZE, seed=0, workers=2)
    dataset = CityscapesDataset(
        data_root=str(tmp_path),
        data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
        pipeline=[],
    )
    assert len(dataset) == 2
    entry = dataset.get_data_info(1)
    image, label = draw_scene(1, 1, SIZE)
    assert np.array_equal(np.asarray(Image.open(entry["img_path"])), image)
    assert np.array_equal(np.asarray(Image.open(entry["seg_map_path"])), label)


def test_camvid_layout_and_classes(tmp_path):
    """Its dataset reads them; each of the 19 classes is one of the 11, void stays void."""
    converter.draw(tmp_path, dict(train=0, val=1), SIZE, seed=0, workers=1, layout="camvid")
    dataset = CamVidDataset(
        data_root=str(tmp_path),
        data_prefix=dict(img_path="images/val", seg_map_path="labels/val"),
        pipeline=[],
    )
    entry = dataset.get_data_info(0)
    image, label = draw_scene(1, 0, SIZE)
    assert np.array_equal(np.asarray(Image.open(entry["img_path"])), image)
    assert np.array_equal(np.asarray(Image.open(entry["seg_map_path"])), to_camvid(label))
    ours, theirs = CamVidDataset.METAINFO["classes"], CityscapesDataset.METAINFO["classes"]
    ids = to_camvid(np.arange(256, dtype=np.uint8))
    named = {name: ours[ids[index]] for index, name in enumerate(theirs)}
    assert named["road"] == "Road" and named["sidewalk"] == "Pavement" and named["bus"] == "Car"
    assert named["vegetation"] == "Tree" and named["rider"] == "Bicyclist"
    assert named["person"] == "Pedestrian" and named["traffic sign"] == "SignSymbol"
    assert named["sky"] == "Sky" and named["pole"] == "Pole" and named["fence"] == "Fence"
    assert named["wall"] == "Building"
    assert set(named.values()) == set(ours)
    assert (ids[19:] == 255).all()


def test_goes_on_and_does_not_depend_on_workers(tmp_path):
    converter.draw(tmp_path / "a", dict(train=2, val=1), SIZE, seed=0, workers=2)
    converter.draw(tmp_path / "b", dict(train=1, val=0), SIZE, seed=0, workers=1)
    first = next((tmp_path / "b").rglob("*_leftImg8bit.png"))
    written = first.stat().st_mtime_ns
    converter.draw(tmp_path / "b", dict(train=2, val=1), SIZE, seed=0, workers=1)
    assert first.stat().st_mtime_ns == written
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert len(files(tmp_path / "a")) == 6


def test_splits_and_seeds_share_no_scene(tmp_path):
    converter.draw(tmp_path / "a", dict(train=1, val=1), SIZE, seed=0, workers=1)
    converter.draw(tmp_path / "b", dict(train=1, val=1), SIZE, seed=1, workers=1)
    images = [p.read_bytes() for p in tmp_path.rglob("*_leftImg8bit.png")]
    assert len(set(images)) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(workers=0), "--workers must be 1 or more"),
        (dict(counts=dict(train=-1, val=0)), "0 or more"),
        (dict(seed=-1), "seed"),
        (dict(size=(32, 32)), "too small"),
    ],
)
def test_wrong_numbers(tmp_path, changes, message):
    arguments = dict(counts=dict(train=1, val=1), size=SIZE, seed=0, workers=1)
    with pytest.raises(InputError, match=message):
        converter.draw(tmp_path / "out", **dict(arguments, **changes))
    assert not (tmp_path / "out").exists()


def test_command_line(tmp_path, monkeypatch, capsys):
    arguments = ["x", "--out", str(tmp_path), "--train", "1", "--val", "0", "--size", "96x64"]
    monkeypatch.setattr("sys.argv", arguments)
    assert converter.main() == 0
    assert "1 training and 0 validation scenes" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*arguments, "--seed", "-3"])
    assert converter.main() == 2
    assert "error: seed" in capsys.readouterr().err
