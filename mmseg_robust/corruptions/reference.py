"""Common corruptions by the mended ``imagecorruptions`` package, reproducible image by image."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np

from mmseg_robust.corruptions.checks import check_image, check_name, check_severity
from mmseg_robust.corruptions.glass_blur_reference import glass_blur
from mmseg_robust.corruptions.names import NAMES
from mmseg_robust.corruptions.random import hash_parts


def corrupt_reference(image: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
    """Corrupts one RGB image as ``imagecorruptions`` 1.1.2 does.

    The result depends on the four arguments alone. NumPy's global random state, which the package
    draws from, is set inside and put back before the function returns or raises.

    Args:
        image (np.ndarray): RGB image, uint8, shape (H, W, 3), H and W at least 32.
        name (str): One of the 19 names in ``names.NAMES``.
        severity (int): 0 (the identity) to 5.
        seed (int): Seed of the image, see :func:`image_seed`. The corruption and the severity are
            mixed in, so that cells of one image draw different numbers.

    Returns:
        np.ndarray: A new array, RGB, uint8, shape (H, W, 3).

    Raises:
        InputError: If the name or the severity is unknown, or the image has another type, shape
            or is smaller than 32 pixels.
    """
    check_name(name, NAMES)
    check_severity(severity)
    check_image(image)
    if severity == 0:
        return image.copy()
    state = np.random.get_state()
    try:
        np.random.seed(hash_parts(seed, name, severity) & 0xFFFFFFFF)
        return _run(np.ascontiguousarray(image), name, severity)
    finally:
        np.random.set_state(state)


@lru_cache(maxsize=1)
def _imagecorruptions() -> ModuleType:
    """The mended package, looked up once a process."""
    from mmseg_robust.compat import load_imagecorruptions

    return load_imagecorruptions()


def _run(image: np.ndarray, name: str, severity: int) -> np.ndarray:
    """Applies one corruption with the random state as it stands."""
    if name == "glass_blur":
        return glass_blur(image, severity).astype(np.uint8)
    from PIL import Image

    corrupted = _imagecorruptions().corruption_dict[name](Image.fromarray(image), severity)
    values = np.asarray(corrupted)
    if values.dtype != np.uint8 and np.isnan(values).any():
        # Spatter divides by the largest drop: on tiny images there may be none, and then there is
        # nothing to add.
        return image.copy()
    return values.astype(np.uint8)
