"""Lamp posts, bollards, traffic lights and traffic signs."""

from __future__ import annotations

import numpy as np

from mmseg_robust.datasets.synthetic_streets.canvas import Billboard
from mmseg_robust.datasets.synthetic_streets.classes import POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN
from mmseg_robust.datasets.synthetic_streets.colours import METALS, Colour, choose, vary

RED: Colour = (176, 40, 36)
BLUE: Colour = (44, 84, 150)
WHITE: Colour = (212, 210, 204)
YELLOW: Colour = (206, 166, 52)
LAMPS: tuple[Colour, ...] = ((226, 56, 44), (236, 172, 54), (62, 196, 112))


def paint_lamp_post(board: Billboard, rng: np.random.Generator) -> None:
    """A tall pole with an arm over the street, or a plain one.

    Args:
        board (Billboard): Stands at its foot; its right points to the street.
        rng (np.random.Generator): Source of randomness.
    """
    metal = choose(rng, METALS, 18)
    tall = rng.uniform(4.5, 8.5)
    board.line([(0, 0), (0, tall)], metal, rng.uniform(0.11, 0.2), POLE)
    board.line([(0, 0), (0, 0.9)], metal, 0.22, POLE)
    if rng.random() < 0.7:
        arm = rng.uniform(0.6, 2.0)
        board.line([(0, tall), (0.3 * arm, tall + 0.35), (arm, tall + 0.4)], metal, 0.09, POLE)
        board.line([(arm, tall + 0.4), (arm + 0.5, tall + 0.38)], vary(rng, WHITE, 24), 0.16, POLE)


def paint_bollard(board: Billboard, rng: np.random.Generator) -> None:
    """A post of about a metre; arguments as for ``paint_lamp_post``."""
    tall = rng.uniform(0.75, 1.1)
    metal = choose(rng, METALS, 26)
    board.line([(0, 0), (0, tall)], metal, 0.14, POLE)
    if rng.random() < 0.5:
        board.line([(0, 0.75 * tall), (0, 0.85 * tall)], vary(rng, WHITE, 24), 0.14)


def paint_traffic_light(board: Billboard, rng: np.random.Generator) -> None:
    """One or two light boxes on a pole; arguments as for ``paint_lamp_post``."""
    metal = choose(rng, METALS, 18)
    tall = rng.uniform(2.6, 3.4)
    places = [(0.0, tall)]
    if rng.random() < 0.4:
        arm, above = rng.uniform(1.5, 3.5), rng.uniform(4.8, 5.6)
        board.line([(0, tall), (0, above), (arm, above + 0.1)], metal, 0.12, POLE)
        places.append((arm, above - 0.3))
    board.line([(0, 0), (0, tall)], metal, 0.13, POLE)
    lit = int(rng.integers(3))
    faces_us = rng.random() < 0.8
    for x, y in places:
        _paint_light_box(board, rng, x, y, lit if faces_us else None)


def _paint_light_box(
    board: Billboard, rng: np.random.Generator, x: float, y: float, lit: int | None
) -> None:
    box = [(x - 0.19, y - 0.48), (x - 0.19, y + 0.48), (x + 0.19, y + 0.48), (x + 0.19, y - 0.48)]
    board.polygon(box, vary(rng, (38, 40, 40), 12), TRAFFIC_LIGHT)
    if lit is None:
        return
    for lamp, colour in enumerate(LAMPS):
        red, green, blue = colour
        dark = red // 4, green // 4, blue // 4
        board.disk(x, y + 0.3 - 0.3 * lamp, 0.11, colour if lamp == lit else dark)


def paint_sign(board: Billboard, rng: np.random.Generator) -> None:
    """One or two signs on a pole, one in six from behind; arguments as for ``paint_lamp_post``."""
    metal = choose(rng, METALS, 18)
    tall = rng.uniform(2.1, 3.0)
    board.line([(0, 0), (0, tall + 0.3)], metal, 0.08, POLE)
    size = rng.uniform(0.3, 0.45)
    if rng.random() < 1 / 6:
        board.disk(0, tall, size, vary(rng, (128, 130, 130), 16), TRAFFIC_SIGN)
        return
    _SHAPES[int(rng.integers(len(_SHAPES)))](board, rng, tall, size)
    if rng.random() < 0.3:
        low = tall - size - 0.3
        plate = [(-size, low), (-size, low + 0.22), (size, low + 0.22), (size, low)]
        board.polygon(plate, vary(rng, WHITE, 20), TRAFFIC_SIGN)


def _paint_ban(board: Billboard, rng: np.random.Generator, y: float, size: float) -> None:
    board.disk(0, y, size, vary(rng, RED, 22), TRAFFIC_SIGN)
    board.disk(0, y, 0.72 * size, vary(rng, WHITE, 18))
    board.line([(-0.35 * size, y), (0.35 * size, y)], (40, 40, 42), 0.3 * size)


def _paint_order(board: Billboard, rng: np.random.Generator, y: float, size: float) -> None:
    board.disk(0, y, size, vary(rng, BLUE, 22), TRAFFIC_SIGN)
    board.line([(0, y - 0.5 * size), (0, y + 0.5 * size)], vary(rng, WHITE, 18), 0.28 * size)


def _paint_warning(board: Billboard, rng: np.random.Generator, y: float, size: float) -> None:
    top = 1.0 if rng.random() < 0.7 else -1.0
    for scale, colour, label in ((1.15, RED, TRAFFIC_SIGN), (0.68, WHITE, None)):
        reach = scale * size
        corners = [(0, y + top * reach), (-reach, y - top * 0.7 * reach),
                   (reach, y - top * 0.7 * reach)]  # fmt: skip
        board.polygon(corners, vary(rng, colour, 18), label)


def _paint_plate(board: Billboard, rng: np.random.Generator, y: float, size: float) -> None:
    wide, high = size * rng.uniform(0.7, 1.7), size * rng.uniform(0.6, 1.0)
    corners = [(-wide, y - high), (-wide, y + high), (wide, y + high), (wide, y - high)]
    board.polygon(corners, vary(rng, (BLUE, YELLOW, WHITE)[int(rng.integers(3))], 26), TRAFFIC_SIGN)
    for row in (-0.3, 0.3):
        ends = [(-0.6 * wide, y + row * high), (0.6 * wide, y + row * high)]
        board.line(ends, vary(rng, (210, 210, 206) if row < 0 else (50, 52, 56), 20), 0.2 * size)


def _paint_priority(board: Billboard, rng: np.random.Generator, y: float, size: float) -> None:
    for scale, colour, label in ((1.1, WHITE, TRAFFIC_SIGN), (0.75, YELLOW, None)):
        reach = scale * size
        corners = [(0, y + reach), (reach, y), (0, y - reach), (-reach, y)]
        board.polygon(corners, vary(rng, colour, 18), label)


_SHAPES = (_paint_ban, _paint_order, _paint_warning, _paint_plate, _paint_priority)
