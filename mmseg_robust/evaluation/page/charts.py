"""Charts of a page: bars by corruption and curves over severities, small ones side by side.

Each is drawn for a width of :data:`WIDTH` units, so that its text can be read on a phone; on a wide
screen several stand beside each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmseg_robust.evaluation.page.content import Score
from mmseg_robust.evaluation.page.markup import number
from mmseg_robust.evaluation.page.svg import (
    BASELINE,
    FONT_SIZE,
    GRID,
    INK,
    LINES,
    MUTED,
    RUN,
    inline_svg,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 300
LEFT, RIGHT = 4, 36  # RIGHT takes the figure beside the longest bar
AXIS_HEIGHT = 20
NAME_HEIGHT, BAR_HEIGHT, GAP = 18, 14, 9
CURVE_HEIGHT, CURVE_LEFT, LEGEND_LINE = 170, 30, 17
MARKERS = "osD^vP"
LINE_STYLES = ("-", "--", ":")
COLUMN_CHARACTERS = 17  # longest name that fits half the width


@dataclass(frozen=True)
class Bars:
    """The bars of one corruption.

    Args:
        name (str): Its name.
        run (Score): Score of the run.
        baseline (Score, optional): Score of the baseline. Defaults to None, no bar.
    """

    name: str
    run: Score
    baseline: Score | None = None


def upper_limit(scores: Sequence[Score]) -> float:
    """End of an axis that all charts of a kind share: the next ten above the greatest score."""
    tops = [max((s.value, *(s.bounds or ()))) for s in scores if s.value is not None]
    return 10 * math.ceil(max(tops, default=100) / 10) or 10


def bar_chart(rows: Sequence[Bars], clean: float | None, limit: float, identifier: str) -> str:
    """Bars by corruption with intervals, and a line where the clean score is.

    Args:
        rows (Sequence[Bars]): The corruptions from top to bottom.
        clean (float, optional): Score on the clean images, None for no line.
        limit (float): End of the axis.
        identifier (str): Prefix of the ids.

    Returns:
        str: An ``svg`` element.
    """
    count = 2 if any(bars.baseline for bars in rows) else 1
    step = NAME_HEIGHT + count * BAR_HEIGHT + GAP
    inner = len(rows) * step
    height = inner + AXIS_HEIGHT
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes(
        (LEFT / WIDTH, AXIS_HEIGHT / height, (WIDTH - LEFT - RIGHT) / WIDTH, inner / height)
    )
    axes.set_xlim(0, limit)
    axes.set_ylim(inner, 0)  # units of the SVG, from the top
    axes.set_yticks([])
    _plain(axes)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    if clean is not None:
        axes.axvline(clean, color=MUTED, linewidth=1.2, linestyle=(0, (3, 2)))
    for place, bars in enumerate(rows):
        top = place * step
        axes.text(0, top + NAME_HEIGHT - 5, bars.name, color=INK, fontsize=FONT_SIZE)
        _bar(axes, top + NAME_HEIGHT, bars.run, RUN)
        if bars.baseline is not None:
            _bar(axes, top + NAME_HEIGHT + BAR_HEIGHT, bars.baseline, BASELINE)
    return inline_svg(figure, identifier, "; ".join(_in_words(bars) for bars in rows))


def _bar(axes: Axes, top: float, score: Score, colour: str) -> None:
    middle = top + BAR_HEIGHT / 2
    value = score.value or 0
    axes.barh(middle, value, BAR_HEIGHT - 3, color=colour, zorder=2)
    end = value
    if score.bounds is not None:
        low, high = score.bounds
        axes.plot([low, high], [middle, middle], color=INK, linewidth=1.2, zorder=3)
        axes.plot([low, high], [middle] * 2, "|", color=INK, markersize=6, zorder=3)
        end = max(value, high)
    axes.annotate(
        number(score.value, 1), (end, middle), (5, 0), textcoords="offset points", color=INK,
        fontsize=FONT_SIZE, va="center_baseline", annotation_clip=False,
    )  # fmt: skip


def _in_words(bars: Bars) -> str:
    text = f"{bars.name} {number(bars.run.value, 1)}"
    if bars.baseline is not None:
        text += f" (baseline {number(bars.baseline.value, 1)})"
    return text


def curve_chart(
    curves: Mapping[str, Mapping[int, Score]],
    limit: float,
    identifier: str,
    colours: Sequence[str] = LINES,
) -> str:
    """Scores over severities, a line a name, with intervals where there are any.

    Args:
        curves (Mapping[str, Mapping[int, Score]]): Score by severity, by name; 0 is clean.
        limit (float): End of the score's axis.
        identifier (str): Prefix of the ids.
        colours (Sequence[str]): Colours of the lines, used in turn.

    Returns:
        str: An ``svg`` element.
    """
    columns = 2 if max(map(len, curves)) <= COLUMN_CHARACTERS else 1
    legend = LEGEND_LINE * math.ceil(len(curves) / columns) + 10
    height = CURVE_HEIGHT + AXIS_HEIGHT + legend  # legend: its lines and the gap above it
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes(
        (
            CURVE_LEFT / WIDTH,
            (legend + AXIS_HEIGHT) / height,
            (WIDTH - CURVE_LEFT - 8) / WIDTH,
            (CURVE_HEIGHT - 8) / height,
        )
    )
    _plain(axes)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_ylim(0, limit)
    severities = sorted({severity for curve in curves.values() for severity in curve})
    axes.set_xticks(severities, ["clean" if s == 0 else str(s) for s in severities])
    axes.set_xlim(severities[0] - 0.25, severities[-1] + 0.25)
    axes.tick_params(axis="x", pad=8)  # clear of the 0 of the other axis
    for place, (name, curve) in enumerate(curves.items()):
        style = (
            MARKERS[place % len(MARKERS)] + LINE_STYLES[place // len(colours) % len(LINE_STYLES)]
        )
        _curve(axes, name, curve, style, colours[place % len(colours)])
    figure.legend(
        loc="lower left", bbox_to_anchor=(0, 0), ncols=columns, frameon=False, borderpad=0,
        fontsize=FONT_SIZE, labelcolor=INK, handlelength=2.2, columnspacing=1.0,
    )  # fmt: skip
    return inline_svg(figure, identifier, "; ".join(_curve_in_words(*c) for c in curves.items()))


def _curve(axes: Axes, name: str, curve: Mapping[int, Score], style: str, colour: str) -> None:
    scores = sorted(curve.items())
    values = {severity: score.value for severity, score in scores if score.value is not None}
    axes.plot(
        list(values), list(values.values()), style, color=colour, label=name, linewidth=1.8,
        markersize=4.5, clip_on=False, zorder=3,
    )  # fmt: skip
    bounds = {severity: score.bounds for severity, score in scores if score.bounds is not None}
    if bounds:
        low, high = zip(*bounds.values())
        axes.fill_between(list(bounds), low, high, color=colour, alpha=0.18, linewidth=0)


def _curve_in_words(name: str, curve: Mapping[int, Score]) -> str:
    return f"{name} {', '.join(number(score.value, 1) for _, score in sorted(curve.items()))}"


def _plain(axes: Axes) -> None:
    """No frame and no ticks: grid and figures carry the chart."""
    axes.patch.set_alpha(0)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=FONT_SIZE, labelcolor=MUTED)
    axes.set_axisbelow(True)
