"""Frost textures: the picture files of the installed ``imagecorruptions`` package.

The package is found, not imported: importing it fails on today's NumPy and setuptools.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_robust.corruptions.transfer import to_device
from mmseg_robust.errors import InputError

TEXTURES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
"""The textures that can be drawn. The package's sixth never is: its range of random indices ends
one too early."""
MARGIN = 1.1
"""How much larger than needed a texture is made before it is cropped."""


def texture_path(index: int) -> Path:
    """Where a texture lies.

    Args:
        index (int): Place in ``TEXTURES``.

    Returns:
        Path: An existing file.

    Raises:
        InputError: If ``imagecorruptions`` or the file is missing.
    """
    spec = find_spec("imagecorruptions")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    path = Path(folders[0] if folders else "imagecorruptions", "frost", TEXTURES[index])
    if not path.is_file():
        raise InputError(
            f"Frost needs the texture {path}, which comes with the package imagecorruptions: "
            f"pip install imagecorruptions --no-deps"
        )
    return path


def scaled_size(index: int, height: int, width: int) -> tuple[int, int]:
    """Height and width to which a texture is scaled for an image.

    ``1.1`` times the least scale, not below 1, that covers the image; rounded up.

    Args:
        index (int): Place in ``TEXTURES``.
        height (int): Of the image.
        width (int): Of the image.

    Returns:
        tuple[int, int]: Both larger than the image's.

    Raises:
        InputError: If the texture is missing.
    """
    rows, columns = texture(index).shape[-2:]
    scale = max(1, height / rows, width / columns) * MARGIN
    return math.ceil(rows * scale), math.ceil(columns * scale)


@lru_cache(maxsize=len(TEXTURES))
def texture(index: int) -> Tensor:
    """A texture as it is stored, read once a process.

    Args:
        index (int): Place in ``TEXTURES``.

    Returns:
        Tensor: RGB, uint8, shape (3, h, w), on the host. Not to be changed.

    Raises:
        InputError: If it or Pillow is missing.
    """
    path = texture_path(index)
    if find_spec("PIL") is None:
        raise InputError("Frost's textures are read with Pillow: pip install pillow")
    from PIL import Image

    with Image.open(path) as file:
        pixels = np.array(file.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def scaled_texture(index: int, height: int, width: int, device: torch.device) -> Tensor:
    """A texture scaled for an image, kept for the next image of that size.

    As OpenCV's cubic interpolation: a = -0.75, centres of pixels at halves, edge pixels repeated,
    rounded and clipped. OpenCV weighs in fixed point, so at most one value in 1,000 is a grey
    level off.

    Args:
        index (int): Place in ``TEXTURES``.
        height (int): Of the image.
        width (int): Of the image.
        device (torch.device): Of the result.

    Returns:
        Tensor: RGB, uint8, shape (3, *scaled_size(index, height, width)). Not to be changed.

    Raises:
        InputError: If the texture is missing.
    """
    stream = torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0
    return _scaled(index, scaled_size(index, height, width), device, stream)


@lru_cache(maxsize=2 * len(TEXTURES))
def _scaled(index: int, size: tuple[int, int], device: torch.device, stream: int) -> Tensor:
    """One copy a stream: another stream could read it before it is there, or after its end."""
    pixels = to_device(texture(index)[None], device, torch.uint8).to(torch.float32)
    scaled = F.interpolate(pixels, size=size, mode="bicubic", align_corners=False)
    return scaled.round_().clamp_(0, 255).to(torch.uint8)[0]
