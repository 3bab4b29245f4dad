"""Vehicle bodies: a side outline drawn out over the width."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmseg_robust.datasets.synthetic_streets.canvas import Canvas
from mmseg_robust.datasets.synthetic_streets.colours import Colour, shade


@dataclass(frozen=True)
class Pose:
    """Where a body stands.

    Args:
        s (float): Metres right of the street's axis of the body's middle.
        z (float): Metres ahead of the body's middle.
        yaw (float): Turn in radians; 0 drives away from the camera, pi towards it.
    """

    s: float
    z: float
    yaw: float


class Body:
    """Projects and paints the faces of a body.

    Body coordinates: ``l`` metres forward of the middle, ``y`` above the ground, ``w`` to the
    right.

    Args:
        canvas (Canvas): Where to paint.
        pose (Pose): Where it stands.
        label (int): Train id.
        sun (int): -1, 0 or 1: the side of the sun.
    """

    def __init__(self, canvas: Canvas, pose: Pose, label: int, sun: int) -> None:
        self.canvas = canvas
        self.pose = pose
        self.label = label
        self._sun = sun
        camera = canvas.camera
        slope = float(camera.axis(pose.z + 1) - camera.axis(pose.z))
        turn = pose.yaw + math.atan(slope)
        # Rows: what one metre forward, upward and to the right of the body is to the camera.
        self._axes = np.array(
            [[math.sin(turn), 0, math.cos(turn)], [0, 1, 0], [math.cos(turn), 0, -math.sin(turn)]]
        )
        self._middle = np.array([pose.s + float(camera.axis(pose.z)), 0.0, pose.z])
        # The camera in body coordinates.
        self._eye = self._axes @ (np.array([0.0, camera.eye, 0.0]) - self._middle)

    def world(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) body coordinates (l, y, w) to (N, 3) places (x, y, z) seen from the camera."""
        return points @ self._axes + self._middle

    def face(self, points: np.ndarray, colour: Colour, is_outline: bool = False) -> None:
        """Paint a polygon of body coordinates; the outline ones also set label and depth."""
        corners = self.canvas.camera.project_free(self.world(points))
        self.canvas.polygon(corners, colour, self.label if is_outline else None, self.pose.z)

    def sees(self, point: np.ndarray, normal: np.ndarray) -> bool:
        """Whether the camera sees the outside of a face with this point and normal."""
        return bool(normal @ (self._eye - point) > 0)

    def light(self, normal: np.ndarray) -> float:
        """Factor of light on a face: more from above and from the sun's side."""
        x, y, _ = normal @ self._axes
        return float(0.82 + 0.3 * max(0.0, y) + 0.22 * x * self._sun)

    def cast_shadow(self, length: float, width: float) -> None:
        """Darken the ground under the body."""
        half, side = length / 2 + 0.15, width / 2 + 0.15
        feet = np.array([[-half, 0, -side], [half, 0, -side], [half, 0, side], [-half, 0, side]])
        corners = self.canvas.camera.project_free(self.world(feet))
        if self._sun:
            corners[:, 0] -= self._sun * 0.35 * self.canvas.camera.focal / self.pose.z
        softness = float(np.clip(0.12 * self.canvas.camera.focal / self.pose.z, 0.5, 5))
        self.canvas.darken(corners, 0.62, softness)

    def extrude(self, outline: np.ndarray, widths: np.ndarray, colours: list[Colour]) -> None:
        """Paint the visible faces of an outline drawn out to both sides, from far to near.

        Args:
            outline (np.ndarray): (N, 2) of l and y, going from the low rear end over the roof to
                the low front end.
            widths (np.ndarray): (N,) half width at each point, in metres.
            colours (list[Colour]): N - 1 colours of the faces between the points.
        """
        faces = []
        for k, colour in enumerate(colours):
            (l0, y0), (l1, y1) = outline[k], outline[k + 1]
            quad = np.array(
                [[l0, y0, -widths[k]], [l0, y0, widths[k]], [l1, y1, widths[k + 1]],
                 [l1, y1, -widths[k + 1]]]
            )  # fmt: skip
            normal = np.array([y0 - y1, l1 - l0, 0.0])
            normal /= max(1e-6, float(np.hypot(normal[0], normal[1])))
            if self.sees(quad[0], normal):
                faces.append((quad, shade(colour, self.light(normal))))
        faces.sort(key=lambda face: -float(self.world(face[0])[:, 2].mean()))
        for quad, colour in faces:
            self.face(quad, colour, is_outline=True)

    def visible_sides(self, half_width: float) -> list[int]:
        """Which of the sides -1 (left) and 1 (right) the camera sees."""
        return [
            sign
            for sign in (-1, 1)
            if self.sees(np.array([0.0, 0.5, sign * half_width]), np.array([0.0, 0.0, sign]))
        ]

    def on_side(self, sign: int, points: np.ndarray, width: float | np.ndarray) -> np.ndarray:
        """(N, 2) of l and y as (N, 3) body coordinates on the side of the sign."""
        return np.column_stack([points, np.broadcast_to(sign * np.asarray(width), len(points))])
