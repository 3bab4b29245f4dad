"""Glass blur of ``imagecorruptions``, to the bit, without its loop over pixels."""

from __future__ import annotations

import numpy as np

PARAMETERS = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
"""(sigma, largest offset in pixels, passes) for severities 1 to 5."""


def glass_blur(image: np.ndarray, severity: int) -> np.ndarray:
    """Blurs an image, displaces pixels locally at random, and blurs again.

    The original walks over the pixels of the interior in reverse raster order and assigns to each
    the value of a random near pixel. It is written as a swap, but on array views only the one
    assignment takes effect, so each pixel is written once a pass. The final value of a pixel is
    hence found by following sources back until a pixel is met that still has its old value when
    it is read. Here the sources of all pixels are followed at once, doubling the step each time.
    Output and use of NumPy's global random stream equal the original's.

    Args:
        image (np.ndarray): RGB image, uint8, shape (H, W, 3).
        severity (int): 1 to 5.

    Returns:
        np.ndarray: float64, shape (H, W, 3), range [0, 255].

    Note:
        Random numbers come from the global ``np.random`` stream, as in the original. Pixels move
        by a few places; labels are left alone, as everybody does.
    """
    from skimage.filters import gaussian

    sigma, reach, passes = PARAMETERS[severity - 1]
    blurred = np.uint8(gaussian(image / 255.0, sigma=sigma, channel_axis=-1) * 255)
    height, width = blurred.shape[:2]
    pixels = blurred.reshape(height * width, -1)
    visits = _visiting_order(height, width, reach)
    for _ in range(passes):
        offsets = np.random.randint(-reach, reach, size=(len(visits), 2))
        sources = visits + offsets[:, 1] * width + offsets[:, 0]
        pixels = pixels[_origins(visits, sources, height * width)]
    shuffled = pixels.reshape(blurred.shape)
    return np.clip(gaussian(shuffled / 255.0, sigma=sigma, channel_axis=-1), 0, 1) * 255


def _visiting_order(height: int, width: int, reach: int) -> np.ndarray:
    """Flat indices of the pixels that are written, in the order in which they are."""
    rows = np.arange(height - reach, reach, -1)
    columns = np.arange(width - reach, reach, -1)
    return (rows[:, None] * width + columns[None, :]).ravel()


def _origins(visits: np.ndarray, sources: np.ndarray, size: int) -> np.ndarray:
    """For each pixel, the flat index whose value from before the pass it holds after it.

    Args:
        visits (np.ndarray): Written pixels in order, shape (N,).
        sources (np.ndarray): The pixel that each of them copies, shape (N,).
        size (int): Number of pixels of the image.

    Returns:
        np.ndarray: int64, shape (size,).
    """
    turn = np.full(size, len(visits))
    turn[visits] = np.arange(len(visits))
    origin = np.arange(size)
    origin[visits] = sources
    # A source that is visited earlier in this pass has been overwritten when it is read, so its
    # own origin counts; one that comes later, or never, still has its old value.
    overwritten = turn[sources] < turn[visits]
    pending = visits[overwritten]
    settled = np.ones(size, dtype=bool)
    settled[pending] = False
    while pending.size:
        step = origin[pending]
        reached = settled[step]
        origin[pending] = origin[step]
        settled[pending[reached]] = True
        pending = pending[~reached]
    return origin
