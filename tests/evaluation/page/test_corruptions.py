"""Colours of the heat map."""

from __future__ import annotations

import pytest

from mmseg_robust.evaluation.page.corruptions import _colours


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    if len(colour) == 4:
        colour = "#" + "".join(2 * digit for digit in colour[1:])
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("percent", range(0, 101, 5))
def test_figures_can_be_read_on_every_colour(percent: int) -> None:
    lighter, darker = sorted(map(luminance, _colours(percent / 100)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2, level AA


def test_colours_tell_much_from_little_and_stop_at_the_ends() -> None:
    assert luminance(_colours(1.0)[0]) > luminance(_colours(0.5)[0]) > luminance(_colours(0.0)[0])
    assert _colours(1.3) == _colours(1.0)
