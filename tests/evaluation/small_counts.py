"""Random counts of small runs."""

from __future__ import annotations

import numpy as np

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.evaluation.calibration import BINS
from mmseg_robust.evaluation.image_counts import ImageCounts, RunCounts, join_images

PROTOCOL = get_protocol("demo")
CLASSES = ("road", "sky", "tree")


def random_counts(
    seed: int = 0, num_images: int = 12, label_seed: int = 0, accuracy: float = 0.8
) -> RunCounts:
    """Counts of images with 400 pixels, 25 of them ignored; the last class is in few images.

    Corruption costs accuracy, more so at higher severity. Runs that share ``label_seed`` are on the
    same images.
    """
    labels = np.random.default_rng(label_seed)
    random = np.random.default_rng(seed + 1)
    images = []
    for index in range(num_images):
        classes = 3 if index % 4 == 0 else 2
        label = labels.integers(0, classes, 375)
        right = labels.uniform(0, 0.2)  # an image is hard for every run
        passes = [accuracy + right - 0.06 * cell.severity for cell in PROTOCOL.passes]
        images.append(_image(f"{index:02d}.png", label, passes, random))
    return join_images(images, len(PROTOCOL.passes), len(CLASSES))


def _image(
    name: str, label: np.ndarray, passes: list[float], random: np.random.Generator
) -> ImageCounts:
    confusion, confidence, flips = [], [], []
    for index, share in enumerate(passes):
        prediction = np.where(
            random.random(label.size) < share,
            label,
            random.integers(0, label.max() + 1, label.size),
        )
        pairs, pixels = np.unique(np.stack([label, prediction]), axis=1, return_counts=True)
        confusion.append(np.stack([np.full_like(pixels, index), *pairs, pixels], axis=1))
        fine = random.integers(BINS // 2, BINS, label.size)
        key = (prediction == label) * BINS + fine
        confidence.append(np.bincount(key, minlength=2 * BINS).reshape(2, BINS))
        flips.append([random.integers(0, 100), 400] if index else [0, 0])
    return ImageCounts(
        name=name,
        confusion=np.concatenate(confusion).astype(np.int32),
        nan=np.zeros(len(passes), bool),
        flips=np.array(flips),
        confidence=np.stack(confidence),
    )
