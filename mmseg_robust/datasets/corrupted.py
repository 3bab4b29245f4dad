"""A test set seen through every cell of a corruption protocol, made on the fly."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset, Compose, ConcatDataset
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from mmseg_robust.compat import load_imagecorruptions
from mmseg_robust.corruptions import CLEAN, Cell, get_protocol, image_seed
from mmseg_robust.corruptions.backends import get_backend
from mmseg_robust.corruptions.protocols import NATIVE
from mmseg_robust.errors import InputError

CELL_KEY = "robustness_cell"
"""Key of a data sample's meta information: index of its cell in ``Protocol.passes``."""

IMAGE_KEY = "robustness_image"
"""Key of a data sample's meta information: index of its image in the wrapped dataset."""


@DATASETS.register_module()
class CorruptedDataset(Dataset):
    """Each image of a dataset, clean and in every cell of a protocol.

    The image is read by the pipeline's own loader, corrupted at its own resolution in RGB, and
    sent through the rest of the pipeline, so corruption comes before any resize. Labels are left
    as they are, also by corruptions that move pixels. Items are sorted by image, ``len(dataset)``
    is images times passes. An item depends on its index alone, so workers may be persistent.

    Args:
        dataset (BaseDataset | ConcatDataset | dict): The clean test set, or its config.
        protocol (str): Name of the protocol.
        seed (int): Seed of the corruptions. Defaults to 0.
        backend (str): Generator of the corruptions, see ``mmseg_robust.corruptions.BACKENDS``.
            Defaults to ``'engine'``.

    Raises:
        InputError: If the dataset is empty, its pipeline does not start with an image loader
            that gives uint8, the protocol does not act at the image's own resolution, or the
            backend is unknown or does not know the protocol's corruptions.

    Example:
        >>> dataset = dict(type='CorruptedDataset', protocol='cityscapes-c',
        ...                dataset=dict(type='CityscapesDataset', ...))
    """

    def __init__(
        self,
        dataset: BaseDataset | ConcatDataset | dict,
        protocol: str,
        seed: int = 0,
        backend: str = "engine",
    ) -> None:
        self.protocol = get_protocol(protocol)
        if self.protocol.acts != NATIVE:
            raise InputError(
                f"Protocol {protocol!r} corrupts after resize and crop, which CorruptedDataset "
                "cannot do: it corrupts at the image's own resolution. Choose a segmentation "
                "protocol such as 'cityscapes-c'."
            )
        self.backend = get_backend(backend)
        self.backend.check(self.protocol.corruptions)
        if backend == "imagecorruptions":
            load_imagecorruptions()  # here once, so that forked workers need not import it each
        self.dataset = _built(dataset)
        self.seed = seed
        self._tails = [_after_loader(part) for part in self._parts]
        self._decoded: tuple[int, dict[str, Any]] | None = None

    @property
    def metainfo(self) -> dict:
        """Meta information of the wrapped dataset."""
        return self.dataset.metainfo

    @property
    def num_images(self) -> int:
        """Number of clean images."""
        return len(self.dataset)

    def __len__(self) -> int:
        return self.num_images * len(self.protocol.passes)

    def cell_of(self, index: int) -> tuple[int, int]:
        """Image and cell of an item.

        The order of the cells is rotated by the image's index. With a fixed order, whenever the
        numbers of cells and of workers (or ranks) share a factor, a worker would meet the same
        cells for every image, and the one with the slow corruptions would hold up the others.

        Args:
            index (int): Index of the item.

        Returns:
            tuple[int, int]: Index of the image and of the cell in ``protocol.passes``.
        """
        image, step = divmod(index, len(self.protocol.passes))
        return image, (step + image) % len(self.protocol.passes)

    def image(self, image: int, cell: int) -> np.ndarray:
        """An image in a cell, at its own resolution.

        Args:
            image (int): Index of the image.
            cell (int): Index of the cell in ``protocol.passes``.

        Returns:
            np.ndarray: BGR as the pipeline's loader gives it, uint8, shape (H, W, 3).
        """
        results, _ = self._load(image)
        return self._corrupt(results, self.protocol.passes[cell])

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Makes one item.

        Args:
            index (int): From 0 to ``len(self) - 1``.

        Returns:
            dict[str, Any]: What the pipeline gives, ``inputs`` and ``data_samples``, with cell
            and image index added to the samples' meta information.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} items")
        image, cell = self.cell_of(index)
        results, tail = self._load(image)
        results["img"] = self._corrupt(results, self.protocol.passes[cell])
        item = tail(results)
        if item is None:
            raise InputError(f"The test pipeline gave nothing for {results.get('img_path')!r}.")
        samples = item["data_samples"]
        for sample in samples if isinstance(samples, (list, tuple)) else [samples]:
            sample.set_metainfo({CELL_KEY: cell, IMAGE_KEY: image})
        return item

    @property
    def _parts(self) -> list[BaseDataset]:
        """The datasets that own a pipeline."""
        if isinstance(self.dataset, ConcatDataset):
            return list(self.dataset.datasets)
        return [self.dataset]

    def _load(self, image: int) -> tuple[dict[str, Any], Compose]:
        """Output of the pipeline's loader, private to the caller, and the rest of the pipeline."""
        part, local = 0, image
        if isinstance(self.dataset, ConcatDataset):
            part, local = self.dataset._get_ori_dataset_idx(image)
        if self._decoded is None or self._decoded[0] != image:
            owner = self._parts[part]
            loaded = owner.pipeline.transforms[0](owner.get_data_info(local))
            self._decoded = (image, loaded)
        loaded = self._decoded[1]
        # Later transforms append to lists in here; the pixels are replaced, never written to.
        results = copy.deepcopy({key: value for key, value in loaded.items() if key != "img"})
        results["img"] = loaded["img"]
        return results, self._tails[part]

    def _corrupt(self, results: dict[str, Any], cell: Cell) -> np.ndarray:
        """The image in a cell, in the channel order it was loaded in."""
        bgr = results["img"]
        if cell == CLEAN:
            return bgr.copy()
        name = str(results["img_path"])
        try:
            # mmcv's loaders give BGR whatever the backend; the corruptions are defined on RGB.
            rgb = self.backend.corrupt(
                bgr[..., ::-1], cell.corruption, cell.severity, image_seed(self.seed, name)
            )
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        return np.ascontiguousarray(rgb[..., ::-1])


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


def _after_loader(dataset: BaseDataset) -> Compose:
    """The pipeline of a dataset without its first transform, which must load the image."""
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
    return Compose(list(transforms[1:]))
