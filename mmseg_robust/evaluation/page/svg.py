"""Figures as SVG that stands in a page: its colours follow the page, its text stays text."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from mmseg_robust.evaluation.page.markup import escape

# Matplotlib is imported where it draws: most runs of this package draw no page.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Matplotlib knows no CSS variables: it draws in these colours, and each becomes the variable of
# style.css that has the light or the dark value.
INK = "#010101"
MUTED = "#010102"
GRID = "#010103"
RUN = "#010104"
BASELINE = "#010105"
LINES = ("#010111", "#010112", "#010113", "#010114", "#010115", "#010116")
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "line",
    RUN: "run",
    BASELINE: "baseline",
    **{colour: f"series-{place}" for place, colour in enumerate(LINES, 1)},
}

PIXELS = 72
"""Units of the SVG an inch of the figure, so that font size 12 means 12 units."""

FONT_SIZE = 12


def new_figure(width: float, height: float) -> Figure:
    """An empty figure without background.

    Args:
        width (float): Width in units of the SVG.
        height (float): Height in units of the SVG.

    Returns:
        Figure: The figure, known to no window system.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / PIXELS, height / PIXELS), dpi=PIXELS)
    figure.patch.set_alpha(0)
    return figure


def inline_svg(figure: Figure, identifier: str, description: str) -> str:
    """Turns a figure into an ``svg`` element.

    Args:
        figure (Figure): The figure.
        identifier (str): Put before every id inside, so that figures of one page stay apart.
        description (str): What it shows, for those who cannot see it.

    Returns:
        str: The element, as wide as its place allows. The same figure gives the same text.
    """
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": identifier}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    source = buffer.getvalue()
    size = re.search(r'viewBox="([^"]+)"', source)
    content = re.search(r"<svg[^>]*>(.*)</svg>", source, re.DOTALL)
    assert size is not None and content is not None, "no SVG"
    inside = re.sub(r"<metadata>.*?</metadata>", "", content[1], flags=re.DOTALL)
    inside = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{identifier}-", inside)
    for colour, variable in _VARIABLES.items():
        inside = inside.replace(colour, f"var(--{variable})")
    return f'<svg viewBox="{size[1]}" role="img" aria-label="{escape(description)}">{inside}</svg>'
