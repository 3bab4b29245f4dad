"""The dataset of all cells: what the model sees, and that nothing leaks between items."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colour_runs import CLASSES, pipeline, scene, write_scenes
from mmengine.dataset import ConcatDataset, pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from torch.utils.data import DataLoader

from mmseg_robust.corruptions import corrupt_reference, get_protocol, image_seed
from mmseg_robust.corruptions.backends import corrupt_array
from mmseg_robust.datasets.clean_images import CELL_KEY, IMAGE_KEY
from mmseg_robust.datasets.corrupted import CorruptedDataset
from mmseg_robust.errors import InputError

NO_RESIZE = [pipeline()[i] for i in (0, 2, 3)]
PASSES = get_protocol("demo").passes


@pytest.fixture(autouse=True)
def mmseg_scope() -> None:
    """Lets the registries find MMSegmentation's transforms, as a runner does."""
    init_default_scope("mmseg")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), count=3, height=37, width=51)


def clean(root: Path, transforms: list[dict] | None = None, **changes: Any) -> BaseSegDataset:
    return BaseSegDataset(
        data_root=str(root),
        img_suffix=".png",
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(img_path="img", seg_map_path="ann"),
        pipeline=NO_RESIZE if transforms is None else transforms,
        **changes,
    )


def position(dataset: CorruptedDataset, image: int, cell: int) -> int:
    """Index of the item of an image and a cell."""
    return image * len(dataset.protocol.passes) + cell


def test_items_are_images_by_cells(root: Path) -> None:
    dataset = CorruptedDataset(clean(root), "demo")
    assert len(dataset) == 3 * 13
    assert dataset.num_images == 3
    assert dataset.metainfo["classes"] == CLASSES
    origins = []
    for index in range(len(dataset)):
        info = dataset[index]["data_samples"].metainfo
        origins.append((info[IMAGE_KEY], info[CELL_KEY]))
    assert origins == [(image, cell) for image in range(3) for cell in range(13)]


def test_the_model_sees_rgb_corruptions_in_bgr(root: Path) -> None:
    dataset = CorruptedDataset(clean(root), "demo", seed=4)
    for index in range(len(dataset)):
        item = dataset[index]
        sample = item["data_samples"]
        image, cell = divmod(index, len(PASSES))
        assert (sample.metainfo[IMAGE_KEY], sample.metainfo[CELL_KEY]) == (image, cell)
        rgb, label = scene(image, height=37, width=51)
        if PASSES[cell].severity:
            rgb = corrupt_array(rgb, *PASSES[cell], image_seed(4, sample.img_path))
        np.testing.assert_array_equal(item["inputs"].numpy(), rgb[..., ::-1].transpose(2, 0, 1))
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), label)


def test_the_reference_is_the_other_backend(root: Path) -> None:
    ours = CorruptedDataset(clean(root), "demo", seed=4)
    theirs = CorruptedDataset(clean(root), "demo", seed=4, backend="imagecorruptions")
    for cell in (3, 12):
        rgb, _ = scene(1, height=37, width=51)
        expected = corrupt_reference(rgb, *PASSES[cell], image_seed(4, "1.png"))
        np.testing.assert_array_equal(theirs.image(1, cell), expected[..., ::-1])
        assert not np.array_equal(theirs.image(1, cell), ours.image(1, cell))
    with pytest.raises(InputError, match=r"has no blue_noise_sample.*choose backend='engine'"):
        CorruptedDataset(clean(root), "cbar", backend="imagecorruptions")


def test_corruption_comes_before_resize(root: Path) -> None:
    resized = CorruptedDataset(clean(root, pipeline()), "demo")
    native = CorruptedDataset(clean(root), "demo")
    index = position(native, 1, 5)
    image = native[index]["inputs"].numpy().transpose(1, 2, 0)
    resize = resized.dataset.pipeline.transforms[1]
    expected = resize({"img": image})["img"].transpose(2, 0, 1)
    np.testing.assert_array_equal(resized[index]["inputs"].numpy(), expected)
    assert resized[index]["data_samples"].ori_shape == (37, 51)


def test_an_item_depends_on_its_index_alone(root: Path) -> None:
    dataset = CorruptedDataset(clean(root), "demo")
    order = np.random.default_rng(0).permutation(len(dataset)).tolist()
    shuffled = {index: dataset[index]["inputs"] for index in order}
    for index in range(0, len(dataset), 6):
        fresh = CorruptedDataset(clean(root), "demo")[index]
        assert torch.equal(shuffled[index], fresh["inputs"])


def test_transforms_that_write_into_the_image_harm_no_other_cell(root: Path) -> None:
    class Blacken:
        def __call__(self, results: dict) -> dict:
            results["img"][:] = 0
            results["seg_fields"].append("extra")
            return results

    dataset = CorruptedDataset(clean(root, [NO_RESIZE[0], Blacken(), *NO_RESIZE[1:]]), "demo")
    for _ in range(2):
        assert dataset[0]["inputs"].max() == 0
    untouched, _ = dataset.load(0)
    assert untouched["img"].max() > 0
    assert untouched["seg_fields"] == []


def test_persistent_workers_give_the_same_in_every_pass(root: Path) -> None:
    dataset = CorruptedDataset(clean(root), "demo")
    loader = DataLoader(
        dataset, batch_size=4, num_workers=1, persistent_workers=True, collate_fn=pseudo_collate
    )
    expected = [dataset[index]["inputs"] for index in range(len(dataset))]
    for _ in range(2):
        images = [image for batch in loader for image in batch["inputs"]]
        assert all(torch.equal(*pair) for pair in zip(images, expected))
        assert len(images) == len(expected)


def test_concatenated_datasets(root: Path) -> None:
    both = ConcatDataset([clean(root), clean(root, pipeline())])
    dataset = CorruptedDataset(both, "demo")
    assert dataset.num_images == 6
    item = dataset[position(dataset, 4, 3)]
    single = CorruptedDataset(clean(root, pipeline()), "demo")
    assert torch.equal(item["inputs"], single[position(single, 1, 3)]["inputs"])


def test_it_can_be_sent_to_a_spawned_worker(root: Path) -> None:
    dataset = CorruptedDataset(clean(root), "demo")
    copied = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copied[7]["inputs"], dataset[7]["inputs"])


def test_indices_out_of_range(root: Path) -> None:
    dataset = CorruptedDataset(clean(root), "demo")
    for index in (-1, len(dataset)):
        with pytest.raises(IndexError):
            dataset[index]


@pytest.mark.parametrize(
    "transforms, message",
    [
        (pipeline()[1:], "starts with Resize"),
        ([], "starts with nothing"),
        ([dict(type="LoadImageFromFile", to_float32=True), *NO_RESIZE[1:]], "float32"),
    ],
)
def test_bad_pipelines_are_refused(root: Path, transforms: list[dict], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CorruptedDataset(clean(root, transforms), "demo")


def test_grey_images_are_refused_by_name(root: Path) -> None:
    grey = [dict(type="LoadImageFromFile", color_type="grayscale"), *NO_RESIZE[1:]]
    dataset = CorruptedDataset(clean(root, grey), "demo")
    with pytest.raises(InputError, match=r"0\.png: An image to corrupt must be a uint8 array"):
        dataset[1]


def test_protocols_after_crop_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match="after resize and crop"):
        CorruptedDataset(clean(root), "imagenet-c")
