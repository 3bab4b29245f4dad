"""Puts a street together: what stands where, and in which order it is painted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmseg_robust.datasets.synthetic_streets import furniture, people, vehicles
from mmseg_robust.datasets.synthetic_streets.backdrop import paint_sky, paint_skyline
from mmseg_robust.datasets.synthetic_streets.camera import Camera
from mmseg_robust.datasets.synthetic_streets.canvas import Billboard, Canvas
from mmseg_robust.datasets.synthetic_streets.ground import paint_ground
from mmseg_robust.datasets.synthetic_streets.light import develop, paint_bonnet
from mmseg_robust.datasets.synthetic_streets.solids import Pose
from mmseg_robust.datasets.synthetic_streets.street import Side, Street
from mmseg_robust.datasets.synthetic_streets.structures import paint_fence, paint_house, paint_wall
from mmseg_robust.datasets.synthetic_streets.vegetation import paint_hedge, paint_tree
from mmseg_robust.errors import InputError

Thing = tuple[float, Callable[[], None]]


def draw_scene(
    seed: int, index: int, size: tuple[int, int] = (512, 256)
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one street scene.

    The scenes are the project's own and copy no data set; folder layout and ids are those of
    Cityscapes (Cordts et al., CVPR 2016).

    Args:
        seed (int): Number of the collection, from 0.
        index (int): Number of the scene in it, from 0.
        size (tuple[int, int]): Width and height in pixels, each at least 64. Default: (512, 256).

    Returns:
        tuple[np.ndarray, np.ndarray]: Image (H, W, 3) uint8, RGB, and labels (H, W) uint8, the 19
        train ids of Cityscapes and 255 for void. They depend on the three arguments alone; another
        version of OpenCV or NumPy may move an edge by a pixel.

    Raises:
        InputError: If an argument is out of range.
    """
    if seed < 0 or index < 0:
        raise InputError(f"seed ({seed}) and index ({index}) must be 0 or larger.")
    if min(size) < 64:
        raise InputError(f"size {size} is too small; width and height must be at least 64 pixels.")
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    return _Painter(rng, Camera.draw(rng, *size), Street.draw(rng)).paint()


class _Painter:
    """Draws one scene; every thing takes its random numbers when it is planned or painted, in an
    order that the scene alone decides."""

    def __init__(self, rng: np.random.Generator, camera: Camera, street: Street) -> None:
        self.rng = rng
        self.street = street
        self.canvas = Canvas(camera)
        self.things: list[Thing] = []

    def paint(self) -> tuple[np.ndarray, np.ndarray]:
        haze = paint_sky(self.canvas, self.rng)
        paint_skyline(self.canvas, self.rng)
        paint_ground(self.canvas, self.rng, self.street)
        for sign in (-1, 1):
            self._paint_front(sign)
        for sign in (-1, 1):
            self._plan_side(sign)
        self._plan_traffic()
        for _, paint in sorted(self.things, key=lambda thing: -thing[0]):
            paint()
        paint_bonnet(self.canvas, self.rng)
        return develop(self.canvas, self.rng, haze), self.canvas.labels

    def _light(self, sign: int) -> float:
        """Light on a face that looks to the street from the side of the sign."""
        return {0: 0.92, 1: 1.1, -1: 0.68}[-sign * self.street.sun]

    def _paint_front(self, sign: int) -> None:
        """Houses and trees beyond the sidewalk, from far to near, then walls before gardens."""
        rng, side = self.rng, self.street.side(sign)
        plots = []
        z = rng.uniform(2.0, 8.0)
        while z < 125:
            length = rng.uniform(8, 24)
            plots.append((z, length))
            z += length
        density = {"town": 0.93, "suburb": 0.6, "park": 0.2}[side.character]
        town = rng.uniform(9, 22) if side.character == "town" else rng.uniform(3.5, 8)
        lights = self._light(sign), 0.92 if self.street.sun == 0 else 0.8
        for z, length in reversed(plots):
            if rng.random() < density:
                gap = 0.0 if side.character == "town" else rng.uniform(1, 4)
                front = sign * (side.front + rng.uniform(0, 0.25 * gap))
                tall = town * rng.uniform(0.75, 1.3)
                paint_house(self.canvas, rng, front, z, length - gap, tall, lights)
            else:
                self._paint_grove(sign, side, z, length)
        for z, length in reversed(plots):
            if side.garden > 0 or rng.random() < 0.15:
                self._paint_enclosure(sign, side, z, length)

    def _paint_grove(self, sign: int, side: Side, z: float, length: float) -> None:
        rng = self.rng
        trees = [(rng.uniform(z, z + length), rng.uniform(0.5, 9)) for _ in range(int(length / 4))]
        for place, back in sorted(trees, reverse=True):
            s = sign * (side.front + back)
            paint_tree(self.canvas, rng, s, max(4.0, place), self._light(sign))

    def _paint_enclosure(self, sign: int, side: Side, z: float, length: float) -> None:
        rng, s = self.rng, sign * (side.outer + 0.1)
        kind = rng.random()
        if kind < 0.3:
            paint_wall(self.canvas, rng, s, z, length, self._light(sign))
        elif kind < 0.6:
            paint_fence(self.canvas, rng, s, z, length, self._light(sign))
        elif kind < 0.78:
            paint_hedge(self.canvas, rng, sign * (side.outer + 0.6), z, length, self._light(sign))

    def _plan_side(self, sign: int) -> None:
        rng, side = self.rng, self.street.side(sign)
        edge = side.kerb + 0.45
        if rng.random() < (0.75 if side.character != "town" else 0.4):
            spacing = rng.uniform(7, 16)
            for z in np.arange(rng.uniform(7, 14), 75, spacing):
                if rng.random() < 0.75:
                    self._add_tree(sign * (edge + 0.3), float(z), self._light(sign))
        for z in np.arange(rng.uniform(6, 20), 90, rng.uniform(18, 30)):
            self._add_board(furniture.paint_lamp_post, sign * edge, float(z), -sign)
        for painter, chance, most in (
            (furniture.paint_sign, 0.75, 4),
            (furniture.paint_traffic_light, 0.4, 2),
            (furniture.paint_bollard, 0.25, 8),
        ):
            if rng.random() < chance:
                for _ in range(int(rng.integers(1, most + 1))):
                    self._add_board(painter, sign * edge, self._distance(5.5, 50), -sign)
        if rng.random() < 0.2:
            self._add_rail(sign * (side.kerb + 0.25))
        self._plan_people(sign, side)
        if side.has_parking:
            self._plan_parking(sign, side)

    def _plan_people(self, sign: int, side: Side) -> None:
        rng = self.rng
        for _ in range(int(rng.poisson(4.0 if side.character == "town" else 1.8))):
            s = sign * rng.uniform(side.inner + 0.5, side.outer - 0.2)
            self._add_board(_person, s, self._distance(6, 50), self._either())
        for _ in range(int(rng.poisson(0.8))):
            s = sign * rng.uniform(side.inner + 0.5, side.outer)
            rider = rng.random() < 0.3
            self._add_two_wheeler(s, self._distance(6, 35), rider, is_motor=False)

    def _plan_parking(self, sign: int, side: Side) -> None:
        rng = self.rng
        z = rng.uniform(6.5, 14)
        while z < 80:
            if rng.random() < 0.72:
                s = sign * (side.kerb - 1.05)
                yaw = rng.normal(0, 0.03) + (np.pi if sign < 0 and rng.random() < 0.7 else 0.0)
                painter = vehicles.paint_truck if rng.random() < 0.05 else vehicles.paint_car
                self._add_vehicle(painter, s, z, yaw)
            elif rng.random() < 0.35:
                self._add_two_wheeler(
                    sign * (side.kerb - 1.0), z, has_rider=False, is_motor=rng.random() < 0.6
                )
            z += rng.uniform(5.6, 7.5)

    def _plan_traffic(self) -> None:
        rng, street = self.rng, self.street
        if street.has_rails and rng.random() < 0.6:
            s = -street.lane / 2
            self._add_vehicle(vehicles.paint_tram, s, rng.uniform(28, 60), np.pi)
        for sign, side in ((-1, street.left), (1, street.right)):
            edge = side.kerb - (2.1 if side.has_parking else 0.3)
            for lane in range(max(1, round(edge / street.lane))):
                if sign < 0 and lane == 0 and street.has_rails:
                    continue
                self._fill_lane(sign, sign * (lane + 0.5) * street.lane)
        for _ in range(int(rng.poisson(0.7))):
            sign = 1 if rng.random() < 0.6 else -1
            side = street.side(sign)
            s = sign * (side.kerb - (2.8 if side.has_parking else 0.9))
            is_motor = rng.random() < 0.35
            self._add_two_wheeler(s, self._distance(7, 40), has_rider=True, is_motor=is_motor)
        if rng.random() < 0.3:
            crossing = rng.uniform(9, 28)
            for _ in range(int(rng.integers(1, 5))):
                s = rng.uniform(-street.left.kerb, street.right.kerb)
                self._add_board(_person, s, crossing + rng.uniform(-1, 1), self._either())

    def _fill_lane(self, sign: int, s: float) -> None:
        """Vehicles one behind the other, with room between them."""
        rng = self.rng
        z = rng.uniform(9, 40)
        yaw = 0.0 if sign > 0 else np.pi
        while z < 100:
            kind = rng.random()
            painter, room = (
                (vehicles.paint_car, 3.0)
                if kind < 0.8
                else (vehicles.paint_truck, 6.0)
                if kind < 0.91
                else (vehicles.paint_bus, 7.5)
            )
            self._add_vehicle(painter, s + rng.normal(0, 0.2), z + room, yaw + rng.normal(0, 0.03))
            z += 2 * room + rng.uniform(3, 35)

    def _distance(self, near: float, far: float) -> float:
        """A place ahead; near ones are as frequent on the image as far ones."""
        return float(near * (far / near) ** self.rng.random())

    def _either(self) -> int:
        return 1 if self.rng.random() < 0.5 else -1

    def _add_vehicle(self, painter: Callable[..., None], s: float, z: float, yaw: float) -> None:
        light = self.rng.uniform(0.82, 1.1)
        pose, sun = Pose(s, z, yaw), self.street.sun
        self.things.append((z, lambda: painter(self.canvas, self.rng, pose, sun, light)))

    def _add_board(
        self,
        painter: Callable[[Billboard, np.random.Generator], None],
        s: float,
        z: float,
        way: int,
    ) -> None:
        light = self.rng.uniform(0.75, 1.1)
        board = Billboard(self.canvas, s, z, mirrored=way < 0, light=light)
        self.things.append((z, lambda: painter(board, self.rng)))

    def _add_two_wheeler(self, s: float, z: float, has_rider: bool, is_motor: bool) -> None:
        draw = people.paint_motorcycle if is_motor else people.paint_bicycle
        painter = lambda board, rng: draw(board, rng, has_rider)  # noqa: E731
        self._add_board(painter, s, z, self._either())

    def _add_tree(self, s: float, z: float, light: float) -> None:
        self.things.append((z, lambda: paint_tree(self.canvas, self.rng, s, z, light)))

    def _add_rail(self, s: float) -> None:
        rng = self.rng
        start, length = rng.uniform(7, 25), rng.uniform(6, 20)
        self.things.append(
            (start + length, lambda: paint_fence(self.canvas, rng, s, start, length, 0.95))
        )


def _person(board: Billboard, rng: np.random.Generator) -> None:
    foot = board.place([(-0.3, 0.0), (0.3, 0.02), (0.3, -0.02)])
    board.canvas.darken(foot, 0.4, max(0.8, 0.08 * board.scale))
    people.paint_person(board, rng)
