"""Haze, the camera's exposure, its lens and its sensor, and the car's own bonnet."""

from __future__ import annotations

import cv2
import numpy as np

from mmseg_robust.datasets.synthetic_streets.canvas import Canvas
from mmseg_robust.datasets.synthetic_streets.classes import (
    BICYCLE,
    BUILDING,
    MOTORCYCLE,
    PERSON,
    RIDER,
    SKY,
    VOID,
)
from mmseg_robust.datasets.synthetic_streets.colours import PAINTS, Colour, choose, shade
from mmseg_robust.datasets.synthetic_streets.textures import noise


def develop(canvas: Canvas, rng: np.random.Generator, haze: Colour) -> np.ndarray:
    """Turn what was painted into what a camera records.

    Args:
        canvas (Canvas): The finished scene.
        rng (np.random.Generator): Source of randomness.
        haze (Colour): Colour that far things fade to.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    picture: np.ndarray = canvas.image.astype(np.float32)
    picture *= _surface_grain(canvas, rng)[:, :, None]
    clear = np.exp(-canvas.depth / np.float32(rng.uniform(140, 700)))
    clear[canvas.labels == SKY] = 1
    fog = np.asarray(haze, np.float32)
    picture -= fog
    picture *= clear[:, :, None]
    picture += fog
    picture = cv2.GaussianBlur(picture, (3, 3), rng.uniform(0.45, 0.7))
    gain = rng.uniform(0.93, 1.07, 3) * rng.uniform(0.72, 1.2)
    contrast = rng.uniform(0.8, 1.15)
    picture *= _vignette(picture.shape[:2], rng)
    picture *= np.float32(gain * contrast)
    picture += np.float32(118 * (1 - contrast))
    picture += rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(1, 4))
    return cv2.convertScaleAbs(np.maximum(picture, 0))


def _surface_grain(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Unevenness of light on all that is not flat ground: folds, dirt, reflections."""
    strength = np.full(256, 0.16, np.float32)
    strength[[BUILDING, SKY]] = 0.06, 0.0
    strength[[PERSON, RIDER, BICYCLE, MOTORCYCLE]] = 0.3
    height, width = canvas.labels.shape
    value = noise(rng, height, width, 1.2).astype(np.float32)
    return 1 + strength[canvas.labels] * (value - 128) / 128


def _vignette(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    return (1 - np.float32(rng.uniform(0, 0.12)) * (x * x + y * y))[:, :, None]


def paint_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """The car that carries the camera, at the lower edge, and the image's border: both void.

    Args:
        canvas (Canvas): The finished scene.
        rng (np.random.Generator): Source of randomness.
    """
    height, width = canvas.labels.shape
    if rng.random() < 0.8:
        columns = np.linspace(0, width, 21)
        bow = 1 - (columns / width * 2 - 1) ** 4
        edge = height * (1 - rng.uniform(0.03, 0.1) * (0.45 + 0.55 * bow))
        paint = choose(rng, PAINTS, 16)
        corners = np.concatenate([np.stack([columns, edge], 1), [[width, height], [0, height]]])
        canvas.polygon(corners, paint, VOID, 1.5)
        ridge = np.stack([columns, edge + 0.012 * height], 1)
        canvas.line(ridge, shade(paint, 1.35), height / 128)
    border = max(1, width // 200)
    canvas.labels[:, :border] = VOID
    canvas.labels[:, -border:] = VOID
