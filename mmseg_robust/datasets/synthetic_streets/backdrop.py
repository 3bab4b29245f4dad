"""Sky, and what closes the view at the end of the street."""

from __future__ import annotations

import numpy as np

from mmseg_robust.datasets.synthetic_streets.canvas import Canvas
from mmseg_robust.datasets.synthetic_streets.classes import BUILDING, VEGETATION
from mmseg_robust.datasets.synthetic_streets.colours import FACADES, LEAVES, Colour, choose, vary
from mmseg_robust.datasets.synthetic_streets.textures import noise

SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((92, 138, 196), (196, 212, 226)),
    ((150, 160, 172), (206, 208, 210)),
    ((196, 198, 200), (222, 222, 220)),
    ((110, 122, 150), (236, 200, 160)),
    ((64, 104, 168), (170, 196, 220)),
)


def paint_sky(canvas: Canvas, rng: np.random.Generator) -> Colour:
    """Fill the canvas with a graded and clouded sky.

    Args:
        canvas (Canvas): Where to paint.
        rng (np.random.Generator): Source of randomness.

    Returns:
        Colour: The sky at the horizon, which is also the colour of haze.
    """
    top, bottom = (vary(rng, c, 14) for c in SKIES[int(rng.integers(len(SKIES)))])
    height, width = canvas.labels.shape
    mix = np.clip(np.arange(height, dtype=np.float32) / canvas.camera.horizon, 0, 1)[:, None, None]
    sky = np.asarray(top, np.float32) * (1 - mix) + np.asarray(bottom, np.float32) * mix
    wide = noise(rng, height, max(2, width // 3), 1.6)
    clouds = np.repeat(wide, 3, axis=1)[:, :width].astype(np.float32)
    clouds = np.pad(clouds, ((0, 0), (0, width - clouds.shape[1])), mode="edge")
    cover = np.clip((clouds - rng.uniform(90, 190)) / 90, 0, 1)[:, :, None] * rng.uniform(0, 0.8)
    bright = np.asarray(vary(rng, (226, 226, 224), 16), np.float32)
    canvas.image[:] = sky * (1 - cover) + bright * cover
    return bottom


def paint_skyline(canvas: Canvas, rng: np.random.Generator) -> None:
    """Far woods and houses along the horizon, so that the street does not end in the sky."""
    camera = canvas.camera
    column = -20.0
    while column < camera.width:
        z = rng.uniform(130, 260)
        size = camera.focal / z
        wide = rng.uniform(14, 45) * size
        if rng.random() < 0.55:
            _paint_wood(canvas, rng, column, wide, rng.uniform(5, 14) * size, z)
        else:
            high = rng.uniform(6, 26) * size
            corners = _box(column, camera.horizon + 2, wide, high)
            canvas.polygon(corners, choose(rng, FACADES, 20), BUILDING, z)
        column += wide * rng.uniform(0.5, 1.0)


def _paint_wood(
    canvas: Canvas, rng: np.random.Generator, left: float, wide: float, high: float, z: float
) -> None:
    steps = np.linspace(0, 1, 9)
    tops = canvas.camera.horizon - high * rng.uniform(0.6, 1.0, 9)
    crown = np.stack([left + wide * steps, tops], 1)
    base = canvas.camera.horizon + 2
    corners = np.concatenate([crown, [[left + wide, base], [left, base]]])
    canvas.polygon(corners, choose(rng, LEAVES, 16), VEGETATION, z)


def _box(left: float, base: float, wide: float, high: float) -> np.ndarray:
    right, top = left + wide, base - high
    return np.array([[left, base], [left, top], [right, top], [right, base]])
