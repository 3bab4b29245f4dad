"""Whether a run and its baseline may be compared, and which classes a run has."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import MMLogger, print_log

from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.report import Baseline


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


def _listed(classes: Sequence[str]) -> str:
    return f"{len(classes)} ({', '.join(classes)})"
