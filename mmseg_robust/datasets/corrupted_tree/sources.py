"""The images that a tree is made of."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from mmseg_robust.corruptions.checks import check_side
from mmseg_robust.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm", ".webp")
"""Extensions of image files, in lower case."""


class Source(NamedTuple):
    """An image to corrupt.

    Args:
        name (str): Path under the folder of the images, with slashes.
        height (int): In pixels, as the file's header says.
        width (int): In pixels.
    """

    name: str
    height: int
    width: int


def list_sources(folder: Path) -> tuple[list[Source], list[str]]:
    """Finds the images under a folder, links to folders included.

    Args:
        folder (Path): The folder.

    Returns:
        tuple[list[Source], list[str]]: The images by name, and a message for each whose header
        cannot be read.

    Raises:
        InputError: If it is no folder, holds no image, or two that differ in extension alone.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder of images {str(folder)!r}.")
    names = sorted(
        (Path(parent) / file).relative_to(folder).as_posix()
        for parent, _, files in os.walk(folder, followlinks=True)
        for file in files
        if Path(file).suffix.lower() in SUFFIXES
    )
    if not names:
        raise InputError(f"{str(folder)!r} holds no image ({', '.join(SUFFIXES)}).")
    by_stem: dict[str, str] = {}
    for name in names:
        twin = by_stem.setdefault(os.path.splitext(name)[0], name)
        if twin != name:
            raise InputError(
                f"{twin!r} and {name!r} in {str(folder)!r} differ in extension alone: their "
                "corrupted copies would have the same name."
            )
    sources, unreadable = [], []
    for name in names:
        try:
            with Image.open(folder / name) as image:
                sources.append(Source(name, image.height, image.width))
        except OSError as error:
            unreadable.append(_unreadable(folder / name, error))
    return sources, unreadable


def read_image(path: Path) -> np.ndarray:
    """Reads an image as the data pipelines do, but a damaged one is an error.

    Args:
        path (Path): The file.

    Returns:
        np.ndarray: BGR, uint8, shape (H, W, 3).

    Raises:
        InputError: If it cannot be read, is not whole or too small to corrupt.
    """
    try:
        data = path.read_bytes()
        # OpenCV 4 fills what is missing of a truncated JPEG and returns it; Pillow and 5 refuse.
        with Image.open(io.BytesIO(data)) as image:
            image.load()
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, SyntaxError, ValueError, cv2.error) as error:
        raise InputError(_unreadable(path, error)) from error
    if decoded is None:
        raise InputError(_unreadable(path, "not an image that OpenCV knows"))
    try:
        check_side(*decoded.shape[:2])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return decoded


def _unreadable(path: Path, reason: object) -> str:
    return f"{path} cannot be read: {reason}"
