"""The record of a robustness run: every figure of its report, made from counts alone.

A record holds, scores and intervals in percent and unrounded (``ECE`` and ``flip_rate`` from 0 to
1), NaN and what is not known as ``null``:

* ``schema`` and ``schema_version``;
* ``protocol``: name, version, averaging rule, where corruptions act, source;
* ``run``: seed, backend, config, checkpoint, versions of the packages;
* ``classes`` and ``num_images``;
* ``clean`` and ``cells``: one entry a cell with corruption, severity, ``mIoU``, ``mIoU_interval``,
  ``aAcc``, ``mAcc``, ``IoU`` by class, ``areas`` (pixels by class: intersect, union, prediction,
  label), ``nan_images``, ``ECE`` (see :mod:`mmseg_robust.evaluation.calibration`) and
  ``flip_rate`` (share of pixels predicted otherwise than at the next weaker severity, for the
  weakest than on the clean image);
* ``corruptions`` and ``groups``: ``mIoU``, ``mIoU_interval``, ``ECE`` and ``flip_rate`` by name,
  and the corruptions with a baseline ``CE`` and ``relative_CE``;
* ``severities``: ``mIoU`` and ``mIoU_interval`` by severity, means over the corruptions that have
  it;
* ``summary``: ``clean``, ``mean``, ``retention``, each with its ``..._interval``, ``clean_ECE``,
  ``ECE`` and ``flip_rate``, and with a baseline ``mCE``, ``relative_mCE``, ``difference`` (the run
  minus the baseline, ``mean`` and ``retention``) and, where the baseline has counts by image, its
  ``difference_interval``;
* ``baseline``: its path, or ``null``;
* ``bootstrap``: resamples, seed and level of the intervals, which are ``[low, high]``, see
  :mod:`mmseg_robust.evaluation.bootstrap`;
* ``notes``: what is left out, and why.

Version 1 had no intervals, ``ECE``, ``flip_rate``, ``severities``, ``difference``, ``bootstrap``
and ``notes``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmseg_robust.corruptions import CLEAN, Cell, Protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.areas import (
    INTERSECT,
    LABEL,
    PREDICTION,
    cell_scores,
)
from mmseg_robust.evaluation.baseline import Baseline
from mmseg_robust.evaluation.bootstrap import (
    LEVEL,
    RESAMPLES,
    SEED,
    Interval,
    bootstrap_intervals,
)
from mmseg_robust.evaluation.calibration import expected_calibration_error, flip_rate
from mmseg_robust.evaluation.comparison import paired_difference
from mmseg_robust.evaluation.image_counts import RunCounts
from mmseg_robust.evaluation.record_files import SCHEMA, SCHEMA_VERSION, read_counts
from mmseg_robust.evaluation.robustness_metrics import (
    Robustness,
    corruption_errors,
    corruption_means,
    robustness,
    severity_means,
)

Record = dict[str, Any]

_PERCENTAGES = ("clean", "mean", "retention", "mCE", "relative_mCE")
_SHARES = ("clean_ECE", "ECE", "flip_rate")


def build_record(
    protocol: Protocol,
    counts: RunCounts,
    classes: tuple[str, ...],
    run: Mapping[str, Any],
    baseline: Baseline | None = None,
) -> Record:
    """Makes the record of a run from its counts.

    Args:
        protocol (Protocol): The protocol.
        counts (RunCounts): Counts of all ranks, passes in the order of ``protocol.passes``. Where
            no confidence or no flips were counted, ECE or flip rates are NaN.
        classes (tuple[str, ...]): Names of the classes.
        run (Mapping[str, Any]): What was run, as JSON can hold it.
        baseline (Baseline, optional): The run to compare with. Defaults to None.

    Returns:
        Record: The record.
    """
    totals = counts.total_areas
    entries = [_cell_entry(cell, i, counts, totals[i]) for i, cell in enumerate(protocol.passes)]
    scores = _by_cell(entries, "mIoU")
    figures = _averages(protocol, scores)
    record: Record = {
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
        "num_images": len(counts.names),
        "clean": entries[0],
        "cells": entries[1:],
        "corruptions": {name: {"mIoU": score} for name, score in figures.corruptions.items()},
        "groups": {name: {"mIoU": score} for name, score in figures.groups.items()},
        "severities": {
            str(severity): {"mIoU": score}
            for severity, score in severity_means(protocol, scores).items()
        },
        "summary": {
            "clean": figures.clean,
            "mean": figures.mean,
            "retention": figures.retention,
        },
        "baseline": None,
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "level": LEVEL},
        "notes": [],
    }
    _add_intervals(record, protocol, counts)
    _add_averages(record, protocol, "ECE", "the predictions came without logits")
    _add_averages(record, protocol, "flip_rate", "the predictions of an image were not compared")
    record["summary"]["clean_ECE"] = entries[0]["ECE"]
    _add_comparison(record, protocol, figures, counts, baseline)
    return record


def _cell_entry(cell: Cell, index: int, counts: RunCounts, areas: np.ndarray) -> Record:
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
        "ECE": expected_calibration_error(counts.confidence[index]),
        "flip_rate": flip_rate(counts.flips[:, index]),
    }


def _by_cell(entries: list[Record], key: str) -> dict[Cell, float]:
    return {Cell(entry["corruption"], entry["severity"]): entry[key] for entry in entries}


def _averages(protocol: Protocol, values: Mapping[Cell, float]) -> Robustness:
    return robustness(protocol, values[CLEAN], corruption_means(protocol, values))


def _add_averages(record: Record, protocol: Protocol, key: str, reason: str) -> None:
    """Averages a figure of the cells as the score is averaged."""
    values = _by_cell([record["clean"], *record["cells"]], key)
    figures = _averages(protocol, values)
    for name, entry in record["corruptions"].items():
        entry[key] = figures.corruptions[name]
    for name, entry in record["groups"].items():
        entry[key] = figures.groups[name]
    record["summary"][key] = figures.mean
    if all(np.isnan(list(values.values()))):
        record["notes"].append(f"{key} left out: {reason}.")


def _add_intervals(record: Record, protocol: Protocol, counts: RunCounts) -> None:
    found = bootstrap_intervals(protocol, counts.areas)
    if len(counts.areas) < 2:
        record["notes"].append("Intervals left out: they need the counts of two images or more.")
    for entry, interval in zip([record["clean"], *record["cells"]], found.cells):
        entry["mIoU_interval"] = _ends(interval)
    by_part: dict[str, Mapping[Any, Interval]] = {
        "corruptions": found.corruptions,
        "groups": found.groups,
        "severities": found.severities,
    }
    for part, intervals in by_part.items():
        for name, interval in intervals.items():
            record[part][str(name)]["mIoU_interval"] = _ends(interval)
    for name in ("clean", "mean", "retention"):
        record["summary"][f"{name}_interval"] = _ends(getattr(found, name))


def _ends(interval: Interval) -> list[float] | None:
    return None if math.isnan(interval[0]) else list(interval)


def _add_comparison(
    record: Record,
    protocol: Protocol,
    figures: Robustness,
    counts: RunCounts,
    baseline: Baseline | None,
) -> None:
    """Adds what a baseline gives, or a note that there is none."""
    if baseline is None:
        record["notes"].append("No baseline: mCE and relative mCE left out.")
        return
    record["baseline"] = baseline.path
    errors = corruption_errors(figures, baseline.figures)
    for name, entry in record["corruptions"].items():
        entry["CE"] = errors.ce[name]
        entry["relative_CE"] = errors.relative_ce[name]
    summary = record["summary"]
    summary["mCE"] = errors.mce
    summary["relative_mCE"] = errors.relative_mce
    summary["difference"] = {
        "mean": figures.mean - baseline.figures.mean,
        "retention": figures.retention - baseline.figures.retention,
    }
    unharmed = [
        name for name, score in baseline.figures.corruptions.items()
        if score >= baseline.figures.clean
    ]  # fmt: skip
    if unharmed:
        record["notes"].append(
            f"Relative mCE left out: the baseline loses nothing under {', '.join(unharmed)}."
        )
    try:
        if baseline.counts_path is None:
            raise InputError("it has no counts by image.")
        paired = paired_difference(protocol, counts, read_counts(baseline.counts_path))
    except InputError as error:  # a run is not lost because its baseline does not fit
        record["notes"].append(f"No interval of the difference to {baseline.path!r}: {error}")
        return
    summary["difference_interval"] = {
        "mean": _ends(paired.mean.interval),
        "retention": _ends(paired.retention.interval),
    }


def flat_metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a record as MMEngine logs them, rounded as its metrics are.

    Args:
        record (Mapping[str, Any]): A record.

    Returns:
        dict[str, float]: ``clean``, ``mean``, ``retention``, with a baseline ``mCE`` and
        ``relative_mCE``, where they are known ``clean_ECE``, ``ECE`` and ``flip_rate``, then one
        entry a group and a corruption. Percent with two digits; ECE and flip rate from 0 to 1 with
        four.
    """
    summary = record["summary"]
    scores = {key: summary[key] for key in _PERCENTAGES if key in summary}
    scores.update({name: entry["mIoU"] for name, entry in record["groups"].items()})
    scores.update({name: entry["mIoU"] for name, entry in record["corruptions"].items()})
    shares = {key: summary[key] for key in _SHARES if not math.isnan(summary[key])}
    return {
        **{key: round(value, 2) for key, value in scores.items()},
        **{key: round(value, 4) for key, value in shares.items()},
    }
