"""Runs of classifiers without a model: random predictions, and the files that a run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.evaluation.baseline import Baseline
from mmseg_robust.evaluation.image_predictions import RunPredictions
from mmseg_robust.evaluation.record import build_record
from mmseg_robust.evaluation.report import write_report

PROTOCOL = get_protocol("demo")
CLASSES = ("bird", "cat", "dog", "owl")


def random_predictions(
    seed: int = 0, num_images: int = 12, label_seed: int = 0, accuracy: float = 0.8
) -> RunPredictions:
    """Predictions that corruption makes worse, more so at higher severity.

    Runs that share ``label_seed`` are on the same images.
    """
    labels = np.random.default_rng(label_seed)
    random = np.random.default_rng(seed + 1)
    label = labels.integers(0, len(CLASSES), num_images).astype(np.int32)
    hard = labels.uniform(0, 0.2, num_images)  # an image is hard for every run
    shares = [accuracy + hard - 0.12 * cell.severity for cell in PROTOCOL.passes]
    right = random.random((num_images, len(shares))) < np.stack(shares, axis=1)
    other = (label[:, None] + random.integers(1, len(CLASSES), right.shape)) % len(CLASSES)
    return RunPredictions(
        names=tuple(f"{index:02d}" for index in range(num_images)),
        label=label,
        predictions=np.where(right, label[:, None], other).astype(np.int32),
        confidence=random.uniform(0.25, 1, right.shape).astype(np.float32),
    )


def made_up_errors(accuracy: float, seed: int, baseline: Baseline | None = None) -> dict[str, Any]:
    """The record of such a run."""
    run = random_predictions(seed, accuracy=accuracy)
    return build_record(PROTOCOL, run, CLASSES, {"seed": 0, "backend": "engine"}, baseline)


def write_classifier_run(folder: Path, accuracy: float, seed: int) -> Path:
    """Leave in a folder what a run leaves; give the record's path."""
    run = random_predictions(seed, accuracy=accuracy)
    return write_report(folder, made_up_errors(accuracy, seed), run, PROTOCOL)[0]
