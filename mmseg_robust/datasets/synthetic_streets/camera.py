"""The camera of the car that films the street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 2.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over a flat street that may bend.

    Places are given in street coordinates: ``s`` metres to the right of the street's axis, ``y``
    metres above the ground, ``z`` metres ahead.

    Args:
        width (int): Image width in pixels.
        height (int): Image height in pixels.
        focal (float): Focal length in pixels.
        horizon (float): Image row of the horizon.
        eye (float): Height of the camera above the ground in metres.
        heading (float): Slope of the axis where the camera is: metres to the right per metre.
        bend (float): Change of that slope per metre.
        offset (float): How far right of the camera the axis is, in metres.
    """

    width: int
    height: int
    focal: float
    horizon: float
    eye: float
    heading: float
    bend: float
    offset: float

    @classmethod
    def draw(cls, rng: np.random.Generator, width: int, height: int) -> Camera:
        """A random camera; the ranges are the project's own choice, around those of Cityscapes."""
        return cls(
            width=width,
            height=height,
            focal=width * rng.uniform(0.85, 1.15),
            horizon=height * rng.uniform(0.38, 0.48),
            eye=rng.uniform(1.2, 1.7),
            heading=rng.uniform(-0.06, 0.06),
            bend=rng.uniform(-0.0035, 0.0035),
            offset=rng.uniform(-3.2, -0.8),
        )

    def axis(self, z: np.ndarray | float) -> np.ndarray | float:
        """Metres to the right of the camera at which the street's axis is, at ``z``."""
        # Past 90 m the bend goes straight on, or far houses would cross the street.
        bent = np.minimum(z, 90.0) if isinstance(z, np.ndarray) else min(z, 90.0)
        return self.offset + self.heading * z + self.bend * bent * (z - bent / 2)

    def project(self, places: np.ndarray) -> np.ndarray:
        """Street coordinates to image coordinates.

        Args:
            places (np.ndarray): (N, 3) of s, y, z. What is nearer than 2 m is taken as at 2 m.

        Returns:
            np.ndarray: (N, 2) of column and row in pixels.
        """
        seen = np.array(places, np.float64)
        seen[:, 0] += self.axis(np.maximum(seen[:, 2], NEAR))
        return self.project_free(seen)

    def project_free(self, places: np.ndarray) -> np.ndarray:
        """The same for places whose first coordinate counts from the camera, not the axis."""
        scale = self.focal / np.maximum(places[:, 2], NEAR)
        pixels = np.empty((len(places), 2))
        pixels[:, 0] = self.width / 2 + places[:, 0] * scale
        pixels[:, 1] = self.horizon + (self.eye - places[:, 1]) * scale
        return pixels

    def ground(self) -> tuple[int, np.ndarray, np.ndarray]:
        """Street coordinates of every pixel below the horizon.

        Returns:
            tuple: The first row below the horizon (int), and for the R rows from there ``s``
            (R, W) and ``z`` (R, 1), float32.
        """
        first = int(self.horizon) + 1
        rows = np.arange(first, self.height, dtype=np.float32)[:, None] + np.float32(0.5)
        z = np.float32(self.focal * self.eye) / (rows - np.float32(self.horizon))
        columns = np.arange(self.width, dtype=np.float32)[None] + np.float32(0.5 - self.width / 2)
        return first, columns * z / np.float32(self.focal) - np.asarray(self.axis(z), np.float32), z
