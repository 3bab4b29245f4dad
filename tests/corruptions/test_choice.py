"""Drawing of cells: what can come out, how often, and that a key decides all."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from mmseg_robust.corruptions import CLEAN, NAMES
from mmseg_robust.corruptions.choice import CellChoice
from mmseg_robust.errors import InputError


def drawn(count: int = 4000, **settings: Any) -> Counter:
    choice = CellChoice(**settings)
    return Counter(choice.draw(key) for key in range(count))


def test_a_fixed_cell() -> None:
    assert drawn(100, corruptions="fog", severities=3) == {("fog", 3): 100}


def test_all_cells_come_equally_often() -> None:
    counts = drawn(9500)
    assert set(counts) == {(name, severity) for name in NAMES for severity in range(1, 6)}
    # 95 cells, 100 draws each on average: 6 standard deviations.
    assert max(abs(count - 100) for count in counts.values()) < 60


def test_the_probability_is_kept() -> None:
    counts = drawn(corruptions=["fog", "snow"], severities=[2, 5], prob=0.3)
    assert set(counts) == {CLEAN, ("fog", 2), ("fog", 5), ("snow", 2), ("snow", 5)}
    assert abs(counts[CLEAN] / 4000 - 0.7) < 0.04
    assert drawn(500, prob=0) == {CLEAN: 500}
    assert CellChoice(prob=0).never_acts


def test_severity_0_is_clean() -> None:
    assert set(drawn(200, corruptions="fog", severities=[0, 2])) == {CLEAN, ("fog", 2)}


def test_what_is_held_out_never_comes() -> None:
    held_out = ["fog", "gaussian_noise"]
    names = {cell.corruption for cell in drawn(holdout=held_out)}
    assert names == set(NAMES) - set(held_out)
    assert {cell.corruption for cell in drawn(100, corruptions=["fog", "snow"], holdout="fog")} == {
        "snow"
    }


def test_a_key_decides() -> None:
    choice = CellChoice(prob=0.5)
    cells = [choice.draw(key) for key in range(50)]
    assert cells == [CellChoice(prob=0.5).draw(key) for key in range(50)]


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(corruptions="fogg"), "Did you mean 'fog'"),
        (dict(holdout=["smog"]), "Unknown corruption 'smog'"),
        (dict(severities=6), "integer from 0"),
        (dict(severities=[1, 2.5]), "got 2.5"),
        (dict(severities=[]), "No severity to draw from"),
        (dict(corruptions=5), "a name or a list of names, got 5"),
        (dict(holdout=None), "a name or a list of names, got None"),
        (dict(corruptions="fog", holdout="fog"), "No corruption to draw from"),
        (dict(prob=1.5), "prob is 1.5"),
        (dict(prob=True), "prob is True"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CellChoice(**settings)
