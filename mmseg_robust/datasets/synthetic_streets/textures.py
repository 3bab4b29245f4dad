"""Noise at several scales and the faces of buildings."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from mmseg_robust.datasets.synthetic_streets.colours import Colour, vary

TILE = 512


@lru_cache(maxsize=1)
def noise_tile() -> np.ndarray:
    """A periodic picture of noise with six octaves.

    It is made in integer arithmetic, so that a shape cut out of it is the same everywhere.

    Returns:
        np.ndarray: (512, 512) uint8, mean about 128, standard deviation about 45.
    """
    random = np.random.Generator(np.random.PCG64(20240607))
    total = np.zeros((TILE, TILE), np.int64)
    for step, weight in ((64, 4), (32, 4), (16, 3), (8, 3), (4, 2), (2, 2)):
        grid = random.integers(-256, 256, (TILE // step, TILE // step))
        total += weight * _stretch(_stretch(grid, step).T, step).T
    centred = total - total.mean().astype(np.int64)
    spread = max(1, int(np.abs(centred).mean()))
    return np.clip(128 + centred * 36 // spread, 0, 255).astype(np.uint8)


def _stretch(grid: np.ndarray, step: int) -> np.ndarray:
    """Interpolate linearly and periodically along the last axis, ``step`` values for one."""
    weight = np.arange(step)
    following = np.roll(grid, -1, axis=1)
    fine = grid[:, :, None] * (step - weight) + following[:, :, None] * weight
    return (fine // step).reshape(len(grid), -1)


def noise(rng: np.random.Generator, height: int, width: int, zoom: float = 1.0) -> np.ndarray:
    """A random part of the noise tile.

    Args:
        rng (np.random.Generator): Chooses the part.
        height (int): Height in pixels.
        width (int): Width in pixels.
        zoom (float): Pixels for one value of the tile; larger is coarser. Default: 1.0.

    Returns:
        np.ndarray: (height, width) uint8.
    """
    rows = min(TILE, max(2, round(height / zoom)))
    columns = min(TILE, max(2, round(width / zoom)))
    top = int(rng.integers(0, TILE - rows + 1))
    left = int(rng.integers(0, TILE - columns + 1))
    patch = noise_tile()[top : top + rows, left : left + columns]
    return cv2.resize(patch, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)


def plain_surface(
    rng: np.random.Generator, height: int, width: int, colour: Colour, contrast: float
) -> np.ndarray:
    """A wall of one colour with stains and grain.

    Args:
        rng (np.random.Generator): Source of randomness.
        height (int): Height in pixels.
        width (int): Width in pixels.
        colour (Colour): Mean colour, RGB.
        contrast (float): Strength of the noise, 0 to 1.

    Returns:
        np.ndarray: (height, width, 3) uint8, RGB.
    """
    stains = noise(rng, height, width, 4.0)
    grain = noise(rng, height, width, 1.0)
    light = cv2.addWeighted(
        stains, contrast * 0.8, grain, contrast * 0.58, 128 * (1 - 1.38 * contrast)
    )
    return tinted(light, colour)


def tinted(light: np.ndarray, colour: Colour) -> np.ndarray:
    """A colour under uneven light.

    Args:
        light (np.ndarray): (h, w) uint8; 128 leaves the colour as it is.
        colour (Colour): RGB.

    Returns:
        np.ndarray: (h, w, 3) uint8, RGB.
    """
    return cv2.merge([cv2.convertScaleAbs(light, alpha=channel / 128) for channel in colour])


def facade(
    rng: np.random.Generator, length: float, height: float, resolution: float, colour: Colour
) -> np.ndarray:
    """The face of a building: storeys of windows over a ground floor, cornices, bricks.

    Args:
        rng (np.random.Generator): Source of randomness.
        length (float): Length in metres.
        height (float): Height in metres.
        resolution (float): Pixels for a metre.
        colour (Colour): Colour of the wall, RGB.

    Returns:
        np.ndarray: (rows, columns, 3) uint8, RGB; row 0 is the top.
    """
    rows = int(np.clip(height * resolution, 12, 420))
    columns = int(np.clip(length * resolution, 12, 420))
    face = plain_surface(rng, rows, columns, colour, rng.uniform(0.2, 0.6))
    if rng.random() < 0.3:
        _lay_bricks(face, rows / height)
    storey = rng.uniform(2.8, 3.8)
    storeys = max(1, int(height / storey))
    bays = max(1, int(length / rng.uniform(1.9, 3.6)))
    _draw_windows(rng, face, storeys, bays, has_shops=rng.random() < 0.5)
    return face


def _lay_bricks(face: np.ndarray, resolution: float) -> None:
    course = max(2, round(resolution * 0.3))
    face[::course] = face[::course] // 8 * 7
    face[:, :: course * 2] = face[:, :: course * 2] // 16 * 15


def _draw_windows(
    rng: np.random.Generator, face: np.ndarray, storeys: int, bays: int, has_shops: bool
) -> None:
    rows, columns = face.shape[:2]
    tall, wide = rows / storeys, columns / bays
    window_width, window_height = rng.uniform(0.35, 0.8), rng.uniform(0.45, 0.8)
    glass = vary(rng, (52, 62, 74), 26)
    frame = vary(rng, (190, 186, 178) if rng.random() < 0.6 else (70, 62, 56), 25)
    has_cornices = rng.random() < 0.5
    for storey in range(storeys):
        top = storey * tall
        is_ground_floor = storey == storeys - 1
        share_x, share_y = window_width, window_height
        if is_ground_floor and has_shops:
            share_x, share_y = 0.85, 0.75
            _fill(face, top, 0, tall * 0.16, columns, vary(rng, (120, 110, 105), 70))
        for bay in range(bays):
            if rng.random() < 0.06:
                continue
            pane = _pane(rng, glass)
            left = (bay + 0.5 - share_x / 2) * wide
            upper = top + (0.55 - share_y / 2) * tall
            pane_height = share_y * tall
            if is_ground_floor and not has_shops and rng.random() < 0.25:
                pane_height, pane = tall, vary(rng, (84, 62, 48), 30)
            _fill(face, upper - 1, left - 1, pane_height + 2, share_x * wide + 2, frame)
            _fill(face, upper, left, pane_height, share_x * wide, pane)
            if rng.random() < 0.5:
                _fill(face, upper, left + share_x * wide / 2, pane_height, 1, frame)
            if rng.random() < 0.25:
                _fill(face, upper, left, pane_height * rng.uniform(0.2, 0.7), share_x * wide, frame)
        if has_cornices:
            _fill(face, top, 0, max(1.0, tall * 0.05), columns, frame)


def _pane(rng: np.random.Generator, glass: Colour) -> Colour:
    """Glass that shows a dark room, the sky, or a lamp."""
    kind = rng.random()
    if kind < 0.65:
        return vary(rng, glass, 18)
    return vary(rng, (148, 170, 190), 30) if kind < 0.9 else vary(rng, (205, 180, 120), 25)


def _fill(
    face: np.ndarray, top: float, left: float, height: float, width: float, colour: Colour
) -> None:
    row, column = max(0, round(top)), max(0, round(left))
    face[row : max(row + 1, round(top + height)), column : max(column + 1, round(left + width))] = (
        colour
    )
