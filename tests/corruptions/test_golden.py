"""Pictures of all corruptions, as they were when they were last looked at.

``python tests/corruptions/test_golden.py`` writes them anew, for a change that is meant.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oracle import batch, picture
from PIL import Image

from mmseg_robust.corruptions import ALL_NAMES, corrupt

FOLDER = Path(__file__).with_name("golden")
SEVERITY, SEED = 3, 2026


def made(name: str) -> np.ndarray:
    """A part of a photograph under a corruption: uint8, (48, 64, 3)."""
    part = picture("square")[20:212:4, 100:356:4]
    return corrupt(batch(part), name, SEVERITY, SEED)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", ALL_NAMES)
def test_pictures_stay_the_same(name: str) -> None:
    stored = np.asarray(Image.open(FOLDER / f"{name}.png")).astype(int)
    apart = abs(made(name).astype(int) - stored)
    # Another processor may round a float the other way, now and then.
    assert (apart == 0).mean() >= 0.99
    assert (apart <= 1).mean() >= 0.999


def test_the_pictures_differ_from_each_other() -> None:
    pictures = [np.asarray(Image.open(FOLDER / f"{name}.png")).astype(int) for name in ALL_NAMES]
    for index, first in enumerate(pictures):
        for second in pictures[:index]:
            assert (abs(first - second) <= 1).mean() < 0.99


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in ALL_NAMES:
        Image.fromarray(made(each)).save(FOLDER / f"{each}.png", optimize=True)
