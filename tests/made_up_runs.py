"""Runs without a model: counts drawn at random, and the files that a run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmseg_robust.corruptions import Protocol, get_protocol
from mmseg_robust.evaluation.baseline import read_baseline
from mmseg_robust.evaluation.calibration import BINS, RIGHT, WRONG
from mmseg_robust.evaluation.image_counts import ImageCounts, RunCounts, join_images
from mmseg_robust.evaluation.record import build_record
from mmseg_robust.evaluation.report import write_report

CLASSES = ("road", "sky", "car")
PIXELS = 1000


def made_up_counts(quality: float, protocol: Protocol, images: int = 5, seed: int = 0) -> RunCounts:
    """Counts of a model that gets this share of pixels right, and less the stronger a corruption.

    Images of one name have the same labels whatever the quality, so that two runs can be paired.
    """
    return join_images(
        [_image(f"image{i}.png", quality, protocol, (seed, i)) for i in range(images)],
        len(protocol.passes),
        len(CLASSES),
    )


def _image(name: str, quality: float, protocol: Protocol, seed: tuple[int, int]) -> ImageCounts:
    labels = np.random.default_rng(seed).multinomial(PIXELS, [0.6, 0.3, 0.1])
    generator = np.random.default_rng((*seed, round(1000 * quality)))
    confusion, flips, confidence = [], [], np.zeros((len(protocol.passes), 2, BINS), np.int64)
    for index, cell in enumerate(protocol.passes):
        right = generator.binomial(labels, quality * (1 - 0.1 * cell.severity))
        for label, hits in enumerate(right):
            confusion.append((index, label, label, hits))
            confusion.append((index, label, (label + 1) % len(CLASSES), labels[label] - hits))
        confidence[index, RIGHT, 200] = right.sum()
        confidence[index, WRONG, 180] = PIXELS - right.sum()
        flips.append((50 * cell.severity, PIXELS) if index else (0, 0))
    return ImageCounts(
        name=name,
        confusion=np.array(confusion, np.int32),
        nan=np.zeros(len(protocol.passes), bool),
        flips=np.array(flips, np.int64),
        confidence=confidence,
    )


def made_up_record(
    quality: float = 0.8,
    protocol: str = "demo",
    baseline: Path | None = None,
    counts: RunCounts | None = None,
) -> dict[str, Any]:
    """The record of such a run."""
    cells = get_protocol(protocol)
    return build_record(
        cells,
        counts or made_up_counts(quality, cells),
        CLASSES,
        {"seed": 0, "backend": "engine", "checkpoint": f"work_dirs/q{quality}/iter_1.pth"},
        None if baseline is None else read_baseline(baseline, cells),
    )


def write_made_up_run(folder: Path, quality: float, images: int = 5) -> Path:
    """Leave in a folder what a run leaves; give the record's path."""
    protocol = get_protocol("demo")
    counts = made_up_counts(quality, protocol, images)
    record = made_up_record(quality, counts=counts)
    return write_report(folder, record, counts, protocol)[0]
