"""Heat maps from counts, and their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_runs import CLASSES, made_up_counts

from mmseg_robust.analysis.fourier_heat_map import (
    HeatMap,
    check_comparable,
    heat_map,
    read_maps,
    write_maps,
)
from mmseg_robust.corruptions import FourierGrid
from mmseg_robust.errors import InputError

GRID = FourierGrid(3)


def made_up_map(quality: float = 0.8, images: int = 4, **about: Any) -> HeatMap:
    counts = made_up_counts(quality, GRID.protocol(), images)
    return heat_map("mine", GRID, counts, CLASSES, {"seed": 0, **about})


def test_errors_and_intervals() -> None:
    counts = made_up_counts(0.8, GRID.protocol(), 4)
    made = made_up_map()
    expected = 100 - counts.scores()
    assert made.clean == expected[0]
    middle, below = expected[1:3], expected[3:]
    np.testing.assert_array_equal(made.error[1], [middle[1], middle[0], middle[1]])
    np.testing.assert_array_equal(made.error[2], below)
    np.testing.assert_array_equal(made.error[0], below[::-1])
    assert (made.low < made.error).all() and (made.error < made.high).all()
    assert made.worst[0] == made.error.max() and made.mean == made.error.mean()
    assert np.isnan(made_up_map(images=1).low).all()


def test_files(tmp_path: Path) -> None:
    one, other = made_up_map(), replace(made_up_map(0.7, images=1), clean=float("nan"))
    write_maps([one, other], tmp_path / "new" / "maps.json")
    for found, expected in zip(read_maps(tmp_path / "new/maps.json"), (one, other)):
        for key, value in vars(expected).items():
            np.testing.assert_equal(getattr(found, key), value)
    entry = json.loads((tmp_path / "new/maps.json").read_text())["maps"][0]
    assert entry["frequencies"] == [-0.5, 0, 0.5]
    assert entry["error"][1][1] == one.error[1, 1] and entry["mean"] == one.mean


def test_wrong_files(tmp_path: Path) -> None:
    path = tmp_path / "maps.json"
    with pytest.raises(InputError, match=r"Cannot read the heat maps .*maps\.json"):
        read_maps(path)
    path.write_text('{"schema": "mmseg_robust.robustness"}')
    with pytest.raises(InputError, match="holds no Fourier heat maps"):
        read_maps(path)
    write_maps([made_up_map()], path)
    whole = path.read_text()
    for old, new in (
        ('schema_version": 1', 'schema_version": 9'),
        ('"low"', '"lo"'),
        ("3x3", "5x5"),
    ):
        path.write_text(whole.replace(old, new, 1))
        with pytest.raises(InputError, match="Make them again"):
            read_maps(path)


@pytest.mark.parametrize(
    "other, named",
    [
        (made_up_map(seed=1), "seed: 0 and 1"),
        (made_up_map(images=5), "number of images: 4 and 5"),
        (replace(made_up_map(), images="f00"), "check sum"),
        (replace(made_up_map(), grid=FourierGrid(3, 0.25)), "grid: 'fourier-3x3-to0.5-rms0.07'"),
        (replace(made_up_map(), measure="top1_error"), "'100 - mIoU' and 'top-1 error'"),
        (replace(made_up_map(), classes=("a", "b", "c")), "classes"),
    ],
)
def test_what_does_not_compare(other: HeatMap, named: str) -> None:
    check_comparable([made_up_map(), replace(made_up_map(0.6), name="another")])
    with pytest.raises(InputError, match="do not compare") as caught:
        check_comparable([made_up_map(), other])
    assert named in str(caught.value)
