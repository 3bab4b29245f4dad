"""Houses, walls and fences along the street."""

from __future__ import annotations

import numpy as np

from mmseg_robust.datasets.synthetic_streets.canvas import Canvas
from mmseg_robust.datasets.synthetic_streets.classes import BUILDING, FENCE, WALL
from mmseg_robust.datasets.synthetic_streets.colours import FACADES, METALS, Colour, choose, shade
from mmseg_robust.datasets.synthetic_streets.textures import facade, plain_surface

ROOFS: tuple[Colour, ...] = ((96, 64, 54), (74, 72, 74), (120, 82, 66), (60, 58, 62))


def paint_house(
    canvas: Canvas,
    rng: np.random.Generator,
    front: float,
    start: float,
    length: float,
    height: float,
    lights: tuple[float, float],
) -> None:
    """A house with its face to the street and its end wall to the camera.

    Args:
        canvas (Canvas): Where to paint.
        rng (np.random.Generator): Source of randomness.
        front (float): ``s`` of the face; its sign tells the side.
        start (float): ``z`` of the near end, in metres.
        length (float): Length along the street, in metres.
        height (float): Height of the face, in metres.
        lights (tuple[float, float]): Factors of light on the face and on the end wall.
    """
    colour = choose(rng, FACADES, 22)
    middle = start + length / 2
    resolution = float(np.clip(canvas.camera.focal / middle * 1.2, 2.0, 22.0))
    back = front + np.sign(front) * rng.uniform(8, 14)
    end = facade(rng, abs(back - front), height, resolution, shade(colour, lights[1]))
    near = (front, start), (back, start)
    canvas.surface(end, _upright(canvas, *near, 0, height), BUILDING, start)
    if height < 9 and rng.random() < 0.7:
        _paint_roof(canvas, choose(rng, ROOFS, 18), front, back, start, length, height)
    texture = facade(rng, length, height, resolution, shade(colour, lights[0]))
    face = (front, start), (front, start + length)
    canvas.surface(texture, _upright(canvas, *face, 0, height), BUILDING, middle)


def _paint_roof(
    canvas: Canvas,
    colour: Colour,
    front: float,
    back: float,
    start: float,
    length: float,
    height: float,
) -> None:
    ridge = (front + back) / 2, height + 2.6
    gable = np.array([[front, height, start], [*ridge, start], [back, height, start]])
    slope = np.array(
        [
            [front - np.sign(front) * 0.4, height - 0.2, start],
            [front - np.sign(front) * 0.4, height - 0.2, start + length],
            [*ridge, start + length],
            [*ridge, start],
        ]
    )
    canvas.polygon(canvas.camera.project(gable), shade(colour, 0.8), BUILDING, start)
    canvas.polygon(canvas.camera.project(slope), colour, BUILDING, start)


def paint_wall(
    canvas: Canvas, rng: np.random.Generator, s: float, start: float, length: float, light: float
) -> None:
    """A garden wall of a house's colours; ``light`` is a factor, the rest is in metres."""
    height = rng.uniform(1.3, 3.2)
    resolution = float(np.clip(canvas.camera.focal / (start + length / 2), 3, 24))
    rows, columns = (int(np.clip(v * resolution, 8, 420)) for v in (height, length))
    colour = shade(choose(rng, FACADES, 22), light * 0.9)
    texture = plain_surface(rng, rows, columns, colour, rng.uniform(0.3, 0.7))
    if rng.random() < 0.6:
        texture[:: max(2, round(resolution * 0.35))] //= 2
        texture[:, :: max(3, round(resolution * 0.7))] -= (
            texture[:, :: max(3, round(resolution * 0.7))] // 5
        )
    texture[: max(1, rows // 12)] = shade(colour, 1.2)
    corners = _upright(canvas, (s, start), (s, start + length), 0, height)
    canvas.surface(texture, corners, WALL, start + length / 2)


def paint_fence(
    canvas: Canvas, rng: np.random.Generator, s: float, start: float, length: float, light: float
) -> None:
    """Pales or a rail, with what is behind seen between them; all of it counts as fence.

    Args:
        canvas (Canvas): Where to paint.
        rng (np.random.Generator): Source of randomness.
        s (float): Metres right of the street's axis.
        start (float): ``z`` of the near end, in metres.
        length (float): Length along the street, in metres.
        light (float): Factor of the colour.
    """
    height = rng.uniform(0.9, 1.9)
    wood = rng.random() < 0.4
    colour = shade((132, 108, 84) if wood else choose(rng, METALS, 24), light)
    middle = start + length / 2
    outline = _upright(canvas, (s, start), (s, start + length), 0.05, height)
    canvas.polygon(outline, None, FENCE, middle)
    spacing, pale = (0.28, 0.2) if wood else (rng.uniform(0.25, 0.5), 0.05)
    scale = canvas.camera.focal
    places = []
    z = start
    while z < start + length:
        places.append(z)
        # Pales closer than two pixels on the image are one grey in the eye too.
        z += max(spacing, 2.2 * z * z / (scale * max(1.0, abs(s))))
    feet = canvas.camera.project(np.array([[s, 0.05, z] for z in places]))
    tops = canvas.camera.project(np.array([[s, height, z] for z in places]))
    for foot, top, z in zip(feet, tops, places):
        canvas.line(np.stack([foot, top]), colour, pale * scale * 0.5 / z)
    for level in (0.2 * height, 0.9 * height):
        rail = np.array([[s, level, start], [s, level, start + length]])
        canvas.line(canvas.camera.project(rail), colour, 0.06 * scale / middle)


def _upright(
    canvas: Canvas,
    near: tuple[float, float],
    far: tuple[float, float],
    low: float,
    high: float,
) -> np.ndarray:
    """Image corners of an upright rectangle over two places (s, z): top near, top far, ..."""
    places = [(*near, high), (*far, high), (*far, low), (*near, low)]
    return canvas.camera.project(np.array([[s, y, z] for s, z, y in places]))
