"""The record of a robustness run: every figure of its report, made from what its images left.

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

A classifier's record has ``top1_error`` and ``top1_error_interval`` wherever a segmentor's has
``mIoU`` and ``mIoU_interval``, and ``clean``, ``mean`` and the mean's ``difference`` in its
``summary`` are errors; ``retention`` is that of the accuracy. It lacks ``aAcc``, ``mAcc``, ``IoU``
and ``areas``, and its ``ECE`` and ``flip_rate`` count images.

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
from mmseg_robust.evaluation.baseline import Baseline
from mmseg_robust.evaluation.bootstrap import (
    LEVEL,
    RESAMPLES,
    SEED,
    Interval,
    bootstrap_intervals,
)
from mmseg_robust.evaluation.comparison import paired_difference
from mmseg_robust.evaluation.measures import Measure, measure_of
from mmseg_robust.evaluation.record_files import SCHEMA, SCHEMA_VERSION, read_counts
from mmseg_robust.evaluation.results import RunResult
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
    counts: RunResult,
    classes: tuple[str, ...],
    run: Mapping[str, Any],
    baseline: Baseline | None = None,
) -> Record:
    """Makes the record of a run from what its images left.

    Args:
        protocol (Protocol): The protocol.
        counts (RunResult): That of all ranks, passes in the order of ``protocol.passes``. Where no
            confidence or no flips were counted, ECE or flip rates are NaN.
        classes (tuple[str, ...]): Names of the classes.
        run (Mapping[str, Any]): What was run, as JSON can hold it.
        baseline (Baseline, optional): The run to compare with. Defaults to None.

    Returns:
        Record: The record.
    """
    measure = counts.measure
    entries: list[Record] = [
        {
            "corruption": cell.corruption,
            "severity": cell.severity,
            **counts.figures(protocol, index),
        }
        for index, cell in enumerate(protocol.passes)
    ]
    stated = _by_cell(entries, measure.key)
    scores = {cell: measure.stated(value) for cell, value in stated.items()}
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
        "corruptions": _entries(measure, figures.corruptions),
        "groups": _entries(measure, figures.groups),
        "severities": _entries(measure, severity_means(protocol, scores)),
        "summary": {
            "clean": measure.stated(figures.clean),
            "mean": measure.stated(figures.mean),
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


def _entries(measure: Measure, scores: Mapping[Any, float]) -> Record:
    return {str(name): {measure.key: measure.stated(score)} for name, score in scores.items()}


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


def _add_intervals(record: Record, protocol: Protocol, counts: RunResult) -> None:
    measure, key = counts.measure, f"{counts.measure.key}_interval"
    found = bootstrap_intervals(protocol, counts.resampled_scores())
    if len(counts.names) < 2:
        record["notes"].append("Intervals left out: they need the counts of two images or more.")
    for entry, interval in zip([record["clean"], *record["cells"]], found.cells):
        entry[key] = _ends(measure.stated_interval(interval))
    by_part: dict[str, Mapping[Any, Interval]] = {
        "corruptions": found.corruptions,
        "groups": found.groups,
        "severities": found.severities,
    }
    for part, intervals in by_part.items():
        for name, interval in intervals.items():
            record[part][str(name)][key] = _ends(measure.stated_interval(interval))
    for name in ("clean", "mean"):
        interval = measure.stated_interval(getattr(found, name))
        record["summary"][f"{name}_interval"] = _ends(interval)
    record["summary"]["retention_interval"] = _ends(found.retention)


def _ends(interval: Interval) -> list[float] | None:
    return None if math.isnan(interval[0]) else list(interval)


def _add_comparison(
    record: Record,
    protocol: Protocol,
    figures: Robustness,
    counts: RunResult,
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
        "mean": counts.measure.stated_change(figures.mean - baseline.figures.mean),
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
        "mean": _ends(counts.measure.stated_change_interval(paired.mean.interval)),
        "retention": _ends(paired.retention.interval),
    }


def flat_metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a record as MMEngine logs them, rounded as its metrics are.

    Args:
        record (Mapping[str, Any]): A record.

    Returns:
        dict[str, float]: ``clean``, ``mean``, ``retention``, with a baseline ``mCE`` and
        ``relative_mCE``, where they are known ``clean_ECE``, ``ECE`` and ``flip_rate``, then one
        entry a group and a corruption, mIoU or top-1 error. Percent with two digits; ECE and flip
        rate from 0 to 1 with four.
    """
    summary, key = record["summary"], measure_of(record).key
    scores = {name: summary[name] for name in _PERCENTAGES if name in summary}
    scores.update({name: entry[key] for name, entry in record["groups"].items()})
    scores.update({name: entry[key] for name, entry in record["corruptions"].items()})
    shares = {key: summary[key] for key in _SHARES if not math.isnan(summary[key])}
    return {
        **{key: round(value, 2) for key, value in scores.items()},
        **{key: round(value, 4) for key, value in shares.items()},
    }
