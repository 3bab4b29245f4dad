"""Counts of a stored corrupted tree, whose images are tested in any order."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping

import numpy as np

from mmseg_robust.corruptions import ALL_NAMES, CLEAN, Cell, Protocol
from mmseg_robust.corruptions.names import MAX_SEVERITY
from mmseg_robust.corruptions.registry import find_corruption
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.image_counts import CountSums, ImageCounts, RunCounts


def cell_of_path(path: str, root: str) -> Cell:
    """Reads the cell of a stored image from its path.

    Args:
        path (str): Path of the image.
        root (str): Folder that holds the cells.

    Returns:
        Cell: The cell, with a known corruption and a severity from 1 to 5, or ``CLEAN``.

    Raises:
        InputError: If the path does not lie in a cell's folder.
    """
    parts = os.path.relpath(path, root).split(os.sep)
    if parts[0] == CLEAN.corruption:
        return CLEAN
    severities = [str(severity) for severity in range(1, MAX_SEVERITY + 1)]
    if len(parts) > 2 and _is_corruption(parts[0]) and parts[1] in severities:
        return Cell(parts[0], int(parts[1]))
    raise InputError(
        f"Cannot tell the corruption of {path!r}. Stored images must lie in "
        f"{os.path.join(root, 'clean')} or {os.path.join(root, '<corruption>', '<severity>')} with "
        f"a severity from 1 to {MAX_SEVERITY} and one of the names {', '.join(ALL_NAMES)}, or "
        "that of a frequency, such as 'fourier[0.5,0]@0.07'."
    )


def _is_corruption(name: str) -> bool:
    """Whether the engine knows a name, listed or of a family such as ``fourier[0.5,0]@0.07``."""
    try:
        find_corruption(name)
    except InputError:
        return False
    return True


def name_in_cell(path: str, cell: Cell, root: str) -> str:
    """Name that a stored image shares with its copies in other cells.

    Args:
        path (str): Path of the image.
        cell (Cell): Its cell, see :func:`cell_of_path`.
        root (str): Folder that holds the cells.

    Returns:
        str: Path under the cell's folder with slashes, without the extension, which may differ.
    """
    name = os.path.relpath(path, os.path.join(root, *str(cell).split("/")))
    return os.path.splitext(name)[0].replace(os.sep, "/")


def join_stored(
    results: Iterable[tuple[Cell, ImageCounts]], protocol: Protocol, root: str, num_classes: int
) -> RunCounts:
    """Sums the counts of stored images.

    Predictions of an image in neighbouring severities are never at hand together, so flips are not
    counted and stay zeros.

    Args:
        results (Iterable[tuple[Cell, ImageCounts]]): Cell and counts of each stored image, with one
            pass, named by :func:`name_in_cell`. Cells that the protocol does not have are left out.
        protocol (Protocol): The protocol.
        root (str): Folder that holds the cells, for messages.
        num_classes (int): Number of classes, C.

    Returns:
        RunCounts: The sums, images sorted by name.

    Raises:
        InputError: If the cells of the protocol do not hold the same images, or one twice.
    """
    cells: dict[Cell, dict[str, ImageCounts]] = {cell: {} for cell in protocol.passes}
    for cell, counts in results:
        images = cells.get(cell)
        if images is None:
            continue
        if counts.name in images:
            raise InputError(
                f"Image {counts.name!r} occurs twice in cell {Cell(*cell)} under {root!r}: list it "
                "once in the dataset, and let names differ in more than the extension."
            )
        images[counts.name] = counts
    names = _shared_names(cells, protocol, root)
    sums = CountSums(len(names), len(protocol.passes), num_classes)
    for place, name in enumerate(names):
        sums.add(place, _all_passes([images[name] for images in cells.values()]))
    return sums.finish(names)


def _shared_names(
    cells: Mapping[Cell, Mapping[str, ImageCounts]], protocol: Protocol, root: str
) -> list[str]:
    everywhere = sorted(set().union(*cells.values()))
    for cell, images in cells.items():
        missing = [name for name in everywhere if name not in images]
        if missing or not images:
            example = f": {missing[0]!r} is missing" if missing else ""
            raise InputError(
                f"Cell {cell} of {protocol.name} has {len(images)} images under {root!r}, others "
                f"have {len(everywhere)}: the stored tree is not complete{example}."
            )
    return everywhere


def _all_passes(passes: list[ImageCounts]) -> ImageCounts:
    """Counts of an image in all passes from those in each."""
    confusion = [counts.confusion.copy() for counts in passes]
    for index, table in enumerate(confusion):
        table[:, 0] = index
    return ImageCounts(
        name=passes[0].name,
        confusion=np.concatenate(confusion),
        nan=np.concatenate([counts.nan for counts in passes]),
        flips=np.concatenate([counts.flips for counts in passes]),
        confidence=np.concatenate([counts.confidence for counts in passes]),
    )
