"""Which images a report shows."""

from __future__ import annotations

import numpy as np
import pytest

from mmseg_robust.engine.loops.worst_images import worst_cells
from mmseg_robust.evaluation.image_counts import CountSums, ImageCounts


def counts(right: list[list[int]], pixels: int = 10):
    """Images by pass, with so many right pixels of two classes; -1: nothing is labelled."""
    passes = len(right[0])
    sums = CountSums(len(right), passes, 2)
    for place, row in enumerate(right):
        entries = []
        for index, number in enumerate(row):
            if number >= 0:
                entries += [[index, 0, 0, number], [index, 0, 1, pixels - number]]
        table = np.array(entries or np.zeros((0, 4)), dtype=np.int32).reshape(-1, 4)
        sums.add(
            place,
            ImageCounts(
                str(place), table, np.zeros(passes, bool), np.zeros((passes, 2), int),
                np.zeros((passes, 2, 240), int),
            ),
        )  # fmt: skip
    return sums.finish([str(place) for place in range(len(right))])


def test_worst_first_each_in_its_worst_pass() -> None:
    run = counts([[10, 9, 8], [10, 2, 4], [10, 6, 5], [-1, -1, -1]])
    assert worst_cells(run) == [(1, 1), (2, 2), (0, 2)]
    # Class 0: 2 of 10; class 1 was predicted, and nothing of it is right.
    assert run.image_scores()[1, 1] == pytest.approx(100 * (0.2 + 0) / 2)
    assert worst_cells(run, 1) == [(1, 1)]
    assert np.isnan(run.image_scores()[3]).all()
