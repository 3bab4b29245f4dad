"""Trees and hedges."""

from __future__ import annotations

import numpy as np

from mmseg_robust.datasets.synthetic_streets.canvas import Billboard, Canvas
from mmseg_robust.datasets.synthetic_streets.classes import VEGETATION
from mmseg_robust.datasets.synthetic_streets.colours import LEAVES, choose, vary
from mmseg_robust.datasets.synthetic_streets.textures import noise, tinted


def paint_tree(canvas: Canvas, rng: np.random.Generator, s: float, z: float, light: float) -> None:
    """A trunk under a crown of a few ragged balls of leaves; trunk and crown are vegetation.

    Args:
        canvas (Canvas): Where to paint.
        rng (np.random.Generator): Source of randomness.
        s (float): Metres right of the street's axis.
        z (float): Metres ahead.
        light (float): Factor of the colours.
    """
    board = Billboard(canvas, s, z, light=light)
    size = rng.uniform(0.7, 1.5)
    trunk = rng.uniform(1.8, 3.4) * size
    bark = vary(rng, (84, 70, 58), 22)
    board.line([(0, 0), (rng.uniform(-0.2, 0.2), trunk + size)], bark, 0.26 * size, VEGETATION)
    leaves = choose(rng, LEAVES, 20)
    for _ in range(int(rng.integers(2, 5))):
        radius = rng.uniform(1.0, 1.9) * size
        centre = board.place(
            [(rng.uniform(-1.1, 1.1) * size, trunk + radius * rng.uniform(0.6, 1.5))]
        )
        radii = radius * board.scale * np.array([1.0, rng.uniform(0.75, 1.1)])
        paint_leaves(canvas, rng, centre[0], radii, leaves, z, light)


def paint_hedge(
    canvas: Canvas, rng: np.random.Generator, s: float, start: float, length: float, light: float
) -> None:
    """A row of overlapping low balls of leaves, from far to near.

    Args:
        canvas (Canvas): Where to paint.
        rng (np.random.Generator): Source of randomness.
        s (float): Metres right of the street's axis.
        start (float): ``z`` of the near end, in metres.
        length (float): Length along the street, in metres.
        light (float): Factor of the colours.
    """
    height = rng.uniform(1.0, 2.4)
    leaves = choose(rng, LEAVES, 20)
    z = start + length
    while z > start:
        centre = canvas.camera.project(np.array([[s, height * 0.45, z]]))[0]
        radii = np.array([0.7, 0.6]) * height * rng.uniform(0.85, 1.15) * canvas.camera.focal / z
        paint_leaves(canvas, rng, centre, radii, leaves, z, light)
        z -= max(0.5 * height, 0.06 * z)


def paint_leaves(
    canvas: Canvas,
    rng: np.random.Generator,
    centre: np.ndarray,
    radii: np.ndarray,
    colour: tuple[int, int, int],
    z: float,
    light: float,
) -> None:
    """An ellipse with a ragged edge and the texture of leaves, lit from above.

    Args:
        canvas (Canvas): Where to paint.
        rng (np.random.Generator): Source of randomness.
        centre (np.ndarray): (2,) column and row.
        radii (np.ndarray): (2,) horizontal and vertical, in pixels.
        colour (tuple[int, int, int]): RGB.
        z (float): Depth in metres.
        light (float): Factor of the colour.
    """
    radii = np.clip(radii, 1.5, 220)
    window = canvas.window(np.stack([centre - 1.3 * radii, centre + 1.3 * radii]))
    if window is None:
        return
    rows, columns = window
    y = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - centre[1]) / radii[1]
    x = (np.arange(columns.start, columns.stop, dtype=np.float32)[None] - centre[0]) / radii[0]
    height, width = rows.stop - rows.start, columns.stop - columns.start
    coarse = noise(rng, height, width, max(0.5, radii[0] / 40)).astype(np.float32)
    mask = (x * x + y * y + (coarse - 128) / 160 < 1).astype(np.uint8)
    fine = noise(rng, height, width, max(0.5, radii[0] / 160)).astype(np.float32)
    tone = light * (118 - 36 * y + (coarse - 128) * 0.5 + (fine - 128) * 0.67)
    leaves = tinted(np.clip(tone, 19, 255).astype(np.uint8), colour)
    canvas.stamp(window, leaves, mask, VEGETATION, z)
