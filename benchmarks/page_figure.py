"""The figure of the page of benchmarks: small panels with their bars."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FormatStrFormatter
from page_bars import MET, MISSED, WANTED, Row
from PIL import Image

COLOURS = {MET: "#1f77b4", MISSED: "#d95f02", "": "#9aa0a8"}
PANELS = {
    "loop": ("Evaluation loop over the bare forward pass", {"loop.forward": ""}),
    "stock": (
        "Times faster than the stock loop",
        {"stock.16": "16 workers ", "stock.4": "4 workers "},
    ),
    "step": (
        "Training step over the plain one, SegFormer-B0",
        {"step.cwfa": "cwfa ", "step.dfm-x": "dfm-x "},
    ),
    "forward": ("Fused attention: forward pass, times faster", {"attention.forward": ""}),
    "training": ("SegFormer's training step, times faster", {"attention.step": ""}),
}
"""Title of each panel; the figures whose bars are drawn in it, with their names there."""
LINES = (("loop", "stock"), ("step",), ("forward", "training"))
"""Which panels stand side by side."""


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draws all panels.

    Args:
        rows (list[Row]): Of all scripts.
        path (Path): PNG to write.
    """
    own = {panel: [row for row in rows if row.panel == panel] for panel in PANELS}
    most = [max(len(own[panel]) for panel in line) for line in LINES]
    heights = [4.2, *(0.9 + 0.24 * count for count in most)]  # inches
    with rc_context({"font.size": 10, "axes.titlesize": 11}):
        figure = Figure(figsize=(12, sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, hspace=0.04)
        draw_engine(figure.add_subplot(grid[0, :]), rows)
        for below, line in enumerate(LINES, start=1):
            for column, panel in enumerate(line):
                place = grid[below, column] if len(line) > 1 else grid[below, :]
                draw_panel(figure.add_subplot(place), *PANELS[panel], own[panel])
        names = {MET: "meets its bar", MISSED: "misses its bar", "": "has no bar"}
        handles = [Patch(color=COLOURS[verdict], label=name) for verdict, name in names.items()]
        figure.legend(handles=handles, ncols=3, frameon=False, loc="outside upper center")
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=100)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A palette is enough for flat colours, and takes a fraction of the bytes.
    picture = Image.open(buffer).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)
    picture.save(path, optimize=True)


def draw_engine(axes: Axes, rows: Sequence[Row]) -> None:
    """Milliseconds by corruption of the first file from a GPU, beside mean and floor."""
    axes.set_title("Corruption engine, milliseconds an image", pad=24)
    axes.spines[["top", "right"]].set_visible(False)
    drawn = [row for row in rows if row.panel == "engine"]
    if not drawn:
        axes.text(0.5, 0.5, "not measured yet", ha="center", transform=axes.transAxes)
        return
    own = [row for row in rows if row.file == drawn[0].file]
    drawn = [row for row in own if row.panel == "engine"]
    heights = [row.measured or 0.0 for row in drawn]
    axes.bar(range(len(drawn)), heights, color=[COLOURS[row.verdict] for row in drawn])
    axes.set_xticks(
        range(len(drawn)), [row.label.replace("_", " ") for row in drawn], rotation=40, ha="right"
    )
    axes.set_xlim(-0.6, len(drawn) - 0.4)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.set_ylabel("ms an image (log scale)")
    levels = {row.key: row.measured for row in own if row.listed and row.measured is not None}
    mean_bar, each_bar = WANTED["engine.mean"].bar, WANTED["engine.slowest"].bar
    assert mean_bar is not None and each_bar is not None
    lines = [
        (each_bar.limit, "black", "--", f"bar for each, {each_bar.limit:g} ms"),
        (mean_bar.limit, "black", ":", f"bar for the mean of the 19, {mean_bar.limit:g} ms"),
        (levels.get("engine.mean"), "#2ca02c", "-", "mean of the 19"),
        (levels.get("engine.floor"), "#8c564b", "-", "floor: a copy of the batch"),
    ]
    for height, colour, style, label in lines:
        if height is not None:
            axes.axhline(height, color=colour, linestyle=style, linewidth=1.3, label=label)
    axes.set_ylim(min(*heights, levels.get("engine.floor", 1.0)) / 1.5, 2 * each_bar.limit)
    axes.legend(ncols=4, frameon=False, loc="lower left", bbox_to_anchor=(0, 0.98), fontsize=9)


def draw_panel(axes: Axes, title: str, bars: dict[str, str], rows: Sequence[Row]) -> None:
    """A point for each row, with a line through all ways to form its figure, and the bars."""
    axes.set_title(title)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    for place, row in enumerate(rows):
        at = axes.get_yaxis_transform()
        text = row.verdict if row.measured is None else f"{row.measured:.3f}"
        axes.text(1.01, place, text, transform=at, va="center", fontsize=9)
        if row.measured is not None:
            colour = COLOURS[row.verdict]
            low, high = row.spread or (row.measured, row.measured)
            axes.plot([low, high], [place, place], color=colour, linewidth=2.5, alpha=0.5)
            axes.plot(row.measured, place, "o", color=colour, markersize=7)
        if row.bar is not None:
            ends = [place - 0.4, place + 0.4]
            axes.plot([row.bar.limit] * 2, ends, color="black", linewidth=2)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    named = ", ".join(f"{name}{WANTED[key].bar}" for key, name in bars.items())
    axes.set_xlabel(f"times (black: bar, {named})")
    axes.axvline(1, color="#9aa0a8", linewidth=0.8)
    axes.margins(x=0.05)
