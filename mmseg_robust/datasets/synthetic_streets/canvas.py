"""Image, label map and depth map that are painted together, from far to near."""

from __future__ import annotations

import cv2
import numpy as np

from mmseg_robust.datasets.synthetic_streets.camera import Camera
from mmseg_robust.datasets.synthetic_streets.classes import SKY
from mmseg_robust.datasets.synthetic_streets.colours import Colour

SHIFT = 3
FAR = 2000.0


class Canvas:
    """What is painted later covers what was painted before.

    Args:
        camera (Camera): Gives the size and the projection.

    Attributes:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        labels (np.ndarray): (H, W) uint8, train ids.
        depth (np.ndarray): (H, W) float32, metres ahead.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.image = np.zeros((camera.height, camera.width, 3), np.uint8)
        self.labels = np.full((camera.height, camera.width), SKY, np.uint8)
        self.depth = np.full((camera.height, camera.width), FAR, np.float32)

    def polygon(
        self,
        corners: np.ndarray,
        colour: Colour | None,
        label: int | None = None,
        z: float = FAR,
    ) -> None:
        """Fill a polygon.

        Args:
            corners (np.ndarray): (N, 2), column and row in pixels.
            colour (Colour, optional): RGB; None marks the label map alone.
            label (int, optional): Train id; None (detail of a thing) paints the image alone.
            z (float): Depth in metres.
        """
        points = [_fixed(corners)]
        if colour is not None:
            cv2.fillPoly(self.image, points, colour, cv2.LINE_AA, SHIFT)
        if label is not None:
            cv2.fillPoly(self.labels, points, label, cv2.LINE_8, SHIFT)
            cv2.fillPoly(self.depth, points, z, cv2.LINE_8, SHIFT)

    def line(
        self,
        points: np.ndarray,
        colour: Colour,
        thickness: float,
        label: int | None = None,
        z: float = FAR,
    ) -> None:
        """Draw a line with round ends through the points.

        Args:
            points (np.ndarray): (N, 2), column and row in pixels.
            colour (Colour): RGB.
            thickness (float): In pixels; at least 1 is drawn.
            label (int, optional): Train id; None paints the image alone.
            z (float): Depth in metres.
        """
        width = max(1, round(thickness))
        path = [_fixed(points)]
        cv2.polylines(self.image, path, False, colour, width, cv2.LINE_AA, SHIFT)
        if label is not None:
            cv2.polylines(self.labels, path, False, label, width, cv2.LINE_8, SHIFT)
            cv2.polylines(self.depth, path, False, z, width, cv2.LINE_8, SHIFT)

    def surface(self, texture: np.ndarray, corners: np.ndarray, label: int, z: float) -> None:
        """Put a picture on a flat surface seen in perspective.

        Args:
            texture (np.ndarray): (h, w, 3) uint8.
            corners (np.ndarray): (4, 2) image places of the picture's top left, top right, bottom
                right and bottom left.
            label (int): Train id.
            z (float): Depth in metres.
        """
        window = self.window(corners)
        if window is None:
            return
        rows, columns = window
        local = corners - (columns.start, rows.start)
        size = columns.stop - columns.start, rows.stop - rows.start
        height, width = texture.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        matrix = cv2.getPerspectiveTransform(source, local.astype(np.float32))
        seen = cv2.warpPerspective(
            texture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        mask = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillPoly(mask, [_fixed(local)], 255, cv2.LINE_8, SHIFT)
        self.stamp(window, seen, mask, label, z)

    def stamp(
        self,
        window: tuple[slice, slice],
        picture: np.ndarray,
        mask: np.ndarray,
        label: int,
        z: float,
    ) -> None:
        """Copy a picture where a mask is set.

        Args:
            window (tuple[slice, slice]): Rows and columns.
            picture (np.ndarray): (h, w, 3) uint8.
            mask (np.ndarray): (h, w) uint8, not 0 where to copy.
            label (int): Train id.
            z (float): Depth in metres.
        """
        cv2.copyTo(picture, mask, self.image[window])
        where = mask != 0
        self.labels[window][where] = label
        self.depth[window][where] = z

    def darken(self, corners: np.ndarray, strength: float, softness: float) -> None:
        """Lay a shadow.

        Args:
            corners (np.ndarray): (N, 2), column and row in pixels.
            strength (float): Share of the light that goes, 0 to 1.
            softness (float): Width of the soft edge in pixels.
        """
        margin = 2 * softness + 1
        low, high = corners.min(0) - margin, corners.max(0) + margin
        window = self.window(np.stack([low, high]))
        if window is None:
            return
        rows, columns = window
        mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        cv2.fillPoly(
            mask, [_fixed(corners - (columns.start, rows.start))], strength, cv2.LINE_8, SHIFT
        )
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, softness))
        self.image[window] = self.image[window] * (1 - mask[:, :, None])

    def window(self, corners: np.ndarray) -> tuple[slice, slice] | None:
        """Rows and columns of the image that a polygon's box covers; None where there are none."""
        left, top = np.floor(corners.min(0)).astype(int)
        right, bottom = np.ceil(corners.max(0)).astype(int) + 1
        left, right = max(0, left), min(self.camera.width, right)
        top, bottom = max(0, top), min(self.camera.height, bottom)
        if right - left < 1 or bottom - top < 1:
            return None
        return slice(top, bottom), slice(left, right)


class Billboard:
    """Paints flat things that stand upright and face the camera, in metres.

    Args:
        canvas (Canvas): Where to paint.
        s (float): Metres right of the street's axis.
        z (float): Metres ahead.
        mirrored (bool): Whether left and right are exchanged. Default: False.
        light (float): Factor of all colours. Default: 1.0.
    """

    def __init__(
        self, canvas: Canvas, s: float, z: float, mirrored: bool = False, light: float = 1.0
    ) -> None:
        self.canvas = canvas
        self.z = z
        self.light = light
        self.scale = canvas.camera.focal / z
        self._foot = canvas.camera.project(np.array([[s, 0.0, z]]))[0]
        self._axes = np.array([-self.scale if mirrored else self.scale, -self.scale])

    def place(self, points: np.ndarray | list[tuple[float, float]]) -> np.ndarray:
        """(N, 2) of metres right of and above the foot to (N, 2) pixels."""
        return self._foot + np.asarray(points, np.float64) * self._axes

    def polygon(
        self, points: list[tuple[float, float]], colour: Colour, label: int | None = None
    ) -> None:
        self.canvas.polygon(self.place(points), self._lit(colour), label, self.z)

    def line(
        self,
        points: list[tuple[float, float]],
        colour: Colour,
        thickness: float,
        label: int | None = None,
    ) -> None:
        """``thickness`` is in metres."""
        width = thickness * self.scale
        self.canvas.line(self.place(points), self._lit(colour), width, label, self.z)

    def disk(
        self,
        x: float,
        y: float,
        radius: float,
        colour: Colour | None,
        label: int | None = None,
    ) -> None:
        """``colour`` None marks the label map alone."""
        corners = self.place(np.array([x, y]) + radius * _CIRCLE)
        lit = None if colour is None else self._lit(colour)
        self.canvas.polygon(corners, lit, label, self.z)

    def _lit(self, colour: Colour) -> Colour:
        red, green, blue = (min(255, int(c * self.light)) for c in colour)
        return red, green, blue


def _fixed(points: np.ndarray) -> np.ndarray:
    """Pixels as OpenCV's integers with ``SHIFT`` binary places, kept within its range."""
    bounded = np.minimum(np.maximum(points, -4000.0), 8000.0)
    return np.rint(bounded * (1 << SHIFT)).astype(np.int32)


_ANGLES = np.arange(16) * (np.pi / 8)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
