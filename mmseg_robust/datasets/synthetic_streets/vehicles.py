"""Cars, vans, trucks, buses and trams."""

from __future__ import annotations

import numpy as np

from mmseg_robust.datasets.synthetic_streets.canvas import Canvas
from mmseg_robust.datasets.synthetic_streets.classes import BUS, CAR, TRAIN, TRUCK
from mmseg_robust.datasets.synthetic_streets.colours import (
    LIVERIES,
    PAINTS,
    Colour,
    choose,
    shade,
    vary,
)
from mmseg_robust.datasets.synthetic_streets.solids import Body, Pose

TYRE: Colour = (28, 28, 30)
# Side outlines of cars as shares of length and of height, from the low rear end to the low front
# end; the letters are the faces between the points: body, glass.
CARS: tuple[tuple[str, tuple[tuple[float, float], ...]], ...] = (
    ('bbbgbgbbb', ((0, .2), (0, .56), (.03, .64), (.17, .68), (.3, .97), (.55, 1), (.72, .68),
                   (.97, .56), (1, .42), (1, .2))),
    ('bgbgbbb', ((0, .2), (0, .6), (.1, .97), (.5, 1), (.68, .66), (.97, .55), (1, .4), (1, .2))),
    ('bgbgbbb', ((0, .2), (0, .62), (.04, .98), (.6, 1), (.74, .66), (.97, .58), (1, .42),
                 (1, .2))),
    ('bgbgbbb', ((0, .2), (0, .6), (.02, .99), (.72, 1), (.86, .6), (.98, .5), (1, .4), (1, .2))),
)  # fmt: skip


def paint_car(canvas: Canvas, rng: np.random.Generator, pose: Pose, sun: int, light: float) -> None:
    """A saloon, hatchback, estate car or van in a common paint.

    Args:
        canvas (Canvas): Where to paint.
        rng (np.random.Generator): Source of randomness.
        pose (Pose): Where it stands.
        sun (int): -1, 0 or 1: the side of the sun.
        light (float): Factor of the colours.
    """
    kind = int(rng.choice(4, p=[0.35, 0.3, 0.2, 0.15]))
    materials, shares = CARS[kind]
    length, height = rng.uniform(3.9, 4.8), rng.uniform(1.4, 1.58)
    if kind == 3:
        length, height = rng.uniform(4.6, 5.6), rng.uniform(1.85, 2.3)
    half = rng.uniform(0.84, 0.95)
    paint = shade(choose(rng, PAINTS, 14), light)
    glass = shade(vary(rng, (46, 54, 62), 14), light)
    outline = np.array(shares) * (length, height) - (length / 2, 0)
    belt = 0.66 * height
    widths = np.where(outline[:, 1] > belt + 0.05, 0.84 * half, half)
    body = Body(canvas, pose, CAR, sun)
    body.cast_shadow(length, 2 * half)
    body.extrude(outline, widths, [glass if m == "g" else paint for m in materials])
    for sign in body.visible_sides(half):
        tone = shade(paint, body.light(np.array([0, 0, sign])))
        body.face(body.on_side(sign, outline, widths), tone, is_outline=True)
        _paint_side_windows(body, sign, outline, widths, glass, belt)
        _paint_wheels(body, sign, half, (-0.31 * length, 0.31 * length), 0.32, light)
    _paint_ends(body, rng, length / 2, half, height, light)


def _paint_side_windows(
    body: Body, sign: int, outline: np.ndarray, widths: np.ndarray, glass: Colour, belt: float
) -> None:
    high = outline[:, 1] > belt + 0.05
    roof = outline[high]
    low_rear, low_front = outline[high.argmax() - 1, 0], outline[len(high) - high[::-1].argmax(), 0]
    left, right = roof[0, 0], roof[-1, 0]
    top = float(roof[:, 1].mean()) - 0.1
    lean_rear, lean_front = 0.8 * (left - low_rear), 0.8 * (low_front - right)
    pane = np.array(
        [[left - lean_rear + 0.1, belt + 0.04], [left + 0.1, top], [right - 0.08, top],
         [right + lean_front - 0.12, belt + 0.04]]
    )  # fmt: skip
    body.face(body.on_side(sign, pane, np.mean(widths[high]) * 1.03), glass)
    middle = float(pane[:, 0].mean())
    pillar = np.array([[middle, belt], [middle, top], [middle + 0.1, top], [middle + 0.1, belt]])
    body.face(body.on_side(sign, pillar, np.mean(widths[high]) * 1.03), shade(glass, 0.5))


def _paint_wheels(
    body: Body, sign: int, half: float, places: tuple[float, ...], radius: float, light: float
) -> None:
    angles = np.arange(12) * (np.pi / 6)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    for place in places:
        rim = circle * radius + (place, radius)
        body.face(body.on_side(sign, rim, half), TYRE, is_outline=True)
        hub = circle * radius * 0.58 + (place, radius)
        body.face(body.on_side(sign, hub, half), shade((138, 138, 140), light))


def _paint_ends(
    body: Body, rng: np.random.Generator, reach: float, half: float, height: float, light: float
) -> None:
    """Lights, number plate and bumper of the end that is seen, and the wheels under it."""
    for end, lamp in ((-1, (150, 34, 30)), (1, (226, 222, 206))):
        at = end * reach
        if not body.sees(np.array([at, 0.5, 0]), np.array([end, 0, 0.0])):
            continue
        low, high = 0.42 * height, 0.54 * height
        for sign in (-1, 1):
            _panel(body, at, sign * 0.55 * half, sign * 0.95 * half, low, high, lamp)
            _panel(body, at, sign * 0.62 * half, sign * 0.95 * half, 0.0, 0.2 * height, TYRE, True)
        _panel(body, at, -half, half, 0.2 * height, 0.3 * height, shade((56, 56, 58), light))
        plate = vary(rng, (206, 204, 190), 20)
        _panel(body, at, -0.28, 0.28, 0.3 * height, 0.37 * height, shade(plate, light))
        if end > 0:
            _panel(body, at, -0.5 * half, 0.5 * half, 0.4 * height, 0.5 * height, (44, 44, 46))


def _panel(
    body: Body,
    at: float,
    left: float,
    right: float,
    low: float,
    high: float,
    colour: Colour,
    is_outline: bool = False,
) -> None:
    """A rectangle on an end of the body."""
    corners = np.array([[at, low, left], [at, high, left], [at, high, right], [at, low, right]])
    body.face(corners, colour, is_outline)


def paint_truck(
    canvas: Canvas, rng: np.random.Generator, pose: Pose, sun: int, light: float
) -> None:
    """A cab and a box, tarpaulin or open platform; arguments as for ``paint_car``."""
    length, height, half = rng.uniform(6, 10), rng.uniform(2.7, 3.6), rng.uniform(1.1, 1.25)
    cab = shade(choose(rng, PAINTS + LIVERIES, 14), light)
    load = shade(choose(rng, LIVERIES + PAINTS, 22), light)
    glass = shade(vary(rng, (46, 54, 62), 12), light)
    body = Body(canvas, pose, TRUCK, sun)
    body.cast_shadow(length, 2 * half)
    cab_start, cab_height = length / 2 - 2.0, min(height, rng.uniform(2.3, 2.9))
    parts = [
        ((-length / 2, cab_start - 0.2, 0.9, height), load, None),
        ((cab_start, length / 2, 0.45, cab_height), cab, glass),
    ]
    if np.cos(pose.yaw) > 0:
        parts.reverse()
    for (start, stop, low, top), colour, windscreen in parts:
        outline = np.array(
            [[start, low], [start, top], [stop, top], [stop, 0.55 * top], [stop, low]]
        )
        widths = np.full(5, half)
        front = windscreen or colour
        body.extrude(outline, widths, [colour, shade(colour, 1.1), front, colour])
        for sign in body.visible_sides(half):
            tone = shade(colour, body.light(np.array([0, 0, sign])))
            body.face(body.on_side(sign, outline, half), tone, is_outline=True)
            if windscreen:
                door = np.array([[start + 0.5, 0.6 * top], [start + 0.5, 0.92 * top],
                                 [stop, 0.92 * top], [stop, 0.6 * top]])  # fmt: skip
                body.face(body.on_side(sign, door, half), windscreen)
            else:
                _paint_ribs(body, sign, outline, half, shade(tone, 0.85))
    for sign in body.visible_sides(half):
        frame = np.array([[-length / 2, 0.55], [-length / 2, 0.95], [length / 2, 0.95],
                          [length / 2, 0.55]])  # fmt: skip
        body.face(body.on_side(sign, frame, half), (40, 40, 42), is_outline=True)
        _paint_wheels(body, sign, half, (-0.36 * length, -0.2 * length, 0.36 * length), 0.48, light)
    _paint_heavy_ends(body, length / 2, half, light)


def _paint_ribs(body: Body, sign: int, outline: np.ndarray, half: float, colour: Colour) -> None:
    low, high = outline[0, 1], outline[1, 1]
    for place in np.arange(outline[0, 0] + 0.6, outline[2, 0], 0.8):
        rib = np.array([[place, low], [place, high], [place + 0.08, high], [place + 0.08, low]])
        body.face(body.on_side(sign, rib, half), colour)


def _paint_heavy_ends(body: Body, reach: float, half: float, light: float) -> None:
    for end, lamp in ((-1, (160, 36, 30)), (1, (230, 226, 210))):
        at = end * reach
        if not body.sees(np.array([at, 0.5, 0]), np.array([end, 0, 0.0])):
            continue
        bumper = shade((50, 50, 54), light)
        _panel(body, at, -half, half, 0.45, 0.95, bumper, is_outline=True)
        for sign in (-1, 1):
            _panel(body, at, sign * 0.6 * half, sign * 0.95 * half, 0.62, 0.85, lamp)
            _panel(body, at, sign * 0.5 * half, sign * 0.95 * half, 0.0, 0.5, TYRE, True)
        if end < 0:
            _panel(body, at, -0.03, 0.03, 0.95, 2.6, shade((70, 70, 72), light))


def paint_bus(canvas: Canvas, rng: np.random.Generator, pose: Pose, sun: int, light: float) -> None:
    """A city bus: one box with a band of windows; arguments as for ``paint_car``."""
    length, height, half = rng.uniform(9, 13), rng.uniform(2.9, 3.3), 1.27
    body = Body(canvas, pose, BUS, sun)
    body.cast_shadow(length, 2 * half)
    _paint_coach(body, rng, length, height, half, light, belt=0.42)
    for sign in body.visible_sides(half):
        _paint_wheels(body, sign, half, (-0.3 * length, 0.3 * length), 0.5, light)
    _paint_heavy_ends(body, length / 2, half, light)


def paint_tram(
    canvas: Canvas, rng: np.random.Generator, pose: Pose, sun: int, light: float
) -> None:
    """A tram: long, tall, with skirts over its wheels; arguments as for ``paint_car``."""
    length, height, half = rng.uniform(18, 30), rng.uniform(3.4, 3.8), 1.22
    body = Body(canvas, pose, TRAIN, sun)
    body.cast_shadow(length, 2 * half)
    _paint_coach(body, rng, length, height, half, light, belt=0.4)
    for sign in body.visible_sides(half):
        for joint in np.arange(-length / 2 + 6, length / 2 - 3, 6.0):
            bellows = np.array([[joint, 0.3], [joint, height], [joint + 0.5, height],
                                [joint + 0.5, 0.3]])  # fmt: skip
            body.face(body.on_side(sign, bellows, half), (52, 52, 54))
    roof = body.canvas.camera.project_free(
        body.world(np.array([[0, height, 0], [0.5, height + 1.2, 0], [1.4, height + 1.9, 0]]))
    )
    scale = canvas.camera.focal / pose.z
    canvas.line(roof, (60, 60, 62), 0.1 * scale, TRAIN, pose.z)


def _paint_coach(
    body: Body,
    rng: np.random.Generator,
    length: float,
    height: float,
    half: float,
    light: float,
    belt: float,
) -> None:
    """A long box in a livery with windows all round."""
    paint = shade(choose(rng, LIVERIES, 18), light)
    stripe = shade(choose(rng, LIVERIES + PAINTS, 18), light)
    glass = shade(vary(rng, (44, 54, 64), 12), light)
    reach = length / 2
    low, sill, lintel = 0.32, belt * height, 0.84 * height
    outline = np.array(
        [[-reach, low], [-reach, sill], [-reach, lintel], [-reach, height], [reach, height],
         [reach, lintel], [reach, sill], [reach, low]]
    )  # fmt: skip
    faces = [paint, glass, stripe, shade(paint, 1.1), stripe, glass, paint]
    body.extrude(outline, np.full(8, half), faces)
    pitch = rng.uniform(1.2, 1.8)
    for sign in body.visible_sides(half):
        tone = body.light(np.array([0, 0, sign]))
        body.face(body.on_side(sign, outline, half), shade(paint, tone), is_outline=True)
        band = np.array([[-reach, low], [-reach, low + 0.5], [reach, low + 0.5], [reach, low]])
        body.face(body.on_side(sign, band, half), shade(stripe, tone))
        for left in np.arange(-reach + 0.3, reach - pitch, pitch):
            bottom = low + 0.1 if rng.random() < 0.16 else sill
            pane = np.array([[left, bottom], [left, lintel], [left + pitch - 0.15, lintel],
                             [left + pitch - 0.15, bottom]])  # fmt: skip
            body.face(body.on_side(sign, pane, half), glass)
