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
from mmseg_robust.evaluation.baseline import Baseline
from mmseg_robust.evaluation.bootstrap import Interval, percentile_interval, resampled_figures
from mmseg_robust.evaluation.measures import Measure
from mmseg_robust.evaluation.results import RunResult
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


def check_measure(baseline: Baseline, measure: Measure) -> None:
    """Refuses a baseline of a segmentor for a classifier, and the other way round.

    Args:
        baseline (Baseline): The baseline.
        measure (Measure): That of the run.

    Raises:
        InputError: If the measures differ.
    """
    if baseline.measure is not measure:
        raise InputError(
            f"The runs do not compare: {baseline.path!r} states {baseline.measure.title}, the "
            f"other {measure.title}. Give two segmentors or two classifiers."
        )


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
    """A difference between the scores of two runs in percentage points.

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
        clean (Difference): Of the clean score.
        mean (Difference): Of the mean over corruptions.
        retention (Difference): Of the retention.
        corruptions (dict[str, Difference]): Of the score by corruption.
    """

    clean: Difference
    mean: Difference
    retention: Difference
    corruptions: dict[str, Difference]


def paired_difference(protocol: Protocol, one: RunResult, other: RunResult) -> PairedDifference:
    """Differences of two runs with intervals, by the paired bootstrap over images.

    Both runs are taken on the same resamples: what makes an image hard for both cancels, and the
    interval is mostly much narrower than those of the two runs suggest.

    Args:
        protocol (Protocol): The protocol of both.
        one (RunResult): What a run left of its images, see
            :func:`mmseg_robust.evaluation.record_files.read_counts`.
        other (RunResult): The same of the run that is subtracted, in any order of the images.

    Returns:
        PairedDifference: ``one`` minus ``other``.

    Raises:
        InputError: If the runs have other images, labels, classes or passes.
    """
    other = _same_images(protocol, one, other)
    ours, theirs = _figures(protocol, one), _figures(protocol, other)
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


def _figures(protocol: Protocol, run: RunResult) -> list[Robustness]:
    """The figures on all images, then those of each resample."""
    scores = np.concatenate([run.scores()[None], run.resampled_scores()])
    return resampled_figures(protocol, scores)


def _same_images(protocol: Protocol, one: RunResult, other: RunResult) -> RunResult:
    """The other run with its images in the order of the one's."""
    found = one.num_passes, other.num_passes
    if found != (len(protocol.passes), len(protocol.passes)) or type(one) is not type(other):
        raise InputError(
            f"The runs cannot be paired: {protocol.name} has {len(protocol.passes)} passes, their "
            f"counts hold {found[0]} and {found[1]} passes ({one.measure.title} and "
            f"{other.measure.title})."
        )
    if one.names != other.names:
        shared = set(one.names) & set(other.names)
        if not len(shared) == len(one.names) == len(other.names):
            raise InputError(
                f"The runs cannot be paired: of their {len(one.names)} and {len(other.names)} "
                f"images {len(shared)} have a name in common. Measure both on the same images."
            )
        place = {name: index for index, name in enumerate(other.names)}
        other = other.in_order([place[name] for name in one.names])
    if not np.array_equal(one.labels(), other.labels()):
        raise InputError(
            "The runs cannot be paired: images of one name have other labels in the two. Measure "
            "both with the same labels, reduce_zero_label and ignore_index."
        )
    return other


def _listed(classes: Sequence[str]) -> str:
    return f"{len(classes)} ({', '.join(classes)})"
