"""A test set seen through every cell of a corruption protocol, made on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, ConcatDataset
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from mmseg_robust.compat import load_imagecorruptions
from mmseg_robust.corruptions import CLEAN, Cell, get_protocol, image_seed
from mmseg_robust.corruptions.backends import get_backend
from mmseg_robust.datasets.clean_images import TestImages
from mmseg_robust.errors import InputError


@DATASETS.register_module()
class CorruptedDataset(TestImages, Dataset):
    """Each image of a dataset, clean and in every cell of a protocol.

    The image is corrupted in RGB where the protocol says: at its own resolution, right behind the
    pipeline's loader and before any resize, or after resize and crop, right before a classifier's
    ``PackInputs`` (``imagenet-c``). Then it goes through the rest of the pipeline. Labels are left
    as they are, also by corruptions that move pixels. Items are sorted by image, then by cell;
    ``len(dataset)`` is images times passes. An item depends on its index alone, so workers may be
    persistent.

    Args:
        dataset (BaseDataset | ConcatDataset | dict): The clean test set, or its config.
        protocol (str): Name of the protocol.
        seed (int): Seed of the corruptions. Defaults to 0.
        backend (str): Generator of the corruptions, see ``mmseg_robust.corruptions.BACKENDS``.
            Defaults to ``'engine'``.

    Raises:
        InputError: If the dataset is empty, its pipeline does not start with an image loader
            that gives uint8, the protocol acts after resize and crop and the pipeline is not a
            classifier's, or the backend is unknown or does not know the protocol's corruptions.

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
        self.backend = get_backend(backend)
        self.backend.check(self.protocol.corruptions)
        if backend == "imagecorruptions":
            load_imagecorruptions()  # here once, so that forked workers need not import it each
        super().__init__(dataset, self.protocol.acts)
        self.seed = seed

    def __len__(self) -> int:
        return self.num_images * len(self.protocol.passes)

    def image(self, image: int, cell: int) -> np.ndarray:
        """An image in a cell, of the size that it is corrupted at.

        Args:
            image (int): Index of the image.
            cell (int): Index of the cell in ``protocol.passes``.

        Returns:
            np.ndarray: BGR as mmcv's loaders give it, uint8, shape (H, W, 3).
        """
        results, _ = self.load(image)
        return self._corrupt(results, self.protocol.passes[cell])

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Makes one item.

        Args:
            index (int): Image times passes plus cell, from 0 to ``len(self) - 1``.

        Returns:
            dict[str, Any]: What the pipeline gives, ``inputs`` and ``data_samples``, with cell
            and image index added to the samples' meta information.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} items")
        image, cell = divmod(index, len(self.protocol.passes))
        results, tail = self.load(image)
        results["img"] = self._corrupt(results, self.protocol.passes[cell])
        return self.packed(image, cell, results, tail)

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
