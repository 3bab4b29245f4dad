"""Dominant frequency maps: which frequencies a model needs to tell each class, and their files.

A map is a binary mask over the centred spectrum of an image, DC at ``[h // 2, w // 2]`` (the order
of ``torch.fft.fftshift``); True is a frequency that is kept. A real image has each frequency twice,
at (u, v) and at (-u, -v), so a map must be the same at both. What the maps are for: S. Wang,
R. Veldhuis, C. Brune, N. Strisciuglio, "What do neural networks learn in image classification? A
frequency shortcut perspective", ICCV 2023, arXiv 2307.09829.

The project's own choices: the file's format, and how a map is fitted to larger images.

The file is a NumPy archive of two arrays: ``maps``, bool, (K, h, w), and ``header``, a text of JSON
with ``format``, ``version``, ``task``, ``classes``, ``found`` and ``source``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.errors import InputError
from mmseg_robust.files import read_archive, write_archive

TASKS = ("classification", "segmentation")
"""What the model does that the maps belong to."""
FORMAT = "mmseg_robust.frequency_maps"
"""First word of a file's header."""
VERSION = 1
"""Of the file's format."""
MAKER = "tools/analysis_tools/dominant_frequencies.py"
"""The command that makes such files."""
_HEADER_KEYS = ("task", "classes", "found", "source")


@dataclass(frozen=True, eq=False)
class FrequencyMaps:
    """The maps of all classes of one model.

    Args:
        maps (Tensor): bool, on the host, shape (K, h, w), centred spectra, True for kept, each
            equal at (u, v) and (-u, -v). DC may be False.
        classes (tuple[str, ...]): K names, all different.
        found (tuple[bool, ...]): K times whether the class has a map of its own. False for one that
            was skipped, because it had too few images; its map keeps everything.
        task (str): ``'classification'`` or ``'segmentation'``.
        source (dict[str, object]): Which data and model the maps come from and how they were made,
            as JSON can hold it.

    Raises:
        InputError: If a value is not as described.
    """

    maps: Tensor
    classes: tuple[str, ...]
    found: tuple[bool, ...]
    task: str
    source: dict[str, object]

    def __post_init__(self) -> None:
        maps, count = self.maps, len(self.classes)
        if maps.dtype != torch.bool or maps.ndim != 3 or 0 in maps.shape:
            raise InputError(
                f"Frequency maps must be bool of shape (K, h, w), got {maps.dtype} "
                f"{tuple(maps.shape)}."
            )
        if not len(maps) == count == len(self.found) or len(set(self.classes)) < count:
            raise InputError(
                f"{len(maps)} frequency maps need as many class names, all different, and entries "
                f"of 'found'; got {count} names, {len(set(self.classes))} of them different, and "
                f"{len(self.found)} entries."
            )
        if self.task not in TASKS:
            raise InputError(f"task is {self.task!r}; it must be one of {', '.join(TASKS)}.")
        lopsided = (maps != mirrored(maps)).flatten(1).any(1).tolist()
        if any(lopsided):
            names = [name for name, wrong in zip(self.classes, lopsided) if wrong]
            raise InputError(
                f"The frequency maps of {', '.join(names)} are not the same at (u, v) and (-u, -v),"
                " which an image's spectrum is. Centre them with fftshift, DC at [h // 2, w // 2]."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the maps."""
        return self.maps.shape[1], self.maps.shape[2]

    def save(self, path: str | Path) -> None:
        """Writes the file, whole or not at all.

        Args:
            path (str | Path): The file, with ``.npz`` at its end; its folder is made.

        Raises:
            OSError: If it cannot be written.
            TypeError: If ``source`` holds what JSON cannot.
        """
        header = {"format": FORMAT, "version": VERSION}
        header.update((key, getattr(self, key)) for key in _HEADER_KEYS)
        write_archive(path, maps=self.maps.numpy(), header=np.array(json.dumps(header)))

    @classmethod
    def load(cls, path: str | Path, classes: Sequence[str] | None = None) -> FrequencyMaps:
        """Reads and checks a file.

        Args:
            path (str | Path): The file.
            classes (Sequence[str], optional): Names that the maps' classes must have, in this
                order. Defaults to None, any.

        Returns:
            FrequencyMaps: The maps.

        Raises:
            InputError: If there is no such file, it is damaged or of another kind, a map is wrong,
                or the classes are others.
        """
        if not Path(path).is_file():
            raise InputError(f"There are no frequency maps at {str(path)!r}. {MAKER} makes them.")
        try:
            arrays = read_archive(path)
            header = json.loads(str(arrays["header"]))
            if (header["format"], header["version"]) != (FORMAT, VERSION):
                raise ValueError(f"format {header['format']!r}, version {header['version']!r}")
            parts: dict[str, Any] = {key: header[key] for key in _HEADER_KEYS}
            maps = torch.from_numpy(arrays["maps"])
        except Exception as error:  # what read_archive and a wrong header may raise has many kinds
            raise InputError(
                f"{str(path)!r} is no file of frequency maps (version {VERSION}): {error}. {MAKER} "
                "makes them."
            ) from error
        parts.update(classes=tuple(parts["classes"]), found=tuple(parts["found"]))
        try:
            loaded = cls(maps, **parts)
            if classes is not None:
                loaded.check_classes(classes)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        return loaded

    def check_count(self, count: int) -> None:
        """Refuses maps that were made for another number of classes.

        Args:
            count (int): Number of the classes in hand.

        Raises:
            InputError: If it differs.
        """
        if count != len(self.classes):
            raise InputError(
                f"The frequency maps are those of {len(self.classes)} classes, here are {count}. "
                "Use maps of a model for the same classes."
            )

    def check_classes(self, classes: Sequence[str]) -> None:
        """Refuses maps that were made for other classes.

        Args:
            classes (Sequence[str]): Names of the classes in hand, in their order.

        Raises:
            InputError: If number, names or order differ.
        """
        self.check_count(len(classes))
        for index, (own, other) in enumerate(zip(self.classes, classes)):
            if own != other:
                raise InputError(
                    f"Class {index} of the frequency maps is {own!r}, here it is {other!r}. Use "
                    "maps of a model for the same classes in the same order."
                )

    def at_size(self, height: int, width: int) -> Tensor:
        """The maps for images of another size.

        Each frequency takes the value of the nearest one of the map, in cycles a pixel, and midway
        between two that of the higher. Where that is no frequency but two (the highest of an even
        size, from an odd one), it is kept if one of them is.

        Args:
            height (int): Of the images, at least that of the maps.
            width (int): Of the images, likewise.

        Returns:
            Tensor: bool, on the host, shape (K, height, width); again the same at (u, v) and
            (-u, -v).

        Raises:
            InputError: If the images are smaller than the maps.
        """
        own_height, own_width = self.size
        if height < own_height or width < own_width:
            raise InputError(
                f"Images of {height} x {width} pixels are smaller than the frequency maps of "
                f"{own_height} x {own_width}. Use larger images, or make maps of that size or "
                "smaller."
            )
        rows, columns = _nearest(own_height, height), _nearest(own_width, width)
        maps = self.maps[:, rows][:, :, columns]
        return maps | mirrored(maps)


def _nearest(own: int, size: int) -> Tensor:
    """Place in a centred spectrum of ``own`` numbers for each of ``size`` numbers, int64."""
    frequencies = torch.arange(size, dtype=torch.float64, device="cpu") - size // 2
    wanted = frequencies * own / size
    # Opposite numbers go to opposite ones, and DC of the map reaches no further than it must.
    rounded = wanted.abs().add(0.5).floor().mul(wanted.sign())
    return rounded.to(torch.int64).add(own // 2).remainder(own)


def mirrored(maps: Tensor) -> Tensor:
    """Takes the value at (u, v) to (-u, -v).

    Args:
        maps (Tensor): Centred spectra, shape (..., h, w).

    Returns:
        Tensor: The same shape. The lowest frequency of an even size is its own opposite.
    """
    turned = maps.flip(-2, -1)
    shifts = [1 - size % 2 for size in maps.shape[-2:]]
    return turned.roll(shifts, (-2, -1)) if any(shifts) else turned


def keep_frequencies(images: Tensor, maps: Tensor) -> Tensor:
    """Filters images: ``IFFT(FFT(x) * map)``, for each channel by itself.

    Args:
        images (Tensor): float32 or float64 in any range, shape (N, C, H, W).
        maps (Tensor): bool, shape (N, H, W), or (1, H, W) for all images, on the images' device:
            centred spectra, True for kept, the same at (u, v) and (-u, -v), which is not looked at.

    Returns:
        Tensor: Of the images' type, shape (N, C, H, W). Nothing is clipped.

    Raises:
        InputError: If the shapes do not fit or a type is another one.
    """
    fits = images.ndim == 4 and maps.ndim == 3 and len(maps) in (1, len(images))
    if not fits or maps.shape[1:] != images.shape[2:]:
        raise InputError(
            f"Images of shape {tuple(images.shape)} need frequency maps of the same height and "
            f"width, one each or one for all, got {tuple(maps.shape)}."
        )
    if images.dtype not in (torch.float32, torch.float64) or maps.dtype != torch.bool:
        raise InputError(
            "Images to filter must be float32 or float64 and frequency maps bool, got "
            f"{images.dtype} and {maps.dtype}."
        )
    height, width = images.shape[2:]
    # Of a real image half of the spectrum is enough.
    half = torch.fft.ifftshift(maps, dim=(1, 2))[:, None, :, : width // 2 + 1]
    return torch.fft.irfft2(torch.fft.rfft2(images) * half, s=(height, width))
