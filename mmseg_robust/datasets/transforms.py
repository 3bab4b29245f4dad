"""Corruption as a step of a data pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from mmseg_robust.corruptions.backends import get_backend
from mmseg_robust.corruptions.choice import CellChoice
from mmseg_robust.corruptions.names import MAX_SEVERITY
from mmseg_robust.corruptions.protocols import CLEAN
from mmseg_robust.corruptions.random import image_seed
from mmseg_robust.errors import InputError

CORRUPTION_KEY = "corruption"
"""Key of the pipeline's results: the cell that the image is in, ``CLEAN`` if it was left alone."""


@TRANSFORMS.register_module()
class CorruptImage(BaseTransform):
    """Corrupts the image, in RGB; for training with random corruptions and for tests with one.

    Pipelines hold images in BGR, which corruptions are not defined on: the image is turned to RGB
    and back. Labels are left as they are, also by corruptions that move pixels. Put it right
    behind the image's loader to corrupt at the image's own resolution, and before anything that
    makes the image float.

    Required keys: ``img`` (uint8, shape (H, W, 3), BGR), and ``img_path`` if ``seed`` is given.
    Modified: ``img``. Added: ``corruption``, a :class:`Cell` (name, severity).

    Args:
        corruptions (str | Sequence[str], optional): A name, or several to draw from. Defaults to
            None, the 19 common corruptions.
        severities (int | Sequence[int]): A severity, or several to draw from. Defaults to 1 to 5.
        prob (float): Probability that an image is corrupted. Defaults to 1.
        holdout (str | Sequence[str]): Names to leave out of ``corruptions``. Defaults to none.
        seed (int, optional): With a seed, an image (its file's name) always gets the same cell
            and the same pixels, whatever the epoch, worker or rank: for validation and tests. By
            default one number an image is drawn from NumPy's global random state, as stock
            transforms do: MMEngine seeds it in each worker.
        backend (str): ``'engine'``, or ``'imagecorruptions'`` to reproduce published sets.
            Defaults to ``'engine'``.

    Raises:
        InputError: If a value is wrong; later, if an image cannot be corrupted.

    Example:
        >>> train = dict(type='CorruptImage', prob=0.5, severities=[1, 2, 3], holdout=['fog'])
        >>> test = dict(type='CorruptImage', corruptions='fog', severities=3, seed=0)
    """

    def __init__(
        self,
        corruptions: str | Sequence[str] | None = None,
        severities: int | Sequence[int] = tuple(range(1, MAX_SEVERITY + 1)),
        prob: float = 1.0,
        holdout: str | Sequence[str] = (),
        seed: int | None = None,
        backend: str = "engine",
    ) -> None:
        self.choice = CellChoice(corruptions, severities, prob, holdout)
        self.seed = seed
        self.backend = get_backend(backend)
        self.backend.check(self.choice.names)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Corrupts one image.

        Args:
            results (dict[str, Any]): What the pipeline holds so far.

        Returns:
            dict[str, Any]: The same dict; ``img`` is a new array.

        Raises:
            InputError: If the image is not as required. The message names its file.
        """
        path = results.get("img_path")
        key = self._key(path)
        cell = self.choice.draw(key)
        results[CORRUPTION_KEY] = cell
        if cell != CLEAN:
            try:
                rgb = self.backend.corrupt(results["img"][..., ::-1], *cell, key)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            results["img"] = np.ascontiguousarray(rgb[..., ::-1])
        return results

    def _key(self, path: str | None) -> int:
        """The number that cell and pixels depend on."""
        if self.seed is None:
            return int(np.random.randint(2**63 - 1, dtype=np.int64))
        if path is None:
            raise InputError(
                "CorruptImage with a seed draws by the image's file name, and the pipeline holds "
                "no img_path: load images from files, or leave out the seed."
            )
        return image_seed(self.seed, str(path))

    def __repr__(self) -> str:
        return f"CorruptImage({self.choice!r}, seed={self.seed}, backend={self.backend.name!r})"
