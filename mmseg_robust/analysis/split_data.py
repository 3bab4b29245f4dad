"""The images of one split of a config's data, as the test pipeline makes them, and their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.registry import DATASETS, DefaultScope
from torch import Tensor

from mmseg_robust.engine.hooks.dataset_checks import check_dataset_config, check_files, leaf_configs
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.comparison import dataset_classes

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class LabelledImage:
    """What goes into a model, and what should come out.

    Args:
        name (str): Path of the image, or its number in the data set where it has none.
        pixels (Tensor): Output of the pipeline, shape (3, H, W), in its channel order, mostly
            uint8.
        labels (Tensor): Class of each item, int64, and K for one that does not count: a
            segmentor's pixels, shape (h, w), or a classifier's image, shape (1, 1).
        sample (Any): Data sample with meta information alone.
    """

    name: str
    pixels: Tensor
    labels: Tensor
    sample: Any


class Split:
    """A split of the data that a config names, read image by image.

    Its images go through the config's test pipeline, whatever the split: nothing is drawn at
    random.

    Args:
        cfg (Config): The config.
        split (str): One of ``SPLITS``: ``train_dataloader`` and so on.

    Raises:
        InputError: If the config has no such split or no test pipeline, files are missing, or the
            data set names no classes.

    Attributes:
        classes (tuple[str, ...]): Names of the classes, K.
        task (str): ``'segmentation'`` or ``'classification'``.
    """

    def __init__(self, cfg: Config, split: str) -> None:
        if split not in SPLITS:
            raise InputError(f"The split is {split!r}; it must be one of {', '.join(SPLITS)}.")
        pipeline = next((leaf["pipeline"] for leaf in _leaves(cfg, "test")), None)
        leaves = list(_leaves(cfg, split))
        if not leaves or not pipeline:
            raise InputError(
                f"The config needs {split}_dataloader and, for the pipeline of all images, "
                "test_dataloader, both with a dataset."
            )
        with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
            for leaf in leaves:
                check_dataset_config({**leaf, "pipeline": pipeline})
            parts = [DATASETS.build({**leaf, "pipeline": pipeline}) for leaf in leaves]
        self._dataset = parts[0] if len(parts) == 1 else ConcatDataset(parts)
        self.classes = dataset_classes(self._dataset.metainfo)
        self.task = "segmentation" if _has_label_maps(parts[0]) else "classification"
        if self.task == "segmentation":
            for part in parts:
                check_files(part)

    def __len__(self) -> int:
        return len(self._dataset)

    def names(self) -> list[str]:
        """Paths of the images, in their order, or their numbers where they have none."""
        return [self._name(index) for index in range(len(self))]

    def _name(self, index: int) -> str:
        return str(self._dataset.get_data_info(index).get("img_path", index))

    def label(self, index: int) -> int:
        """Class of a classifier's image, without reading it.

        Args:
            index (int): Number of the image.

        Returns:
            int: Its class.

        Raises:
            InputError: If it has none or several.
        """
        label = self._dataset.get_data_info(index).get("gt_label")
        if label is None or torch.as_tensor(label).numel() != 1:
            raise InputError(
                f"{self._name(index)}: the label is {label!r}. Images need one class each."
            )
        return int(label)

    def __getitem__(self, index: int) -> LabelledImage:
        """Reads an image.

        Args:
            index (int): From 0 to ``len(self) - 1``.

        Returns:
            LabelledImage: The image.

        Raises:
            InputError: If the test pipeline gives several images for one, or no labels.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        item = self._dataset[index]
        sample, name = item["data_samples"], self._name(index)
        if isinstance(sample, (list, tuple)):
            raise InputError(
                "The test pipeline makes several images of one (test-time augmentation), which "
                "cannot be analysed: choose a pipeline without."
            )
        if self.task == "classification":
            labels = torch.tensor([[self.label(index)]])
        elif "gt_sem_seg" in sample:
            labels = sample.gt_sem_seg.data[0].long()
        else:
            raise InputError(
                f"{name}: the test pipeline gives no labels. Put dict(type='LoadAnnotations') into "
                "it, behind the resize."
            )
        classes = len(self.classes)
        labels = torch.where((labels >= 0) & (labels < classes), labels, classes)
        return LabelledImage(name, item["inputs"], labels, type(sample)(metainfo=sample.metainfo))


def refuse_test_images(cfg: Config, split: str, data: Split) -> None:
    """Refuses to choose anything on images that the config tests on.

    Args:
        cfg (Config): The config.
        split (str): Split that was asked for.
        data (Split): Its images.

    Raises:
        InputError: If the split is the test split, or holds images of it.
    """
    advice = "Frequencies are never chosen on test data: choose another --split."
    if split == "test":
        raise InputError(f"--split is 'test'. {advice}")
    tests = list(_leaves(cfg, "test"))
    if any(_same_data(one, other) for one in _leaves(cfg, split) for other in tests):
        raise InputError(f"The config's {split} split is also its test split. {advice}")
    try:
        with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
            tested = {
                info["img_path"]
                for leaf in tests
                for info in _infos(DATASETS.build({**leaf, "pipeline": []}))
                if "img_path" in info
            }
    except (OSError, ValueError):  # not there, or empty: then no image can be in both
        return
    shared = sorted(tested.intersection(data.names()))
    if shared:
        raise InputError(
            f"{len(shared)} images of the {split} split are also in the test split, the first is "
            f"{shared[0]!r}. {advice}"
        )


def _leaves(cfg: Config, split: str) -> Iterator[dict]:
    """Configs of a split's data sets, without what repeats or joins them."""
    loader = cfg.get(f"{split}_dataloader") or {}
    return leaf_configs(loader.get("dataset"))


def _infos(dataset: BaseDataset) -> Iterator[dict]:
    return (dataset.get_data_info(index) for index in range(len(dataset)))


def _same_data(one: dict, other: dict) -> bool:
    kept = [{k: v for k, v in leaf.items() if k != "pipeline"} for leaf in (one, other)]
    return kept[0] == kept[1]


def _has_label_maps(dataset: BaseDataset) -> bool:
    """Whether it is a segmentation data set; by name, as MMSegmentation may be absent."""
    return any(base.__name__ == "BaseSegDataset" for base in type(dataset).__mro__)
