"""Fourier heat maps: a model's error under noise of one frequency at a time.

Paper: Yin et al., NeurIPS 2019, arXiv 1906.08988; the noise is that of
:mod:`mmseg_robust.corruptions.fourier_noise`. The paper shows a classifier's error rate; for a
segmentor it is 100 - mIoU here, from counts over all images, the project's own choice. What tests
the model is :mod:`mmseg_robust.analysis.fourier_heat_map_loop`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_robust.corruptions import FourierGrid
from mmseg_robust.corruptions.fourier_grid import VERSION
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.bootstrap import percentile_interval
from mmseg_robust.evaluation.results import RunResult
from mmseg_robust.files import write_whole

SCHEMA = "mmseg_robust.fourier_heat_map"
SCHEMA_VERSION = 1
TITLES = {"mIoU": "100 - mIoU", "top1_error": "top-1 error"}
"""What the error is, by the key of its measure."""

_ARRAYS = ("error", "low", "high")


@dataclass(frozen=True)
class HeatMap:
    """The errors of one model in percent; NaN where there is none, as without any label.

    Args:
        name (str): Name of the model.
        grid (FourierGrid): Frequencies and strength.
        measure (str): Key of the measure in ``TITLES``.
        clean (float): Error on the clean images.
        error (np.ndarray): float64, shape (n, n): frequencies down by frequencies across, see
            ``FourierGrid.frequencies``; it is its own mirror image.
        low (np.ndarray): Lower end of its 95 % bootstrap interval over images, likewise.
        high (np.ndarray): Upper end.
        num_images (int): Images tested, N.
        images (str): Check sum of their names and labels.
        classes (tuple[str, ...]): Names of the classes.
        run (dict[str, Any]): What was run, as JSON can hold it; among others the ``seed``.
    """

    name: str
    grid: FourierGrid
    measure: str
    clean: float
    error: np.ndarray
    low: np.ndarray
    high: np.ndarray
    num_images: int
    images: str
    classes: tuple[str, ...]
    run: dict[str, Any]

    @property
    def mean(self) -> float:
        """Mean error over the grid."""
        return float(self.error.mean())

    @property
    def worst(self) -> tuple[float, float, float]:
        """Greatest error and its frequency: error, cycles a pixel down, across."""
        values = self.grid.frequencies
        errors = [self.error[place] for place in self.grid.places]
        row, column = self.grid.places[int(np.argmax(np.nan_to_num(errors)))]
        return float(self.error[row, column]), values[row], values[column]


def heat_map(
    name: str, grid: FourierGrid, run: RunResult, classes: Sequence[str], about: Mapping[str, Any]
) -> HeatMap:
    """The heat map of a tested model.

    Args:
        name (str): Name of the model.
        grid (FourierGrid): What it was tested on.
        run (RunResult): What its images left in the passes of ``grid.protocol()``.
        classes (Sequence[str]): Names of the classes.
        about (Mapping[str, Any]): What was run, as JSON can hold it.

    Returns:
        HeatMap: The map.
    """
    errors = 100 - run.scores()
    resampled = 100 - run.resampled_scores()
    low, high = zip(*(percentile_interval(column) for column in resampled[:, 1:].T))
    digest = hashlib.sha256("\n".join(run.names).encode())
    digest.update(np.ascontiguousarray(run.labels()).tobytes())
    return HeatMap(
        name=name,
        grid=grid,
        measure=run.measure.key,
        clean=float(errors[0]),
        error=grid.mirrored(errors[1:]),
        low=grid.mirrored(low),
        high=grid.mirrored(high),
        num_images=len(run.names),
        images=digest.hexdigest()[:16],
        classes=tuple(classes),
        run=dict(about),
    )


def check_comparable(maps: Sequence[HeatMap]) -> None:
    """Refuses maps that do not belong on one scale.

    Args:
        maps (Sequence[HeatMap]): One or more.

    Raises:
        InputError: If grid, measure, classes, images, labels or seed differ.
    """
    first = _compared(maps[0])
    for other in maps[1:]:
        theirs = _compared(other)
        parts = [
            f"{key}: {first[key]!r} and {theirs[key]!r}"
            for key in first
            if first[key] != theirs[key]
        ]
        if parts:
            raise InputError(
                f"The heat maps of {maps[0].name!r} and {other.name!r} do not compare, they differ "
                f"in {'; '.join(parts)}. Make both with the same options on the same images."
            )


def _compared(one: HeatMap) -> dict[str, Any]:
    return {
        "grid": one.grid.name,
        "error": TITLES[one.measure],
        "classes": list(one.classes),
        "number of images": one.num_images,
        "check sum of images and labels": one.images,
        "seed": one.run.get("seed"),
    }


def write_maps(maps: Sequence[HeatMap], path: str | Path) -> None:
    """Writes maps as JSON, whole or not at all.

    Args:
        maps (Sequence[HeatMap]): The maps.
        path (str | Path): File to write; its folder is made.

    Raises:
        OSError: If it cannot be written.
    """
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION}
    entries = ",\n".join(json.dumps(_entry(one), allow_nan=False) for one in maps)
    text = json.dumps(content)[:-1] + f', "maps": [\n{entries}\n]}}\n'
    write_whole(path, text.encode())


def _entry(one: HeatMap) -> dict[str, Any]:
    return {
        **{key: getattr(one, key) for key in ("name", "measure", "num_images", "images")},
        "clean": _known(one.clean),
        "mean": _known(one.mean),
        "grid": {**asdict(one.grid), "name": one.grid.name, "version": VERSION},
        "frequencies": list(one.grid.frequencies),
        **{
            key: [[_known(value) for value in row] for row in getattr(one, key).tolist()]
            for key in _ARRAYS
        },
        "classes": list(one.classes),
        "run": one.run,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def read_maps(path: str | Path) -> list[HeatMap]:
    """Reads maps.

    Args:
        path (str | Path): A file written by :func:`write_maps`.

    Returns:
        list[HeatMap]: One or more.

    Raises:
        InputError: If the file is missing, damaged, no file of heat maps, or of another version.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the heat maps {str(path)!r}: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise InputError(
            f"{str(path)!r} holds no Fourier heat maps: give a JSON file that "
            "fourier_heat_map.py wrote."
        )
    versions = [content.get("schema_version")]
    try:
        entries = content["maps"]
        versions += [entry["grid"]["version"] for entry in entries]
        if versions != [SCHEMA_VERSION] + [VERSION] * len(entries) or not entries:
            raise ValueError(f"versions of file and noise are {versions}")
        return [_read_entry(entry) for entry in entries]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"Cannot read the heat maps {str(path)!r}: {error}. Make them again with this release."
        ) from error


def _read_entry(entry: Mapping[str, Any]) -> HeatMap:
    grid = FourierGrid.from_name(entry["grid"]["name"])
    arrays = {key: np.array(entry[key], np.float64) for key in _ARRAYS}
    if any(array.shape != (grid.size, grid.size) for array in arrays.values()):
        raise ValueError("the maps have another size than the grid")
    return HeatMap(
        name=str(entry["name"]),
        grid=grid,
        measure=str(entry["measure"]),
        clean=math.nan if entry["clean"] is None else float(entry["clean"]),
        num_images=int(entry["num_images"]),
        images=str(entry["images"]),
        classes=tuple(entry["classes"]),
        run=dict(entry["run"]),
        **arrays,
    )
