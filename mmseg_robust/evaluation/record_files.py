"""Files of a run's results: the record as JSON, and what each image left as a NumPy archive."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.image_counts import RunCounts
from mmseg_robust.evaluation.image_predictions import RunPredictions
from mmseg_robust.evaluation.results import RunResult
from mmseg_robust.files import read_archive, write_archive, write_whole

SCHEMA = "mmseg_robust.robustness"

SCHEMA_VERSION = 2
"""Of the records that are written."""

READABLE_VERSIONS = (1, 2)


def write_record(record: Mapping[str, Any], path: str | Path) -> None:
    """Writes a record as JSON.

    Args:
        record (Mapping[str, Any]): A record.
        path (str | Path): File to write; its folder is made.
    """
    write_whole(path, _to_json(record).encode())


def _to_json(record: Mapping[str, Any]) -> str:
    """JSON with a line for each entry and each cell, which a person can read and compare."""
    lines = []
    for key, value in _without_nan(record).items():
        text = json.dumps(value, allow_nan=False)
        if key == "cells":
            text = "[\n  " + ",\n  ".join(json.dumps(cell) for cell in value) + "\n ]"
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_record(path: str | Path, called: str = "record") -> dict[str, Any]:
    """Reads a record of this or an older version.

    Args:
        path (str | Path): A file written by :func:`write_record`, or a subset of one.
        called (str): What messages call the file. Defaults to ``'record'``.

    Returns:
        dict[str, Any]: The record. Version 1 lacks the entries that came with version 2.

    Raises:
        InputError: If the file is missing, no such record, or of a newer version.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the {called} {str(path)!r}: {error}") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise InputError(
            f"The {called} {str(path)!r} is no robustness record: give the robustness.json of a "
            "run."
        )
    version = record.get("schema_version", READABLE_VERSIONS[0])
    if version not in READABLE_VERSIONS:
        raise InputError(
            f"The {called} {str(path)!r} has schema version {version!r}, this release reads "
            f"{' and '.join(map(str, READABLE_VERSIONS))}: update mmseg_robust."
        )
    return record


def images_path(record_path: str | Path) -> Path:
    """Where the counts by image of a record lie: ``X_images.npz`` beside ``X.json``.

    Args:
        record_path (str | Path): File of the record.

    Returns:
        Path: File of the counts, which need not exist.
    """
    record_path = Path(record_path)
    return record_path.with_name(f"{record_path.stem}_images.npz")


def write_counts(counts: RunResult, path: str | Path) -> None:
    """Writes what the images of a run left, from which every figure can be made again.

    The archive holds the fields of :class:`RunCounts` or :class:`RunPredictions` under their names.

    Args:
        counts (RunResult): What they left.
        path (str | Path): File to write, see :func:`images_path`; its folder is made.
    """
    write_archive(path, names=np.array(counts.names, dtype=str), **counts.arrays())


def read_counts(path: str | Path) -> RunResult:
    """Reads what the images of a run left.

    Args:
        path (str | Path): A file written by :func:`write_counts`.

    Returns:
        RunResult: ``RunPredictions`` of a classifier, else ``RunCounts``.

    Raises:
        InputError: If the file is missing, damaged or holds something else.
    """
    try:
        stored = read_archive(path)
        names = tuple(stored.pop("names").tolist())
        kind = RunPredictions if "predictions" in stored else RunCounts
        return kind.from_arrays(names, stored)
    except Exception as error:  # see read_archive
        raise InputError(
            f"Cannot read the counts by image {str(path)!r}: {error}. It must be the file that "
            "a run wrote beside its robustness.json: copy it again, or run the test again."
        ) from error
