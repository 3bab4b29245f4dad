"""Checks of what the engine is called with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.corruptions.names import ALL_NAMES, MAX_SEVERITY, MIN_SIDE
from mmseg_robust.errors import InputError


def check_name(name: str, known: Sequence[str] = ALL_NAMES) -> str:
    """Returns the name if it is known.

    Args:
        name (str): Name of a corruption.
        known (Sequence[str]): The known names. Defaults to the 19 and the ten of C-bar.

    Returns:
        str: The same name.

    Raises:
        InputError: If the name is unknown. The message suggests the nearest known one.
    """
    if isinstance(name, str) and name in known:
        return name
    nearest = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise InputError(f"Unknown corruption {name!r}.{hint} Known: {', '.join(known)}.")


def check_severity(severity: int) -> int:
    """Returns the severity if it is a whole number from 0 to 5.

    Args:
        severity (int): Strength of a corruption; NumPy's integers too.

    Returns:
        int: The same number.

    Raises:
        InputError: If it is no integer or out of range.
    """
    whole = isinstance(severity, Integral) and not isinstance(severity, bool)
    if not whole or not 0 <= severity <= MAX_SEVERITY:
        raise InputError(
            f"Severity must be an integer from 0 (clean) to {MAX_SEVERITY}, got {severity!r}."
        )
    return int(severity)


def check_side(height: int, width: int) -> None:
    """Refuses images that are too small.

    Args:
        height (int): In pixels.
        width (int): In pixels.

    Raises:
        InputError: If one is below ``MIN_SIDE``.
    """
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"An image to corrupt must be at least {MIN_SIDE} pixels high and wide, "
            f"got {height} x {width}."
        )


def check_image(image: np.ndarray) -> None:
    """Refuses what is not one RGB image.

    Args:
        image (np.ndarray): Should be uint8, shape (H, W, 3), H and W at least 32.

    Raises:
        InputError: If it is not.
    """
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if is_array else type(image).__name__
        raise InputError(
            f"An image to corrupt must be a uint8 array of shape (H, W, 3), got {found}."
        )
    check_side(*image.shape[:2])


def check_batch(images: Tensor) -> None:
    """Refuses what is not a batch of RGB images.

    Args:
        images (Tensor): Should be uint8, shape (N, 3, H, W), H and W at least 32.

    Raises:
        InputError: If it is not.
    """
    expected = "Images to corrupt must be a uint8 tensor of shape (N, 3, H, W), RGB, 0 to 255"
    if not isinstance(images, Tensor):
        raise InputError(f"{expected}; got {type(images).__name__}.")
    found = f"{images.dtype} {tuple(images.shape)}"
    if images.ndim != 4 or images.shape[1] != 3:
        hint = " (channels last: permute(0, 3, 1, 2))" if images.shape[-1:] == (3,) else ""
        hint = hint or (" (one image: add a batch axis)" if images.ndim == 3 else "")
        raise InputError(f"{expected}; got {found}{hint}.")
    if images.dtype != torch.uint8:
        raise InputError(f"{expected}; got {found}. Corrupt before normalising.")
    check_side(*images.shape[-2:])


def check_seeds(seeds: int | Sequence[int] | Tensor, count: int) -> tuple[int, ...]:
    """One integer an image.

    Args:
        seeds (int | Sequence[int] | Tensor): One integer for a batch of one, or a sequence or CPU
            tensor of N.
        count (int): Number of images N.

    Returns:
        tuple[int, ...]: N integers.

    Raises:
        InputError: If there are not N, one is not an integer, or they are on a device (reading
            them would make the host wait for it).
    """
    if isinstance(seeds, Tensor):
        if seeds.device.type != "cpu":
            raise InputError(
                f"Seeds must be on the host, not on {seeds.device}: pass a list of integers."
            )
        seeds = seeds.tolist()
    listed = list(seeds) if isinstance(seeds, Iterable) else [seeds]
    if len(listed) != count:
        raise InputError(
            f"Seeds must hold one integer an image: {count} images, {len(listed)} seeds."
        )
    for seed in listed:
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise InputError(f"A seed must be an integer, got {seed!r}.")
    return tuple(int(seed) for seed in listed)
