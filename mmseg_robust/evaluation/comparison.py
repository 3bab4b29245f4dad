"""Comparing runs: whether two may be compared, and by how much they differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.logging import MMLogger, print_log

from mmseg_robust.corruptions import Protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.areas import LABEL, iou_by_class, mean_of_present
from mmseg_robust.evaluation.baseline import Baseline
from mmseg_robust.evaluation.bootstrap import (
    Interval,
    percentile_interval,
    resampled_figures,
    resampled_scores,
)
from mmseg_robust.evaluation.image_counts import RunCounts
from mmseg_robust.evaluation.robustness_metrics import Robustness


def dataset_classes(metainfo: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Names of the classes of a test dataset.

    Args:
        metainfo (Mapping[str, Any], optional): Meta information of the dataset.

    Returns:
        tuple[str, ...]: At least one name.

    Raises:
        InputError: If the dataset names no classes.
    """
    classes = tuple((metainfo or {}).get("classes") or ())
    if not classes:
        raise InputError(
            "The test dataset names no classes: set metainfo=dict(classes=(...)) in it."
        )
    return classes


def check_classes(baseline: Baseline, classes: Sequence[str]) -> None:
    """Refuses a baseline of other classes, as one of another data set has under one protocol.

    The order does not count, for a mean over classes does not depend on it.

    Args:
        baseline (Baseline): The baseline. One without names of classes passes.
        classes (Sequence[str]): Names of the run's classes.

    Raises:
        InputError: If the names differ.
    """
    if baseline.classes is not None and sorted(baseline.classes) != sorted(classes):
        raise InputError(
            f"The baseline {baseline.path!r} was measured on other classes, "
            f"{_listed(baseline.classes)}, than this run has, {_listed(classes)}: give a baseline "
            "of the same data set."
        )


def warn_of_differences(
    baseline: Baseline, num_images: int, seed: int | None, backend: str | None, logger: MMLogger
) -> None:
    """Warns of what lets two runs compare in part only: other images, numbers or generator.

    Args:
        baseline (Baseline): The baseline. What it does not tell is not compared.
        num_images (int): Number of the run's clean images.
        seed (int, optional): Seed of the run's corruptions, None where it is not known.
        backend (str, optional): Generator of the run's corruptions, None where it is not known.
        logger (MMLogger): Where to.
    """
    pairs = {
        "images": (baseline.num_images, num_images),
        "seed": (baseline.seed, seed),
        "backend": (baseline.backend, backend),
    }
    for name, (theirs, ours) in pairs.items():
        if None not in (theirs, ours) and theirs != ours:
            print_log(
                f"The baseline {baseline.path!r} was measured with {name} {theirs}, this run has "
                f"{name} {ours}: mCE compares them only roughly.",
                logger,
                logging.WARNING,
            )


@dataclass(frozen=True)
class Difference:
    """A difference between two runs in percentage points.

    Args:
        value (float): On all images.
        interval (Interval): Its 95 % bootstrap interval. Where 0 lies outside, the runs differ by
            more than the choice of images explains.
    """

    value: float
    interval: Interval


@dataclass(frozen=True)
class PairedDifference:
    """How much one run is above another on the same images.

    Args:
        clean (Difference): Of the clean mIoU.
        mean (Difference): Of the mean over corruptions.
        retention (Difference): Of the retention.
        corruptions (dict[str, Difference]): Of the mIoU by corruption.
    """

    clean: Difference
    mean: Difference
    retention: Difference
    corruptions: dict[str, Difference]


def paired_difference(protocol: Protocol, one: RunCounts, other: RunCounts) -> PairedDifference:
    """Differences of two runs with intervals, by the paired bootstrap over images.

    Both runs are taken on the same resamples: what makes an image hard for both cancels, and the
    interval is mostly much narrower than those of the two runs suggest.

    Args:
        protocol (Protocol): The protocol of both.
        one (RunCounts): Counts of a run, see
            :func:`mmseg_robust.evaluation.record_files.read_counts`.
        other (RunCounts): Counts of the run that is subtracted, in any order of the images.

    Returns:
        PairedDifference: ``one`` minus ``other``.

    Raises:
        InputError: If the runs have other images, labels, classes or passes.
    """
    areas = _same_images(protocol, one, other)
    ours, theirs = _figures(protocol, one.areas), _figures(protocol, areas)
    return PairedDifference(
        clean=_difference([run.clean for run in ours], [run.clean for run in theirs]),
        mean=_difference([run.mean for run in ours], [run.mean for run in theirs]),
        retention=_difference([run.retention for run in ours], [run.retention for run in theirs]),
        corruptions={
            name: _difference(
                [run.corruptions[name] for run in ours], [run.corruptions[name] for run in theirs]
            )
            for name in protocol.corruptions
        },
    )


def _difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """From the values on all images, then those of each resample."""
    value, *resampled = (one - other for one, other in zip(ours, theirs))
    return Difference(value, percentile_interval(resampled))


def _figures(protocol: Protocol, areas: np.ndarray) -> list[Robustness]:
    """The figures on all images, then those of each resample."""
    total = mean_of_present(iou_by_class(areas.sum(0, dtype=np.int64)))
    return resampled_figures(protocol, np.concatenate([total[None], resampled_scores(areas)]))


def _same_images(protocol: Protocol, one: RunCounts, other: RunCounts) -> np.ndarray:
    """Areas of the other run in the order of the one's images."""
    shapes = one.areas.shape[1:], other.areas.shape[1:]
    if shapes[0] != shapes[1] or shapes[0][0] != len(protocol.passes):
        raise InputError(
            f"The runs cannot be paired: {protocol.name} has {len(protocol.passes)} passes, their "
            f"counts hold {shapes[0][0]} and {shapes[1][0]} passes of {shapes[0][2]} and "
            f"{shapes[1][2]} classes."
        )
    areas = other.areas
    if one.names != other.names:
        shared = set(one.names) & set(other.names)
        if not len(shared) == len(one.names) == len(other.names):
            raise InputError(
                f"The runs cannot be paired: of their {len(one.names)} and {len(other.names)} "
                f"images {len(shared)} have a name in common. Measure both on the same images."
            )
        place = {name: index for index, name in enumerate(other.names)}
        areas = areas[[place[name] for name in one.names]]
    # Sorted, because the order of the classes decides nothing.
    ours, theirs = (np.sort(counts[:, 0, LABEL], axis=-1) for counts in (one.areas, areas))
    if not np.array_equal(ours, theirs):
        raise InputError(
            "The runs cannot be paired: images of one name have other labels in the two. Measure "
            "both with the same labels, reduce_zero_label and ignore_index."
        )
    return areas


def _listed(classes: Sequence[str]) -> str:
    return f"{len(classes)} ({', '.join(classes)})"
