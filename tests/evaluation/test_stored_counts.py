"""Stored images in any order: their cells, names and sums."""

from __future__ import annotations

import random

import numpy as np
import pytest
from small_counts import CLASSES, PROTOCOL

from mmseg_robust.corruptions import CLEAN, Cell
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.calibration import BINS
from mmseg_robust.evaluation.image_counts import ImageCounts
from mmseg_robust.evaluation.stored_counts import cell_of_path, join_stored, name_in_cell

Results = list[tuple[Cell, ImageCounts]]


@pytest.mark.parametrize(
    "path, cell",
    [
        ("data/fog/3/a.png", Cell("fog", 3)),
        ("data/fog/3/city/b.png", Cell("fog", 3)),
        ("data/clean/fog/3/c.png", Cell("clean", 0)),
        ("data/../data/snow/1/d.png", Cell("snow", 1)),
    ],
)
def test_cells_of_paths(path: str, cell: Cell) -> None:
    assert cell_of_path(path, "data") == cell


@pytest.mark.parametrize(
    "path",
    ["data/smog/3/a.png", "data/fog/6/a.png", "data/fog/0/a.png", "data/fog/a.png", "fog/3/a.png"],
)
def test_paths_in_no_cell_are_refused(path: str) -> None:
    with pytest.raises(InputError, match=f"Cannot tell the corruption of '{path}'"):
        cell_of_path(path, "data")


@pytest.mark.parametrize(
    "path, cell, name",
    [
        ("data/fog/3/city/b.jpg", Cell("fog", 3), "city/b"),
        ("data/clean/city/b.png", CLEAN, "city/b"),
        ("data/clean/b.v2.png", CLEAN, "b.v2"),
    ],
)
def test_copies_of_an_image_share_a_name(path: str, cell: Cell, name: str) -> None:
    assert name_in_cell(path, cell, "data") == name


def results() -> Results:
    """Image "a" has 10 right pixels in each cell, "b" 20 + the cell's index, one NaN."""
    found = []
    for index, cell in enumerate((*PROTOCOL.passes, Cell("snow", 1))):
        for name, pixels in (("b", 20 + index), ("a", 10)):
            confidence = np.zeros((1, 2, BINS), np.int64)
            confidence[0, 1, index] = pixels
            counts = ImageCounts(
                name=name,
                confusion=np.array([[0, 1, 1, pixels], [0, 2, 0, 3]], np.int32),
                nan=np.array([cell == Cell("fog", 4)]),
                flips=np.zeros((1, 2), np.int64),
                confidence=confidence,
            )
            found.append((cell, counts))
    return found


def test_sums_do_not_depend_on_the_order() -> None:
    shuffled = results()
    random.Random(0).shuffle(shuffled)
    for order in (results(), shuffled):
        counts = join_stored(order, PROTOCOL, "data", len(CLASSES))
        assert counts.names == ("a", "b")
        for index, cell in enumerate(PROTOCOL.passes):
            assert counts.areas[0, index].tolist() == [[0, 10, 0], [3, 10, 0], [0, 10, 3]]
            assert counts.areas[1, index, 0].tolist() == [0, 20 + index, 0]
            assert counts.confusion[index, 1, 1] == 30 + index
            assert counts.confusion[index, 2, 0] == 6
            assert counts.nan_images[index] == 2 * (cell == Cell("fog", 4))
            assert counts.confidence[index, 1, index] == 30 + index
        assert counts.confidence.sum() == sum(30 + index for index in range(13))
        assert not counts.flips.any()


def test_cells_need_the_same_images() -> None:
    place = next(i for i, (cell, c) in enumerate(results()) if (cell, c.name) == (("fog", 2), "a"))
    partial = results()
    del partial[place]
    with pytest.raises(
        InputError, match=r"Cell fog/2 of demo has 1 images .* 2: .* 'a' is missing"
    ):
        join_stored(partial, PROTOCOL, "data", 3)
    with pytest.raises(InputError, match="Cell clean of demo has 0 images"):
        join_stored([], PROTOCOL, "data", 3)


def test_one_image_twice_is_refused() -> None:
    # As MMEngine hands results over, a cell is a plain tuple.
    twice = [*results(), (("fog", 2), results()[0][1])]
    with pytest.raises(InputError, match="Image 'b' occurs twice in cell fog/2 under 'data'"):
        join_stored(twice, PROTOCOL, "data", 3)
