"""Another run, or a published table, to compare a run with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_robust.corruptions import Protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.measures import MIOU, Measure, measure_of
from mmseg_robust.evaluation.published import find_baseline
from mmseg_robust.evaluation.record_files import images_path, read_record
from mmseg_robust.evaluation.robustness_metrics import Robustness, robustness


@dataclass(frozen=True)
class Baseline:
    """Another run to compare with.

    Args:
        path (str): Its record's file, or the name of a published baseline.
        figures (Robustness): Its figures, from scores.
        measure (Measure): What its record states. Defaults to mIoU.
        classes (tuple[str, ...], optional): Names of its classes. Defaults to None, not known.
        num_images (int, optional): Number of its images. Defaults to None, not known.
        seed (int, optional): Seed of its corruptions. Defaults to None, not known.
        backend (str, optional): Generator of its corruptions. Defaults to None, not known.
        counts_path (Path, optional): File of its counts by image. Defaults to None, there is none.
        record (dict[str, Any]): All that its record holds. Defaults to nothing.
    """

    path: str
    figures: Robustness
    measure: Measure = MIOU
    classes: tuple[str, ...] | None = None
    num_images: int | None = None
    seed: int | None = None
    backend: str | None = None
    counts_path: Path | None = None
    record: dict[str, Any] = field(default_factory=dict)


def read_baseline(path: str | Path, protocol: Protocol) -> Baseline:
    """Reads what a comparison needs from another run's record.

    A baseline needs ``schema``, ``protocol`` (name, version), ``clean`` and ``corruptions`` (each
    with ``mIoU``, or each with ``top1_error``) only. Where it has ``classes``, ``num_images``,
    ``run.seed`` and ``run.backend``, they are there to be compared with the run's own.

    Args:
        path (str | Path): A file written by
            :func:`mmseg_robust.evaluation.record_files.write_record`, or a subset of it; or a name
            of :func:`mmseg_robust.evaluation.published.published_baselines`.
        protocol (Protocol): The protocol that both must share.

    Returns:
        Baseline: The baseline.

    Raises:
        InputError: If the file is missing, no such record, of another protocol or version, or
            lacks an entry or holds something else there.
    """
    file = find_baseline(path)
    record = read_record(file, called="baseline")
    other = _entry(record, path, "protocol", "name"), _entry(record, path, "protocol", "version")
    if other != (protocol.name, protocol.version):
        raise InputError(
            f"The baseline {str(path)!r} was measured with protocol {other[0]} version {other[1]}, "
            f"this run uses {protocol.name} version {protocol.version}: they do not compare."
        )
    measure = measure_of(record)
    means = {
        name: _score(record, path, measure, "corruptions", name) for name in protocol.corruptions
    }
    run = record.get("run")
    run = run if isinstance(run, dict) else {}
    counts_path = images_path(file)
    return Baseline(
        path=str(path),
        figures=robustness(protocol, _score(record, path, measure, "clean"), means),
        measure=measure,
        classes=_classes(record, path),
        num_images=record.get("num_images"),
        seed=run.get("seed"),
        backend=run.get("backend"),
        counts_path=counts_path if counts_path.is_file() else None,
        record=record,
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


def _score(record: Mapping[str, Any], path: str | Path, measure: Measure, *keys: str) -> float:
    """The score of an entry, from the measure that it states."""
    keys = (*keys, measure.key)
    value = _entry(record, path, *keys)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise InputError(
            f"The baseline {str(path)!r} has {value!r} as {'.'.join(keys)!r}: a score "
            "must be a number from 0 to 100, or null."
        )
    return measure.stated(float(value))


def _classes(record: Mapping[str, Any], path: str | Path) -> tuple[str, ...] | None:
    names = record.get("classes")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"The baseline {str(path)!r} has {names!r} as 'classes': it must be a list of names."
        )
    return tuple(names)
