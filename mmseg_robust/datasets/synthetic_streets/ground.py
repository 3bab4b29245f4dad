"""Road, sidewalks and grass, with markings, joints, stains and the shadows of houses."""

from __future__ import annotations

import numpy as np

from mmseg_robust.datasets.synthetic_streets.canvas import Canvas
from mmseg_robust.datasets.synthetic_streets.classes import ROAD, SIDEWALK, TERRAIN
from mmseg_robust.datasets.synthetic_streets.street import Street
from mmseg_robust.datasets.synthetic_streets.textures import TILE, noise_tile


def paint_ground(canvas: Canvas, rng: np.random.Generator, street: Street) -> None:
    """Paint all below the horizon.

    Args:
        canvas (Canvas): Where to paint.
        rng (np.random.Generator): Source of randomness.
        street (Street): The plan.
    """
    first, s, z = canvas.camera.ground()
    labels = _band_labels(s, street)
    palette = np.zeros((256, 3), np.float32)
    palette[ROAD], palette[SIDEWALK], palette[TERRAIN] = street.road, street.pavement, street.grass
    picture = palette[labels]
    light = _texture(rng, labels, s, z)
    _add_joints(light, labels, s, z)
    _add_kerbs(light, s, z, street)
    light *= _house_shadows(rng, s, z, street)
    _paint_markings(picture, rng, s, z, street, labels)
    picture *= light[:, :, None]
    canvas.image[first:] = np.clip(picture, 0, 255)
    canvas.labels[first:] = labels
    canvas.depth[first:] = z


def _band_labels(s: np.ndarray, street: Street) -> np.ndarray:
    labels = np.full(s.shape, TERRAIN, np.uint8)
    for side, distance in ((street.left, -s), (street.right, s)):
        here = distance >= 0
        labels[here & (distance < side.outer)] = SIDEWALK
        labels[here & (distance < side.inner)] = TERRAIN
        labels[here & (distance < side.kerb)] = ROAD
    return labels


def _texture(
    rng: np.random.Generator, labels: np.ndarray, s: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Light factor from noise that lies on the ground: grain near by, stains farther on."""
    tile = noise_tile()
    light = np.ones(s.shape, np.float32)
    strength = np.zeros(256, np.float32)
    strength[[ROAD, SIDEWALK, TERRAIN]] = rng.uniform(0.12, 0.3), rng.uniform(0.1, 0.3), 0.5
    for scale, share, reach in ((3.0, 0.9, 60.0), (20.0, 0.7, 18.0)):
        shift = rng.integers(0, TILE, 2)
        columns = ((s * scale).astype(np.int32) + shift[0]) % TILE
        rows = ((z * scale * 0.6).astype(np.int32) + shift[1]) % TILE
        value = (tile[rows, columns].astype(np.float32) - 128) / 128
        # Where a pixel covers many values of the tile their mean would be seen.
        light += strength[labels] * share * value * np.clip(reach / z, 0, 1)
    return light


def _add_joints(light: np.ndarray, labels: np.ndarray, s: np.ndarray, z: np.ndarray) -> None:
    """Lines between the slabs of the sidewalks."""
    near = (labels == SIDEWALK) & (z < 25)
    joint = (s % 1.0 < 0.05) | (z % 1.0 < 0.07)
    light[near & joint] *= 0.84


def _add_kerbs(light: np.ndarray, s: np.ndarray, z: np.ndarray, street: Street) -> None:
    for side, distance in ((street.left, -s), (street.right, s)):
        offset = distance - side.kerb
        light[(offset >= 0) & (offset < 0.15)] *= 1.18
        light[(offset < 0) & (offset > -0.12 - z * 0.002)] *= 0.72


def _house_shadows(
    rng: np.random.Generator, s: np.ndarray, z: np.ndarray, street: Street
) -> np.ndarray:
    """Shadow that the houses on the sun's side throw over the street."""
    if street.sun == 0:
        return np.ones_like(s)
    side = street.side(street.sun)
    heights = rng.uniform(4, 16, 64)
    heights[rng.random(64) < 0.3] = 0.5
    depth = (z / 11.0).astype(np.int32)[:, 0] % 64
    reach = (heights[depth] / street.sun_height).astype(np.float32)[:, None]
    distance = side.front - s * street.sun
    strength = np.float32(rng.uniform(0.3, 0.5))
    return 1 - strength * np.clip((reach - distance) / (0.3 + 0.01 * z), 0, 1)


def _paint_markings(
    picture: np.ndarray,
    rng: np.random.Generator,
    s: np.ndarray,
    z: np.ndarray,
    street: Street,
    labels: np.ndarray,
) -> None:
    """Dashes, edge lines, crossings, rails and patches of the road."""
    road = labels == ROAD
    white = np.float32(rng.uniform(150, 225))
    blend = np.float32(rng.uniform(0.45, 0.9))
    wide = 0.07 + z * 0.0012
    marks = np.zeros(s.shape, bool)
    if rng.random() < 0.8:
        dash = (z + rng.uniform(0, 9)) % 9.0 < rng.uniform(3, 6)
        marks |= (np.abs(s) < wide) & (dash | (rng.random() < 0.25))
    for side, sign in ((street.left, -1), (street.right, 1)):
        edge = side.kerb - (2.1 if side.has_parking else 0.35)
        if rng.random() < 0.5:
            marks |= np.abs(s * sign - edge) < wide
        if edge > 1.5 * street.lane:
            marks |= (np.abs(s * sign - street.lane) < wide) & ((z + 3) % 9.0 < 4)
    if rng.random() < 0.3:
        start = rng.uniform(8, 30)
        marks |= (z > start) & (z < start + 3.5) & (s % 1.1 < 0.55)
    marks &= road
    picture[marks] = picture[marks] * (1 - blend) + white * blend
    if street.has_rails:
        gauge = np.abs(np.abs(s + street.lane / 2) - 0.72) < 0.05 + z * 0.001
        picture[gauge & road] *= 0.55
    for _ in range(int(rng.integers(0, 5))):
        left, start = rng.uniform(-6, 5), rng.uniform(5, 40)
        patch = (s > left) & (s < left + rng.uniform(0.5, 3)) & (z > start)
        patch &= (z < start + rng.uniform(1, 12)) & road
        picture[patch] *= np.float32(rng.uniform(0.72, 1.15))
