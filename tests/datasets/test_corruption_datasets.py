"""Corrupted data sets: on the fly they are the loop's cells, stored they are the metric's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
from colour_runs import CLASSES, build, config, pipeline, scene, write_scenes
from mmengine.registry import init_default_scope
from mmseg.datasets import ADE20KDataset, CityscapesDataset
from mmseg.registry import DATASETS
from PIL import Image

import mmseg_robust
from mmseg_robust.corruptions import Cell, get_protocol, image_seed
from mmseg_robust.corruptions.backends import corrupt_array
from mmseg_robust.datasets import ADE20KCDataset, CamVidCDataset, CamVidDataset, CityscapesCDataset
from mmseg_robust.datasets.corrupted_tree import Order, Recipe, convert
from mmseg_robust.datasets.corruption_datasets import CorruptedImages
from mmseg_robust.errors import InputError

STEPS = [pipeline()[i] for i in (0, 2, 3)]
PROTOCOL = get_protocol("demo")


@DATASETS.register_module()
class ScenesC(CorruptedImages):
    """The scenes of ``colour_runs``, corrupted."""


@pytest.fixture(autouse=True)
def mmseg_scope() -> None:
    """Lets the registries find MMSegmentation's transforms, as a runner does."""
    init_default_scope("mmseg")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), count=3)


@pytest.fixture(scope="module")
def tree(root: Path) -> Path:
    """The demo protocol of the scenes, stored; by the reference, which the loop uses too."""
    out = root.with_name(f"{root.name}-c")
    recipe = Recipe(0, "imagecorruptions", None, "cpu", mmseg_robust.__version__)
    outcome = convert(Order(root / "img", out, PROTOCOL.cells, recipe, PROTOCOL), lambda text: None)
    assert outcome.failed == [] and outcome.stopped is None
    return out


def dataset(root: Path, **changes: Any) -> ScenesC:
    settings: dict[str, Any] = dict(
        data_root=str(root), img_suffix=".png", metainfo=dict(classes=CLASSES),
        data_prefix=dict(img_path="img", seg_map_path="ann"), pipeline=STEPS,
    )  # fmt: skip
    return ScenesC(**{**settings, **changes})


def test_on_the_fly(root: Path) -> None:
    made = dataset(root, corruption="gaussian_noise", severity=4, seed=2)
    assert len(made) == 3
    for index in range(3):
        image, label = scene(index)
        rgb = corrupt_array(image, "gaussian_noise", 4, image_seed(2, f"{index}.png"))
        item = made[index]
        np.testing.assert_array_equal(item["inputs"].numpy(), rgb[..., ::-1].transpose(2, 0, 1))
        np.testing.assert_array_equal(item["data_samples"].gt_sem_seg.data[0].numpy(), label)


def test_severity_0_is_the_clean_data(root: Path, tree: Path) -> None:
    for place in (None, str(tree)):
        item = dataset(root, corruption="gaussian_noise", severity=0, stored=place)[1]
        np.testing.assert_array_equal(
            item["inputs"].numpy(), scene(1)[0][..., ::-1].transpose(2, 0, 1)
        )


def test_one_stored_cell(root: Path, tree: Path) -> None:
    made = dataset(root, corruption="fog", severity=4, stored=str(tree))
    assert [made.get_data_info(index)["corruption"] for index in range(3)] == [Cell("fog", 4)] * 3
    for index in range(3):
        stored = np.asarray(Image.open(tree / "fog" / "4" / f"{index}.png"))
        item = made[index]
        np.testing.assert_array_equal(item["inputs"].numpy(), stored[..., ::-1].transpose(2, 0, 1))
        label = item["data_samples"].gt_sem_seg.data[0].numpy()
        np.testing.assert_array_equal(label, scene(index)[1])


def test_a_stored_frequency(root: Path, tmp_path: Path) -> None:
    name = "fourier[0.5,0]@0.07"
    folder = tmp_path / name / "1"
    folder.mkdir(parents=True)
    for index in range(3):
        rgb = corrupt_array(scene(index)[0], name, 1, index)
        Image.fromarray(rgb).save(folder / f"{index}.png")
    item = dataset(root, corruption=name, severity=1, stored=str(tmp_path))[1]
    expected = corrupt_array(scene(1)[0], name, 1, 1)[..., ::-1].transpose(2, 0, 1)
    np.testing.assert_array_equal(item["inputs"].numpy(), expected)


def test_a_stored_protocol_gives_the_numbers_of_the_loop(
    root: Path, tree: Path, tmp_path: Path
) -> None:
    loop_file, metric_file = tmp_path / "loop.json", tmp_path / "metric.json"
    loop = {"test_cfg.out_file": str(loop_file), "test_cfg.backend": "imagecorruptions"}
    build(config(root, tmp_path, experiment_name="loop", **loop)).test()
    changes = {
        "experiment_name": "metric",
        "test_cfg": dict(type="TestLoop", _delete_=True),
        "test_evaluator": dict(
            type="CorruptionErrorMetric", protocol="demo", root=str(tree),
            out_file=str(metric_file), _delete_=True,
        ),
        "test_dataloader.dataset.type": "ScenesC",
        "test_dataloader.dataset.stored": str(tree),
        "test_dataloader.dataset.protocol": "demo",
    }  # fmt: skip
    build(config(root, tmp_path, **changes)).test()
    one, other = (json.loads(path.read_text()) for path in (loop_file, metric_file))
    assert [dict(cell, flip_rate=None) for cell in one["cells"]] == other["cells"]
    assert one["clean"] == other["clean"]
    assert other["run"]["backend"] == "imagecorruptions"
    assert other["run"]["seed"] == 0


def test_stored_images_may_have_another_extension(root: Path, tree: Path, tmp_path: Path) -> None:
    photos = write_scenes(tmp_path / "photos", count=3)
    for path in (photos / "img").iterdir():
        path.rename(path.with_suffix(".jpg"))
    made = dataset(photos, img_suffix=".jpg", corruption="fog", severity=2, stored=str(tree))
    assert made.get_data_info(2)["img_path"] == str(tree / "fog" / "2" / "2.png")


@pytest.mark.parametrize(
    "kind, stock, image, label",
    [
        (
            CityscapesCDataset, CityscapesDataset, "town/x_leftImg8bit.png",
            "town/x_gtFine_labelTrainIds.png",
        ),
        (ADE20KCDataset, ADE20KDataset, "x.jpg", "x.png"),
        (CamVidCDataset, CamVidDataset, "x.png", "x.png"),
    ],
)  # fmt: skip
def test_the_three_data_sets(
    kind: type, stock: type, image: str, label: str, tmp_path: Path
) -> None:
    pixels = Image.fromarray(scene(0)[0])
    stored = tmp_path / "c" / "fog" / "3" / image
    for path in (tmp_path / "img" / image, stored.with_suffix(".png"), tmp_path / "ann" / label):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels.save(path)
    settings = dict(
        type=kind.__name__, data_root=str(tmp_path), pipeline=STEPS[:1],
        data_prefix=dict(img_path="img", seg_map_path="ann"), corruption="fog", severity=3,
    )  # fmt: skip
    made = DATASETS.build(dict(settings, stored=str(tmp_path / "c")))
    assert isinstance(made, stock)
    assert made.metainfo["classes"] == stock.METAINFO["classes"]
    info = made.get_data_info(0)
    assert info["img_path"] == str(stored.with_suffix(".png"))
    assert info["seg_map_path"] == str(tmp_path / "ann" / label)
    clean = stock(**{key: settings[key] for key in ("data_root", "data_prefix")})
    assert made.reduce_zero_label == clean.reduce_zero_label
    fresh = DATASETS.build(dict(settings, corruption="gaussian_noise"))
    path = clean.get_data_info(0)["img_path"]
    rgb = mmcv.imread(path)[..., ::-1]
    corrupted = corrupt_array(rgb, "gaussian_noise", 3, image_seed(0, path))
    np.testing.assert_array_equal(fresh[0]["img"], corrupted[..., ::-1])


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(), "either 'corruption' and 'severity', or 'protocol'"),
        (dict(corruption="fog"), "either 'corruption' and 'severity', or 'protocol'"),
        (dict(corruption="fog", protocol="demo"), "either 'corruption' and 'severity'"),
        (dict(corruption="fog", severity=1, protocol="demo"), "either 'corruption' and 'severity'"),
        (dict(corruption="fogg", severity=1), "Did you mean 'fog'"),
        (dict(corruption="fog", severity=6), "integer from 0"),
        (dict(protocol="demo"), "RobustnessTestLoop"),
        (dict(protocol="demos", stored="x"), "Did you mean 'demo'"),
        (dict(corruption="fog", severity=1, backend="x"), "Unknown backend"),
        (dict(corruption="fog", severity=1, pipeline=STEPS[1:]), "no LoadImageFromFile"),
    ],
)
def test_wrong_settings(root: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataset(root, **settings)


def test_missing_images_are_named(root: Path, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no folder 'snow/1'"):
        dataset(root, corruption="snow", severity=1, stored=str(tree))
    (tmp_path / "fog" / "1").mkdir(parents=True)
    Image.fromarray(scene(0)[0]).save(tmp_path / "fog" / "1" / "0.png")
    with pytest.raises(InputError, match="lacks 2 of 3 images, the first is '1'"):
        dataset(root, corruption="fog", severity=1, stored=str(tmp_path))
