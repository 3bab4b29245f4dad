"""The record of a robustness run: made, written as JSON, and read back as a baseline.

A record holds, all scores in percent and unrounded, NaN as ``null``:

* ``schema`` and ``schema_version``;
* ``protocol``: name, version, averaging rule, where corruptions act, source;
* ``run``: seed, backend, config, checkpoint, versions of the packages;
* ``classes`` and ``num_images``;
* ``clean`` and ``cells``: one entry a cell with corruption, severity, ``mIoU``, ``aAcc``, ``mAcc``,
  ``IoU`` by class, ``areas`` (pixels by class: intersect, union, prediction, label) and
  ``nan_images``;
* ``corruptions`` and ``groups``: ``mIoU`` by name, and with a baseline ``CE`` and ``relative_CE``;
* ``summary``: ``clean``, ``mean``, ``retention``, and with a baseline ``mCE`` and ``relative_mCE``;
* ``baseline``: its path, or ``null``.

A baseline file needs ``schema``, ``protocol`` (name, version), ``clean`` and ``corruptions`` only.
Where it has ``classes``, ``num_images``, ``run.seed`` and ``run.backend``, the run's own are
compared with them.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_robust.corruptions import CLEAN, Cell, Protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.areas import (
    INTERSECT,
    LABEL,
    PREDICTION,
    CellCounts,
    cell_scores,
)
from mmseg_robust.evaluation.robustness_metrics import (
    CorruptionErrors,
    Robustness,
    corruption_errors,
    corruption_means,
    robustness,
)

SCHEMA = "mmseg_robust.robustness"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Baseline:
    """Another run to compare with.

    Args:
        path (str): Its record's file.
        figures (Robustness): Its figures.
        classes (tuple[str, ...], optional): Names of its classes. Defaults to None, not known.
        num_images (int, optional): Number of its images. Defaults to None, not known.
        seed (int, optional): Seed of its corruptions. Defaults to None, not known.
        backend (str, optional): Generator of its corruptions. Defaults to None, not known.
    """

    path: str
    figures: Robustness
    classes: tuple[str, ...] | None = None
    num_images: int | None = None
    seed: int | None = None
    backend: str | None = None


def build_record(
    protocol: Protocol,
    counts: CellCounts,
    classes: tuple[str, ...],
    run: Mapping[str, Any],
    baseline: Baseline | None = None,
) -> dict[str, Any]:
    """Makes the record of a run from its counts.

    Args:
        protocol (Protocol): The protocol.
        counts (CellCounts): Counts by cell, in the order of ``protocol.passes``, all ranks' summed.
        classes (tuple[str, ...]): Names of the classes.
        run (Mapping[str, Any]): What was run, as JSON can hold it.
        baseline (Baseline, optional): The run to compare with. Defaults to None.

    Returns:
        dict[str, Any]: The record.
    """
    entries = [_cell_entry(cell, i, counts) for i, cell in enumerate(protocol.passes)]
    scores = {Cell(e["corruption"], e["severity"]): e["mIoU"] for e in entries}
    figures = robustness(protocol, scores[CLEAN], corruption_means(protocol, scores))
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "protocol": {
            "name": protocol.name,
            "version": protocol.version,
            "averaging": protocol.averaging,
            "acts": protocol.acts,
            "source": protocol.source,
        },
        "run": dict(run),
        "classes": list(classes),
        "num_images": int(counts.images[0]),
        "clean": entries[0],
        "cells": entries[1:],
        "corruptions": {name: {"mIoU": score} for name, score in figures.corruptions.items()},
        "groups": {name: {"mIoU": score} for name, score in figures.groups.items()},
        "summary": {
            "clean": figures.clean,
            "mean": figures.mean,
            "retention": figures.retention,
        },
        "baseline": None,
    }
    if baseline is not None:
        record["baseline"] = baseline.path
        _add_errors(record, corruption_errors(figures, baseline.figures))
    return record


def _cell_entry(cell: Cell, index: int, counts: CellCounts) -> dict[str, Any]:
    areas = counts.areas[index]
    scores = cell_scores(areas)
    union = areas[PREDICTION] + areas[LABEL] - areas[INTERSECT]
    return {
        "corruption": cell.corruption,
        "severity": cell.severity,
        "mIoU": scores.mIoU,
        "aAcc": scores.aAcc,
        "mAcc": scores.mAcc,
        "IoU": list(scores.iou),
        "areas": {
            "intersect": areas[INTERSECT].tolist(),
            "union": union.tolist(),
            "prediction": areas[PREDICTION].tolist(),
            "label": areas[LABEL].tolist(),
        },
        "nan_images": int(counts.nan_images[index]),
    }


def _add_errors(record: dict[str, Any], errors: CorruptionErrors) -> None:
    for name, entry in record["corruptions"].items():
        entry["CE"] = errors.ce[name]
        entry["relative_CE"] = errors.relative_ce[name]
    record["summary"]["mCE"] = errors.mce
    record["summary"]["relative_mCE"] = errors.relative_mce


def flat_metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a record as MMEngine logs them, rounded to two digits as its metrics are.

    Args:
        record (Mapping[str, Any]): A record.

    Returns:
        dict[str, float]: ``clean``, ``mean``, ``retention``, with a baseline ``mCE`` and
        ``relative_mCE``, then one entry a group and a corruption.
    """
    figures = dict(record["summary"])
    figures.update({name: entry["mIoU"] for name, entry in record["groups"].items()})
    figures.update({name: entry["mIoU"] for name, entry in record["corruptions"].items()})
    return {key: round(value, 2) for key, value in figures.items()}


def check_writable(path: str | Path) -> None:
    """Makes the folder of a file that is to be written after a long run.

    Args:
        path (str | Path): The file.

    Raises:
        InputError: If the file cannot be written there.
    """
    path = Path(path).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write {str(path)!r}: {error}") from error
    if not os.access(path.parent, os.W_OK) or path.is_dir():
        raise InputError(f"Cannot write {str(path)!r}: no permission, or it is a folder.")


def write_record(record: Mapping[str, Any], path: str | Path) -> None:
    """Writes a record so that the file is whole or absent.

    Args:
        record (Mapping[str, Any]): A record.
        path (str | Path): File to write; its folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_to_json(record))
        os.chmod(temporary, 0o644)  # mkstemp makes it private, a result is to be shared
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


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


def read_baseline(path: str | Path, protocol: Protocol) -> Baseline:
    """Reads what a comparison needs from another run's record.

    Args:
        path (str | Path): A file written by :func:`write_record`, or a subset of it, see above.
        protocol (Protocol): The protocol that both must share.

    Returns:
        Baseline: The baseline.

    Raises:
        InputError: If the file is missing, no such record, of another protocol or version, or
            lacks an entry or holds something else there.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the baseline {str(path)!r}: {error}") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise InputError(
            f"The baseline {str(path)!r} is no robustness record: give the robustness.json of "
            "another run."
        )
    other = _entry(record, path, "protocol", "name"), _entry(record, path, "protocol", "version")
    if other != (protocol.name, protocol.version):
        raise InputError(
            f"The baseline {str(path)!r} was measured with protocol {other[0]} version {other[1]}, "
            f"this run uses {protocol.name} version {protocol.version}: they do not compare."
        )
    means = {name: _score(record, path, "corruptions", name) for name in protocol.corruptions}
    run = record.get("run")
    run = run if isinstance(run, dict) else {}
    return Baseline(
        path=str(path),
        figures=robustness(protocol, _score(record, path, "clean"), means),
        classes=_classes(record, path),
        num_images=record.get("num_images"),
        seed=run.get("seed"),
        backend=run.get("backend"),
    )


def _entry(record: Mapping[str, Any], path: str | Path, *keys: str) -> Any:
    """An entry that a baseline must have."""
    value: Any = record
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            raise InputError(
                f"The baseline {str(path)!r} lacks {'.'.join(keys)!r}: add it or give another."
            )
        value = value[key]
    return value


def _score(record: Mapping[str, Any], path: str | Path, *keys: str) -> float:
    value = _entry(record, path, *keys, "mIoU")
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise InputError(
            f"The baseline {str(path)!r} has {value!r} as {'.'.join([*keys, 'mIoU'])!r}: a score "
            "must be a number from 0 to 100, or null."
        )
    return float(value)


def _classes(record: Mapping[str, Any], path: str | Path) -> tuple[str, ...] | None:
    names = record.get("classes")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"The baseline {str(path)!r} has {names!r} as 'classes': it must be a list of names."
        )
    return tuple(names)
