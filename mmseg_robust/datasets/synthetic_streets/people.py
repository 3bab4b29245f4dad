"""People on foot, bicycles, motorcycles and their riders."""

from __future__ import annotations

import numpy as np

from mmseg_robust.datasets.synthetic_streets.canvas import Billboard
from mmseg_robust.datasets.synthetic_streets.classes import BICYCLE, MOTORCYCLE, PERSON, RIDER
from mmseg_robust.datasets.synthetic_streets.colours import (
    CLOTHES,
    PAINTS,
    SKINS,
    Colour,
    choose,
    vary,
)


def paint_person(board: Billboard, rng: np.random.Generator) -> None:
    """Somebody who walks or stands, grown up or not.

    Args:
        board (Billboard): Stands where the feet are.
        rng (np.random.Generator): Source of randomness.
    """
    tall = rng.uniform(1.55, 1.9) if rng.random() < 0.85 else rng.uniform(1.0, 1.4)
    stride = rng.uniform(0, 0.36) * tall / 1.75
    coat, trousers = choose(rng, CLOTHES, 18), choose(rng, CLOTHES, 18)
    skin = choose(rng, SKINS, 10)
    hip, shoulder = 0.5 * tall, 0.82 * tall
    wide = rng.uniform(0.19, 0.25) * tall / 1.75
    is_long = rng.random() < 0.25
    for foot in (-stride, stride * 0.8):
        knee = (foot * 0.35 + 0.04, 0.27 * tall)
        board.line([(0, hip), knee, (foot, 0.04)], trousers, 0.15 * tall / 1.75, PERSON)
        board.line([(foot, 0.04), (foot + 0.1, 0.04)], (40, 36, 34), 0.08, PERSON)
    hem = 0.3 * tall if is_long else hip - 0.05
    trunk = [(-wide, shoulder), (wide, shoulder), (wide * 1.05, hem), (-wide * 1.05, hem)]
    board.polygon(trunk, coat, PERSON)
    swing = rng.uniform(-0.3, 0.3)
    hand = (wide + swing * 0.6, hip + 0.02)
    board.line([(wide * 0.8, shoulder - 0.06), (wide + 0.05, 0.66 * tall), hand], coat, 0.1, PERSON)
    board.line([(-wide * 0.8, shoulder - 0.06), (-wide - 0.05, hip + 0.08)], coat, 0.1, PERSON)
    _paint_head(board, rng, 0.0, 0.915 * tall, 0.075 * tall, skin, PERSON)
    if rng.random() < 0.35:
        _paint_bag(board, rng, wide, hip, shoulder)


def _paint_bag(
    board: Billboard, rng: np.random.Generator, wide: float, hip: float, shoulder: float
) -> None:
    colour = choose(rng, CLOTHES, 20)
    if rng.random() < 0.5:
        low = hip + 0.1
        pack = [(-wide - 0.12, low), (-wide + 0.1, low), (-wide + 0.1, shoulder),
                (-wide - 0.12, shoulder)]  # fmt: skip
        board.polygon(pack, colour, PERSON)
    else:
        bag = [(wide, hip - 0.3), (wide + 0.25, hip - 0.3), (wide + 0.22, hip), (wide, hip)]
        board.polygon(bag, colour, PERSON)


def _paint_head(
    board: Billboard,
    rng: np.random.Generator,
    x: float,
    y: float,
    radius: float,
    skin: Colour,
    label: int,
) -> None:
    hair = vary(rng, (64, 46, 34) if rng.random() < 0.7 else (150, 130, 110), 26)
    board.line([(x, y), (x, y - 1.6 * radius)], skin, radius, label)
    board.disk(x, y, radius * 0.88, skin, label)
    crown = [(x - radius, y), (x - 0.8 * radius, y + 0.9 * radius), (x + 0.7 * radius, y + radius),
             (x + 0.9 * radius, y + 0.3 * radius), (x, y + 0.3 * radius)]  # fmt: skip
    board.polygon(crown, hair, label)


def paint_bicycle(board: Billboard, rng: np.random.Generator, has_rider: bool) -> None:
    """A bicycle from the side, its wheels marked as whole disks as annotators do.

    Args:
        board (Billboard): Stands under the middle of the bicycle.
        rng (np.random.Generator): Source of randomness.
        has_rider (bool): Whether somebody rides it.
    """
    paint = choose(rng, PAINTS, 24)
    radius, reach = 0.34, 0.52
    if has_rider:
        _paint_rider(board, rng, seat=(-0.16, 0.92), hands=(0.42, 1.02), feet=0.3)
    for x in (-reach, reach):
        board.disk(x, radius, radius, None, BICYCLE)
        rim = [(x + radius * c, radius + radius * s) for c, s in _ring()]
        board.line(rim, (34, 34, 36), 0.05, BICYCLE)
        for c, s in _ring()[:8:2]:
            ends = [(x + radius * c, radius + radius * s), (x - radius * c, radius - radius * s)]
            board.line(ends, (120, 120, 122), 0.008)
    frame = [(-reach, radius), (-0.05, radius - 0.04), (-0.18, 0.86), (-reach, radius)]
    board.line(frame, paint, 0.05, BICYCLE)
    board.line([(-0.14, 0.72), (0.38, 0.78), (-0.05, radius - 0.04)], paint, 0.05, BICYCLE)
    board.line([(reach, radius), (0.36, 0.95), (0.48, 1.0)], paint, 0.05, BICYCLE)
    board.line([(-0.3, 0.9), (-0.08, 0.9)], (40, 36, 34), 0.07, BICYCLE)


def paint_motorcycle(board: Billboard, rng: np.random.Generator, has_rider: bool) -> None:
    """A motorcycle or scooter from the side; arguments as for ``paint_bicycle``."""
    paint = choose(rng, PAINTS, 24)
    if has_rider:
        _paint_rider(board, rng, seat=(-0.2, 0.82), hands=(0.45, 1.0), feet=0.32, has_helmet=True)
    for x in (-0.7, 0.68):
        board.disk(x, 0.3, 0.3, (32, 32, 34), MOTORCYCLE)
        board.disk(x, 0.3, 0.16, (122, 122, 124))
    hull = [(-0.9, 0.62), (-0.95, 0.82), (-0.35, 0.78), (-0.1, 0.74), (0.1, 0.95), (0.42, 0.92),
            (0.58, 0.6), (0.2, 0.28), (-0.4, 0.28)]  # fmt: skip
    board.polygon(hull, paint, MOTORCYCLE)
    board.polygon([(-0.35, 0.3), (-0.3, 0.58), (0.2, 0.58), (0.25, 0.3)], (58, 58, 60))
    board.line([(-0.85, 0.84), (-0.15, 0.8)], (34, 32, 32), 0.12, MOTORCYCLE)
    board.line([(0.68, 0.3), (0.42, 1.0)], (130, 130, 132), 0.07, MOTORCYCLE)
    board.line([(0.3, 1.05), (0.5, 1.02)], (40, 40, 42), 0.06, MOTORCYCLE)
    board.disk(0.56, 0.86, 0.1, (220, 216, 200), MOTORCYCLE)


def _paint_rider(
    board: Billboard,
    rng: np.random.Generator,
    seat: tuple[float, float],
    hands: tuple[float, float],
    feet: float,
    has_helmet: bool = False,
) -> None:
    coat, trousers = choose(rng, CLOTHES, 18), choose(rng, CLOTHES, 18)
    shoulder = (seat[0] + rng.uniform(0.12, 0.3), seat[1] + 0.55)
    for foot in (feet, feet + rng.uniform(0.05, 0.3)):
        board.line([seat, (seat[0] + 0.38, seat[1] - 0.25), (0.02, foot)], trousers, 0.15, RIDER)
    board.line([(seat[0], seat[1] + 0.08), shoulder], coat, 0.34, RIDER)
    board.line([shoulder, (shoulder[0] + 0.22, shoulder[1] - 0.3), hands], coat, 0.11, RIDER)
    head = (shoulder[0] + 0.1, shoulder[1] + 0.32)
    _paint_head(board, rng, *head, 0.13, choose(rng, SKINS, 10), RIDER)
    if has_helmet or rng.random() < 0.3:
        board.disk(head[0], head[1] + 0.03, 0.15, choose(rng, PAINTS, 24), RIDER)


def _ring() -> list[tuple[float, float]]:
    angles = np.arange(17) * (np.pi / 8)
    return list(zip(np.cos(angles).tolist(), np.sin(angles).tolist()))
