"""Folders of real focal stacks, such as BBBC006."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DATASETS
from torch import Tensor

from mmseg_robust.augmentations.defocus_levels import SHARP
from mmseg_robust.augmentations.linear_latent_space import TRIPLETS
from mmseg_robust.datasets.blur_levels import LEVELS, BlurLevelDataset, find_images, read_image
from mmseg_robust.errors import InputError

# BBBC006 ends each file name with one of its own, so that planes of a stack have different names.
_UNIQUE_END = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"(.*?)(\d+)$")
_SUFFIX = re.compile(r"(.*)_z(\d+)$", re.IGNORECASE)


@DATASETS.register_module()
class FocalStackDataset(BlurLevelDataset):
    """Stacks of images of one scene at several planes of focus.

    The plane is a whole number, read from the name of the file or, where that has none, from the
    end of its folder's name::

        <root>/a01_s1_w1_z00.tif                                 a01_s1_w1_z16.tif
        <root>/BBBC006_v1_images_z_00/a01_s1_w1<unique>.tif      BBBC006_v1_images_z_16/...

    All else of the path names the stack, less a unique identifier at its end. 16-bit files are
    stretched to 8 bits plane by plane.

    Args:
        ends (Sequence[int]): Planes of level 0, the most blurred, and of level 16, the sharp one.
            Defaults to 0 and 16, those of the paper for BBBC006.
        pattern (str): Of the file names to take, such as ``'*_w1*'`` for one stain. Defaults to
            ``'*'``.
        **settings (Any): As
            :class:`~mmseg_robust.datasets.blur_levels.BlurLevelDataset`; ``in_channels`` defaults
            to 1.

    Raises:
        InputError: If there are no images, a name has no plane, a plane is there twice, or a stack
            lacks an end or all triplets; later if the planes of a stack differ in size.
    """

    def __init__(self, ends: Sequence[int] = (0, 16), pattern: str = "*", **settings: Any) -> None:
        if len(ends) != 2 or ends[0] == ends[1]:
            raise InputError(f"ends is {ends!r}; it must be two different planes.")
        self.ends = tuple(ends)
        self.pattern = pattern
        settings.setdefault("in_channels", 1)
        super().__init__(**settings)

    def load_data_list(self) -> list[dict]:
        """Lists the stacks."""
        stacks: dict[str, dict[int, str]] = {}
        for path in find_images(self.folder):
            if not fnmatch(path.name, self.pattern):
                continue
            name, plane = self._stack_of(path)
            earlier = stacks.setdefault(name, {}).setdefault(plane, str(path))
            if earlier != str(path):
                raise InputError(
                    f"Plane {plane} of the stack {name!r} is there twice: {earlier!r} and "
                    f"{str(path)!r}. Remove one, or choose files by pattern."
                )
        if not stacks:
            raise InputError(
                f"{type(self).__name__}: there are no images {self.pattern!r} in {self.folder!r}. "
                "Put the stacks there or set data_root, data_prefix and pattern."
            )
        return self.in_part([self._scene(*own) for own in sorted(stacks.items())])

    def _stack_of(self, path: Path) -> tuple[str, int]:
        """Name of the stack that a file belongs to, and its plane."""
        relative = path.relative_to(self.folder).with_suffix("")
        in_name = _SUFFIX.fullmatch(relative.name)
        if in_name:
            return str(relative.with_name(in_name[1])), int(in_name[2])
        folder = _LAST_NUMBER.fullmatch(relative.parent.name)
        if folder is None:
            raise InputError(
                f"{str(path)!r} tells no plane of focus: neither does its name end with _z and a "
                "number, nor that of its folder with a number. Rename it."
            )
        stem = _UNIQUE_END.sub("", relative.name)
        return str(relative.parent.with_name(folder[1] + "N") / stem), int(folder[2])

    def _scene(self, name: str, planes: dict[int, str]) -> dict[str, Any]:
        """What is kept of a stack: files by level, and the triplets that it has."""
        first, last = self.ends
        lacking = [plane for plane in self.ends if plane not in planes]
        if lacking:
            raise InputError(
                f"The stack {name!r} has the planes {sorted(planes)} and lacks {lacking[0]}: set "
                "ends to the most blurred and the sharp plane of all stacks."
            )
        # Multiplied first, so that whole levels come out whole.
        levels = {(plane - first) * SHARP / (last - first): path for plane, path in planes.items()}
        triplets = [own for own in TRIPLETS if all(level in levels for level in own)]
        if not triplets:
            raise InputError(
                f"The stack {name!r} has the planes {sorted(planes)} only: one half way between "
                f"two others is needed, such as {(first + last) / 2:g} for {first} and {last}."
            )
        return dict(name=name, levels=levels, triplets=triplets)

    def read(self, scene: dict) -> tuple[list[Tensor], np.ndarray]:
        """See :class:`~mmseg_robust.datasets.blur_levels.BlurLevelDataset`."""
        if self.test_mode:
            levels = tuple(level for level in LEVELS if level in scene["levels"])
        else:
            levels = scene["triplets"][np.random.randint(len(scene["triplets"]))]
        planes = [read_image(scene["levels"][level], self.in_channels) for level in levels]
        for level, plane in zip(levels, planes):
            if plane.shape != planes[0].shape:
                raise InputError(
                    f"The planes of the stack {scene['name']!r} differ in size: "
                    f"{_described(scene, levels[0], planes[0])}, "
                    f"{_described(scene, level, plane)}. They must be of one size."
                )
        return planes, np.array(levels, dtype=np.float64)


def _described(scene: dict, level: float, plane: Tensor) -> str:
    return f"{scene['levels'][level]!r} is {plane.shape[-1]}x{plane.shape[-2]}"
