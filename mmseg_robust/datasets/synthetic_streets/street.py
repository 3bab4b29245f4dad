"""The plan of a street: how wide its bands are and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmseg_robust.datasets.synthetic_streets.colours import (
    GRASS,
    GROUNDS,
    PAVEMENTS,
    Colour,
    choose,
)


@dataclass(frozen=True)
class Side:
    """One side of a street; widths in metres, counted outward.

    Args:
        kerb (float): Distance of the road's edge from the axis.
        verge (float): Width of the strip of grass along the road; 0 where there is none.
        pavement (float): Width of the sidewalk.
        garden (float): Width of the grass between sidewalk and houses; 0 where there is none.
        character (str): 'town' (closed front of tall houses), 'suburb' (houses with gaps) or
            'park' (trees, few houses).
        has_parking (bool): Whether cars are parked along the kerb.
    """

    kerb: float
    verge: float
    pavement: float
    garden: float
    character: str
    has_parking: bool

    @property
    def inner(self) -> float:
        """Distance of the sidewalk's inner edge from the axis."""
        return self.kerb + self.verge

    @property
    def outer(self) -> float:
        """Distance of the sidewalk's outer edge from the axis."""
        return self.inner + self.pavement

    @property
    def front(self) -> float:
        """Distance of the houses from the axis."""
        return self.outer + self.garden


@dataclass(frozen=True)
class Street:
    """The plan and the light of one scene.

    Args:
        left (Side): Side at negative ``s``.
        right (Side): Side at positive ``s``.
        lane (float): Width of a lane in metres.
        road (Colour): Colour of the road.
        pavement (Colour): Colour of the sidewalks.
        grass (Colour): Colour of the grass.
        has_rails (bool): Whether a tram runs on it.
        sun (int): Where the sun is: -1 left, 1 right, 0 behind clouds.
        sun_height (float): Length of a thing over the length of its shadow.
    """

    left: Side
    right: Side
    lane: float
    road: Colour
    pavement: Colour
    grass: Colour
    has_rails: bool
    sun: int
    sun_height: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Street:
        """A random street; all ranges are the project's own choice."""
        lane = rng.uniform(2.9, 3.6)
        road = choose(rng, GROUNDS, 14)
        return cls(
            left=_draw_side(rng, lane),
            right=_draw_side(rng, lane),
            lane=lane,
            road=road,
            # A pavement of the road's own material is told from it by its place alone.
            pavement=road if rng.random() < 0.25 else choose(rng, PAVEMENTS, 14),
            grass=choose(rng, GRASS, 14),
            has_rails=rng.random() < 0.25,
            sun=int(rng.integers(-1, 2)),
            sun_height=rng.uniform(0.7, 2.0),
        )

    def side(self, sign: int) -> Side:
        """The side at negative (-1) or positive (1) ``s``."""
        return self.left if sign < 0 else self.right


def _draw_side(rng: np.random.Generator, lane: float) -> Side:
    character = ("town", "suburb", "park")[int(rng.choice(3, p=[0.45, 0.35, 0.2]))]
    has_parking = rng.random() < 0.45
    lanes = 1 if rng.random() < 0.7 else 2
    garden_chance = {"town": 0.1, "suburb": 0.8, "park": 1.0}[character]
    return Side(
        kerb=lanes * lane + (2.1 if has_parking else 0.4),
        verge=rng.uniform(0.8, 2.5) if rng.random() < 0.3 else 0.0,
        pavement=rng.uniform(2.0, 6.0),
        garden=rng.uniform(1.5, 7.0) if rng.random() < garden_chance else 0.0,
        character=character,
        has_parking=has_parking,
    )
