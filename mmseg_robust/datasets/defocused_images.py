"""Any folder of images, with blur levels that are made of them."""

from __future__ import annotations

import numpy as np
from mmengine.registry import DATASETS
from torch import Tensor

from mmseg_robust.augmentations.defocus_levels import MOST_RADIUS
from mmseg_robust.augmentations.linear_latent_space import TRIPLETS
from mmseg_robust.datasets.blur_levels import LEVELS, BlurLevelDataset, find_images, read_image
from mmseg_robust.errors import InputError


@DATASETS.register_module()
class DefocusedImageDataset(BlurLevelDataset):
    """Sharp images whose other levels ``BlurLevelPreprocessor`` makes on the device.

    A level is a disk of radius (1 - level / 16) * 10 pixels, see
    :mod:`mmseg_robust.augmentations.defocus_levels`. All image files below the folder are taken;
    labels beside them are not needed. Arguments are those of
    :class:`~mmseg_robust.datasets.blur_levels.BlurLevelDataset`.

    Raises:
        InputError: If there are no images, an image cannot be read or is smaller than a crop.
    """

    @property
    def margin(self) -> int:
        """The reach of the strongest blur."""
        return MOST_RADIUS

    def load_data_list(self) -> list[dict]:
        """Lists the images."""
        paths = find_images(self.folder)
        if not paths:
            raise InputError(
                f"{type(self).__name__}: there are no images in {self.folder!r}. Put some there or "
                "set data_root and data_prefix."
            )
        return self.in_part(
            [dict(path=str(p), name=str(p.relative_to(self.folder))) for p in paths]
        )

    def read(self, scene: dict) -> tuple[list[Tensor], np.ndarray]:
        """See :class:`~mmseg_robust.datasets.blur_levels.BlurLevelDataset`."""
        levels = LEVELS if self.test_mode else TRIPLETS[np.random.randint(len(TRIPLETS))]
        return [read_image(scene["path"], self.in_channels)], np.array(levels, dtype=np.float64)
