"""What data sets of blur levels have in common: reading, parts, crops."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dataset import BaseDataset
from torch import Tensor

from mmseg_robust.augmentations.linear_latent_space import TRIPLETS
from mmseg_robust.corruptions.filters import border_index
from mmseg_robust.errors import InputError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
"""Files that count as images, in small or capital letters."""
LEVELS = tuple(sorted({level for triplet in TRIPLETS for level in triplet}))
"""The nine levels that the paper's triplets are made of: 0, 2, ..., 16."""
LEAST_CROP = 32
"""Smallest side of a crop; PSNR and SSIM need room too."""


def find_images(folder: str) -> list[Path]:
    """All image files below a folder, in the order of their names.

    Args:
        folder (str): The folder.

    Returns:
        list[Path]: Their paths.

    Raises:
        InputError: If there is no such folder.
    """
    if not Path(folder).is_dir():
        raise InputError(f"The folder {folder!r} does not exist. Set data_root and data_prefix.")
    return sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)


def read_image(path: str, channels: int) -> Tensor:
    """Reads an image with 8 bits a value.

    Images with 16 bits are stretched: their smallest value becomes 0 and their largest 255, as the
    official code of arXiv 2307.15461 does it with each plane.

    Args:
        path (str): The file.
        channels (int): 1 for grey, 3 for RGB; a file with others is converted.

    Returns:
        Tensor: uint8, shape (channels, H, W).

    Raises:
        InputError: If it cannot be read or has other values than 8 or 16 bits.
    """
    colour = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    try:
        content = np.fromfile(path, dtype=np.uint8)
        image = cv2.imdecode(content, colour | cv2.IMREAD_ANYDEPTH) if content.size else None
    except OSError as error:
        raise InputError(f"The image {path!r} cannot be read: {error}.") from error
    if image is None:
        raise InputError(f"The image {path!r} cannot be read: it is no image. Replace it.")
    if image.dtype == np.uint16:
        low, high = int(image.min()), int(image.max())
        stretched = (image.astype(np.float64) - low) * 255 / max(high - low, 1)
        image = stretched.round().astype(np.uint8)
    if image.dtype != np.uint8:
        raise InputError(
            f"The image {path!r} holds {image.dtype} values: 8 or 16 bits without sign are read."
        )
    if channels == 1:
        return torch.from_numpy(image)[None]
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1)


class BlurLevelDataset(BaseDataset):
    """Scenes at several levels of blur, for ``LinearLatentAutoEncoder``.

    In training a scene gives a random triplet of levels (l, r, t), t half way, and random crops,
    half of them mirrored, in the place of the paper's ten fixed ones. Else (``test_mode``) it gives
    all levels and one crop from the middle.

    Args:
        data_root (str): Root folder. Defaults to ''.
        data_prefix (Mapping): ``img_path``, the folder of the images below it. Defaults to ''.
        in_channels (int): 1 for grey, 3 for RGB, as the model's. Defaults to 3.
        crop_size (int, optional): Side of the crops, at least 32. Defaults to 128, the paper's;
            None for whole images, in ``test_mode`` alone.
        crops (int): Crops of a scene in training. Defaults to 4.
        part (Sequence[float]): From where to where the sorted scenes are taken, 0 to 1: the
            official code tests on the first 0.2 and validates on the next 0.1. Defaults to all.
        test_mode (bool): See above. Defaults to False.
        **settings (Any): As MMEngine's ``BaseDataset``.

    Raises:
        InputError: If a value is not as described, or no images are found.
    """

    def __init__(
        self,
        data_root: str = "",
        data_prefix: Mapping[str, str] | None = None,
        in_channels: int = 3,
        crop_size: int | None = 128,
        crops: int = 4,
        part: Sequence[float] = (0.0, 1.0),
        test_mode: bool = False,
        **settings: Any,
    ) -> None:
        if in_channels not in (1, 3):
            raise InputError(f"in_channels is {in_channels!r}; it must be 1 (grey) or 3 (RGB).")
        if (crop_size is None and not test_mode) or (crop_size or LEAST_CROP) < LEAST_CROP:
            raise InputError(
                f"crop_size is {crop_size!r}; it must be {LEAST_CROP} or more, or None with "
                "test_mode=True."
            )
        if crops < 1:
            raise InputError(f"crops is {crops!r}; it must be 1 or more.")
        if len(part) != 2 or not 0 <= part[0] < part[1] <= 1:
            raise InputError(f"part is {part!r}; it must be two numbers from 0 to 1, ascending.")
        self.in_channels = in_channels
        self.crop_size = crop_size
        self.crops = crops
        self.part = tuple(part)
        super().__init__(
            data_root=data_root,
            data_prefix=dict(data_prefix or dict(img_path="")),
            test_mode=test_mode,
            **settings,
        )

    @property
    def folder(self) -> str:
        """Where the images are."""
        return self.data_prefix["img_path"]

    def in_part(self, scenes: list[dict]) -> list[dict]:
        """The scenes that ``part`` names.

        Args:
            scenes (list[dict]): All, sorted.

        Returns:
            list[dict]: At least one.

        Raises:
            InputError: If none is left.
        """
        start, stop = (round(share * len(scenes)) for share in self.part)
        if start == stop:
            raise InputError(
                f"{type(self).__name__}: part={self.part} of {len(scenes)} scenes in "
                f"{self.folder!r} is none. Take a larger part."
            )
        return scenes[start:stop]

    @abstractmethod
    def read(self, scene: dict) -> tuple[list[Tensor], np.ndarray]:
        """Reads a scene.

        Args:
            scene (dict): What is known of it.

        Returns:
            tuple: Images, uint8, (C, H, W), of one size: one a level, or the sharp one alone; and
            the levels: a triplet (l, r, t) in training, else ascending from 0 to 16.
        """

    @property
    def margin(self) -> int:
        """Pixels that a crop has on each side for what blurs it later. Defaults to 0."""
        return 0

    def prepare_data(self, idx: int) -> dict[str, Any]:
        """A scene as :class:`BlurLevelPreprocessor` takes it.

        Args:
            idx (int): Index of the scene.

        Returns:
            dict[str, Any]: ``inputs``, uint8, shape (planes, crops, C, H, W); ``levels``;
            ``margin``; ``name``.
        """
        scene = self.get_data_info(idx)
        planes, levels = self.read(scene)
        stack = torch.stack(planes)
        margin = self.margin if self.crop_size is not None else 0
        return dict(
            inputs=torch.stack(self._cropped(stack, margin, scene["name"]), dim=1),
            levels=levels,
            margin=margin,
            name=scene["name"],
        )

    def _cropped(self, stack: Tensor, margin: int, name: str) -> list[Tensor]:
        """Crops of a stack (S, C, H, W) with their margins, mirrored where the image ends."""
        if self.crop_size is None:
            return [stack]
        room = [size - self.crop_size for size in stack.shape[-2:]]
        if min(room) < 0:
            height, width = stack.shape[-2:]
            raise InputError(
                f"{name!r} is {width}x{height} pixels, less than a crop: set crop_size to at most "
                f"{min(height, width)} (it is {self.crop_size})."
            )
        if self.test_mode:
            return [self._crop(stack, room[0] // 2, room[1] // 2, margin)]
        crops = []
        for _ in range(self.crops):
            top, left, mirrored = (np.random.randint(end + 1) for end in (*room, 1))
            crop = self._crop(stack, top, left, margin)
            crops.append(crop.flip(-1) if mirrored else crop)
        return crops

    def _crop(self, stack: Tensor, top: int, left: int, margin: int) -> Tensor:
        assert self.crop_size is not None
        for axis, start in ((-2, top), (-1, left)):
            stop = start + self.crop_size + margin
            index = border_index(start - margin, stop, stack.shape[axis], "mirror", stack.device)
            stack = stack.index_select(axis, index)
        return stack
