"""Pictures of what a linear-latent auto-encoder makes: curves by level, and an example."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mmseg_robust.augmentations.linear_latent_space import load_network
from mmseg_robust.datasets.defocused_images import DefocusedImageDataset
from mmseg_robust.evaluation.blur_level_metric import pixel_levels, similarity
from mmseg_robust.files import write_whole
from mmseg_robust.models.autoencoders.linear_latent import made_levels
from mmseg_robust.models.data_preprocessors import BlurLevelPreprocessor

COLOURS = {"baseline": "#0b8a5f", "implicit": "#c8500a", "explicit": "#0a66c2"}
PIXEL, INPUT = "#555b63", "#a4449a"
TASKS = {"blur": "blurring from both ends", "deblur": "deblurring with the most blurred image"}
MEASURES = {"psnr": "PSNR (dB)", "ssim": "SSIM"}
SHOWN = {"blur": (0, 4, 8, 12, 16), "deblur": (4, 8, 12, 14)}
"""Levels that an example shows."""
MOST_SIDE = 150
"""Pixels of an example's tiles, from the middle of the image."""
GAP, LEFT, TOP, FONT_SIZE = 4, 70, 24, 14
"""Pixels between tiles, left of and above them, and of the letters."""


def draw_levels(results: Mapping[str, Any], path: Path) -> None:
    """PSNR and SSIM over levels: a colour a variant, pixel space and the input beside them.

    Args:
        results (Mapping[str, Any]): ``variants``: by name what ``BlurLevelMetric`` writes.
        path (Path): The picture, .png.
    """
    drawing = Figure(figsize=(10, 6.4), layout="constrained")
    grid = drawing.subplots(2, 2, sharex=True, sharey="row")
    for row, measure in zip(grid, MEASURES):
        for axes, task in zip(row, TASKS):
            _draw_curves(axes, results["variants"], task, measure)
            axes.set_ylabel(MEASURES[measure])
    for axes, title in zip(grid[0], TASKS.values()):
        axes.set_title(title)
        axes.legend(frameon=False, fontsize=9)
    for axes in grid[1]:
        axes.set_xlabel("level (0 most blurred, 16 sharp)")
    buffer = io.BytesIO()
    drawing.savefig(buffer, dpi=90)
    write_whole(path, buffer.getvalue())


def _draw_curves(axes: Any, variants: Mapping[str, Any], task: str, measure: str) -> None:
    for name, figures in variants.items():
        _line(axes, figures[task]["latent"], measure, name, color=COLOURS[name])
    shared = next(iter(variants.values()))[task]
    _line(axes, shared["pixel"], measure, "pixel space", linestyle="--", color=PIXEL)
    if task == "deblur":
        alone = variants["explicit"][task]["latent alone"]
        style = dict(linestyle=":", color=COLOURS["explicit"])
        _line(axes, alone, measure, "explicit, one image", **style)
        _line(axes, shared["input"], measure, "the blurred image", linestyle="-.", color=INPUT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.tick_params(labelleft=True)


def _line(
    axes: Any, figures: Mapping[str, list[float]], measure: str, label: str, **style: Any
) -> None:
    axes.plot(figures["levels"], figures[measure], marker="o", markersize=4, label=label, **style)


@torch.no_grad()
def draw_examples(networks: Mapping[str, Path], images: Path, blur: Path, deblur: Path) -> None:
    """One image at several levels, made in every way, with the PSNR of the tile in its corner.

    Args:
        networks (Mapping[str, Path]): Checkpoints by the name of the variant.
        images (Path): Folder of images; the middle one is taken.
        blur (Path): The picture of blurred images.
        deblur (Path): The picture of deblurred ones.
    """
    dataset = DefocusedImageDataset(data_root=str(images), crop_size=None, test_mode=True)
    item = dataset[len(dataset) // 2]
    batch = BlurLevelPreprocessor()({key: [value] for key, value in item.items()})
    stack, levels = batch["inputs"][0], batch["levels"][0]
    inner, sharp = stack[1:-1], stack[-1:].expand_as(stack[1:-1])
    made = {name: made_levels(load_network(path), stack, levels) for name, path in networks.items()}
    pixels = pixel_levels(stack, levels)
    columns = {"true": stack, **{own: parts["blurred"] for own, parts in made.items()}}
    columns["pixel space"] = pixels["blurred"]
    _draw_tiles(columns, stack, levels, SHOWN["blur"], blur)
    columns = {"input": inner, **{own: parts["deblurred"] for own, parts in made.items()}}
    columns["explicit, one image"] = made["explicit"]["deblurred_alone"]
    columns.update({"pixel space": pixels["deblurred"], "true": sharp})
    _draw_tiles(columns, sharp, levels[1:-1], SHOWN["deblur"], deblur)


def _draw_tiles(
    columns: Mapping[str, Tensor], truth: Tensor, levels: Sequence[float], shown: Sequence[float],
    path: Path,
) -> None:  # fmt: skip
    """A column a way, a row a level."""
    height, width = (min(side, MOST_SIDE) for side in truth.shape[-2:])
    size = (LEFT + len(columns) * (width + GAP), TOP + len(shown) * (height + GAP))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_SIZE)
    for row, level in enumerate(shown):
        top, place = TOP + row * (height + GAP), levels.index(level)
        draw.text((GAP, top + height // 2), f"level {level:g}", "black", font, anchor="lm")
        for column, (name, images) in enumerate(columns.items()):
            left = LEFT + column * (width + GAP)
            if row == 0:
                draw.text((left + width // 2, TOP // 2), name, "black", font, anchor="mm")
            tile, true = _middle(images[place]), _middle(truth[place])
            pixels = tile.mul(255).round().to(torch.uint8).permute(1, 2, 0)
            sheet.paste(Image.fromarray(pixels.numpy()), (left, top))
            if not torch.equal(tile, true):
                corner = (left + GAP, top + height - GAP)
                text = f"{similarity(tile, true)[0]:.1f} dB"
                draw.rectangle(draw.textbbox(corner, text, font, anchor="lb"), "white")
                draw.text(corner, text, "black", font, anchor="lb")
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85)
    write_whole(path, buffer.getvalue())


def _middle(image: Tensor) -> Tensor:
    """At most ``MOST_SIDE`` pixels a side of an image (C, H, W)."""
    for axis in (-2, -1):
        side = min(image.shape[axis], MOST_SIDE)
        image = image.narrow(axis, (image.shape[axis] - side) // 2, side)
    return image
