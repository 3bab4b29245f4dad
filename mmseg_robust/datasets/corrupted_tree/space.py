"""How much disk a tree will take, from a few encoded samples."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from mmseg_robust.corruptions import Cell
from mmseg_robust.datasets.corrupted_tree.maker import Job, corrupted_arrays, encode
from mmseg_robust.datasets.corrupted_tree.records import Recipe
from mmseg_robust.datasets.corrupted_tree.sources import Source, read_image
from mmseg_robust.errors import InputError

MARGIN = 1.1
"""Free space must exceed the estimate by this factor, as samples do not tell all."""


def estimate_bytes(
    folder: Path, sources: Sequence[Source], jobs: Sequence[Job], recipe: Recipe
) -> int:
    """Bytes that the missing files will take.

    One image a corruption, at one of its severities, is corrupted on the CPU and encoded. Its bytes
    a pixel stand for the whole corruption.

    Args:
        folder (Path): Folder of the clean images.
        sources (Sequence[Source]): The images.
        jobs (Sequence[Job]): What is missing.
        recipe (Recipe): That of the tree.

    Returns:
        int: The estimate; 0 if no image can be read.
    """
    pixels_of = {source.name: source.height * source.width for source in sources}
    pixels: dict[str, int] = {}
    samples: dict[str, list[tuple[str, Cell]]] = {}
    for job in jobs:
        for cell in job.cells:
            pixels[cell.corruption] = pixels.get(cell.corruption, 0) + pixels_of[job.name]
            samples.setdefault(cell.corruption, []).append((job.name, cell))
    total = 0.0
    for number, (corruption, candidates) in enumerate(samples.items()):
        # Another image and severity for each corruption.
        first = number * len(candidates) // len(samples)
        rate = _bytes_per_pixel(folder, candidates[first:] + candidates[:first], recipe)
        total += rate * pixels[corruption]
    return int(total)


def _bytes_per_pixel(folder: Path, candidates: Sequence[tuple[str, Cell]], recipe: Recipe) -> float:
    """That of the first candidate that can be made."""
    for name, cell in candidates:
        try:
            (bgr,) = corrupted_arrays([read_image(folder / name)], [name], cell, recipe)
        except InputError:
            continue
        return len(encode(bgr, cell, recipe)) / (bgr.shape[0] * bgr.shape[1])
    return 0.0


def check_space(out: Path, needed: int) -> None:
    """Refuses what will not fit.

    Args:
        out (Path): The tree, which exists.
        needed (int): Estimated bytes.

    Raises:
        InputError: If less is free.
    """
    free = shutil.disk_usage(out).free
    if needed * MARGIN > free:
        raise InputError(
            f"About {in_words(needed)} are needed in {str(out)!r}, {in_words(free)} are free. Free "
            "some, choose fewer cells or --jpeg-quality, or go ahead with --force."
        )


def in_words(count: float) -> str:
    """Bytes as a person says them.

    Args:
        count (float): Bytes.

    Returns:
        str: Such as ``'1.5 GB'``.
    """
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"
