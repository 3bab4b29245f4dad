"""Cityscapes' train ids, by name."""

from __future__ import annotations

import numpy as np

ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN = range(8)
VEGETATION, TERRAIN, SKY, PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE = range(8, 19)
VOID = 255

# Ids of mmseg_robust.datasets.CamVidDataset, whose eleven classes are groups of CamVid's 32: there
# trucks and buses are cars, walls buildings, lights signs, and who rides is one with the bicycle.
# That the terrain of the drawn scenes, grass mostly, goes to the trees is the project's choice.
_CAMVID = {
    SKY: 0, BUILDING: 1, WALL: 1, POLE: 2, ROAD: 3, SIDEWALK: 4, VEGETATION: 5, TERRAIN: 5,
    TRAFFIC_LIGHT: 6, TRAFFIC_SIGN: 6, FENCE: 7, CAR: 8, TRUCK: 8, BUS: 8, TRAIN: 8, PERSON: 9,
    RIDER: 10, MOTORCYCLE: 10, BICYCLE: 10,
}  # fmt: skip


def to_camvid(labels: np.ndarray) -> np.ndarray:
    """Cityscapes' train ids as CamVid's.

    Args:
        labels (np.ndarray): uint8, 0 to 18 or 255, any shape.

    Returns:
        np.ndarray: uint8, 0 to 10 or 255, same shape.
    """
    table = np.full(256, VOID, np.uint8)
    table[list(_CAMVID)] = list(_CAMVID.values())
    return table[labels]
