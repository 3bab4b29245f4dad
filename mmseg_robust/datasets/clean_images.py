"""A test set image by image: the decoded pixels, and what the test pipeline makes of them."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile, TestTimeAug
from mmengine.dataset import BaseDataset, Compose, ConcatDataset
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from mmseg_robust.corruptions.checks import check_image
from mmseg_robust.corruptions.protocols import NATIVE
from mmseg_robust.errors import InputError

CELL_KEY = "robustness_cell"
"""Key of a data sample's meta information: index of its cell in ``Protocol.passes``."""

IMAGE_KEY = "robustness_image"
"""Key of a data sample's meta information: index of its image in the wrapped dataset."""


class TestImages:
    """A test set whose pipeline is split where corruptions act.

    Args:
        dataset (BaseDataset | ConcatDataset | dict): The clean test set, or its config.
        acts (str): ``Protocol.acts``: ``'native'``, right behind the image loader, or
            ``'after_crop'``, right before MMPretrain's ``PackInputs`` or test-time augmentation,
            when all resizing and cropping is done. Defaults to ``'native'``.

    Raises:
        InputError: If the dataset is empty, its pipeline does not start with an image loader that
            gives uint8, or corruptions are to act after the crop and it does not end with
            ``PackInputs``.
    """

    __test__ = False  # no test, whatever pytest thinks of the name

    def __init__(self, dataset: BaseDataset | ConcatDataset | dict, acts: str = NATIVE) -> None:
        self.dataset = _built(dataset)
        split = _behind_loader if acts == NATIVE else _before_packing
        self._heads, self.tails = zip(*(split(part) for part in self._parts))
        self._decoded: tuple[int, dict[str, Any]] | None = None

    @property
    def metainfo(self) -> dict:
        """Meta information of the wrapped dataset."""
        return self.dataset.metainfo

    @property
    def num_images(self) -> int:
        """Number of clean images."""
        return len(self.dataset)

    @property
    def _parts(self) -> list[BaseDataset]:
        """The datasets that own a pipeline."""
        if isinstance(self.dataset, ConcatDataset):
            return list(self.dataset.datasets)
        return [self.dataset]

    def paths(self) -> list[str]:
        """Files of the images, in their order."""
        return [str(self._info(image)[1]["img_path"]) for image in range(self.num_images)]

    def names(self) -> list[str]:
        """Names of the images, in their order: paths in the image folder, without the extension."""
        return [self._name(image) for image in range(self.num_images)]

    def _name(self, image: int) -> str:
        part, info = self._info(image)
        path = str(info["img_path"])
        folder = (getattr(self._parts[part], "data_prefix", None) or {}).get("img_path")
        name = os.path.relpath(path, folder) if folder else os.path.basename(path)
        return os.path.splitext(name)[0].replace(os.sep, "/")

    def _info(self, image: int) -> tuple[int, dict[str, Any]]:
        """Part of the dataset that an image belongs to, and what that knows about it."""
        part, local = 0, image
        if isinstance(self.dataset, ConcatDataset):
            part, local = self.dataset._get_ori_dataset_idx(image)
        return part, self._parts[part].get_data_info(local)

    def load(self, image: int) -> tuple[dict[str, Any], Compose]:
        """An image where corruptions act, private to the caller, and the rest of the pipeline.

        Args:
            image (int): Index of the image.

        Returns:
            tuple[dict[str, Any], Compose]: Results with ``img`` as BGR, uint8, (H, W, 3), which
            must not be written to, and the other transforms.

        Raises:
            InputError: If the pipeline gives nothing so far.
        """
        part, info = self._info(image)
        if self._decoded is None or self._decoded[0] != image:
            path, results = info.get("img_path"), self._heads[part](info)
            if results is None:
                raise InputError(f"The test pipeline gave nothing for {path!r}.")
            self._decoded = (image, results)
        loaded = self._decoded[1]
        # Later transforms append to lists in here; the pixels are replaced, never written to.
        results = copy.deepcopy({key: value for key, value in loaded.items() if key != "img"})
        results["img"] = loaded["img"]
        return results, self.tails[part]

    def packed(self, image: int, cell: int, results: dict[str, Any], tail: Compose) -> dict:
        """Sends pixels through the rest of the pipeline.

        Args:
            image (int): Index of the image.
            cell (int): Index of its cell.
            results (dict[str, Any]): Output of the loader with the pixels to send.
            tail (Compose): The rest of the pipeline.

        Returns:
            dict: What the pipeline gives, ``inputs`` and ``data_samples``, with cell and image
            index added to the samples' meta information.

        Raises:
            InputError: If the pipeline gives nothing.
        """
        item = tail(results)
        if item is None:
            raise InputError(f"The test pipeline gave nothing for {results.get('img_path')!r}.")
        samples = item["data_samples"]
        for sample in samples if isinstance(samples, (list, tuple)) else [samples]:
            sample.set_metainfo({CELL_KEY: cell, IMAGE_KEY: image})
        return item


class CleanImages(TestImages, Dataset):
    """Each image once: path, decoded pixels, and the pipeline's own item of it."""

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, image: int) -> dict[str, Any]:
        """Loads one image.

        Args:
            image (int): From 0 to ``len(self) - 1``.

        Returns:
            dict[str, Any]: ``path``, ``pixels`` (BGR, uint8, shape (3, H, W)) and ``item``, what
            the test pipeline gives.

        Raises:
            InputError: If the image cannot be corrupted.
        """
        results, tail = self.load(image)
        path, bgr = str(results["img_path"]), results["img"]
        try:
            check_image(bgr)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        results["img"] = bgr.copy()
        return {
            "path": path,
            "pixels": torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1))),
            "item": self.packed(image, 0, results, tail),
        }


def _built(dataset: BaseDataset | ConcatDataset | dict) -> BaseDataset | ConcatDataset:
    """The dataset, built, initialised and not empty."""
    try:
        dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        dataset.full_init()
        count = len(dataset)
    except ValueError as error:
        # MMEngine joins the serialised items of a dataset, and NumPy cannot join none.
        if "need at least one array to concatenate" not in str(error):
            raise
        count = 0
    if count == 0:
        raise InputError("The test dataset holds no image: check data_root and data_prefix.")
    return dataset


def _behind_loader(dataset: BaseDataset) -> tuple[Compose, Compose]:
    """The pipeline of a dataset, split behind its first transform, which must load the image."""
    transforms = getattr(getattr(dataset, "pipeline", None), "transforms", [])
    first = transforms[0] if transforms else None
    if not isinstance(first, LoadImageFromFile):
        found = type(first).__name__ if transforms else "nothing"
        raise InputError(
            "The test pipeline must start with LoadImageFromFile (or a subclass), because the "
            f"image is corrupted right after it; it starts with {found}."
        )
    if first.to_float32:
        raise InputError(
            "The test pipeline loads images as float32, corruptions need uint8: remove "
            "to_float32=True from its LoadImageFromFile."
        )
    return Compose([first]), Compose(list(transforms[1:]))


def _before_packing(dataset: BaseDataset) -> tuple[Compose, Compose]:
    """The pipeline of a dataset, split where a classifier's test images are ready."""
    loader, others = _behind_loader(dataset)
    names = [type(transform).__name__ for transform in others.transforms]
    ends = [
        place
        for place, (name, transform) in enumerate(zip(names, others.transforms))
        if name == "PackInputs" or isinstance(transform, TestTimeAug)
    ]
    if not ends:
        raise InputError(
            "The protocol corrupts a classifier's images, after resize and crop, right before "
            "MMPretrain's PackInputs, which the test pipeline does not have; it ends with "
            f"{names[-1] if names else 'its loader'}. Choose a protocol that acts at the image's "
            "own resolution, such as 'cityscapes-c'."
        )
    head = [*loader.transforms, *others.transforms[: ends[0]]]
    return Compose(head), Compose(others.transforms[ends[0] :])
