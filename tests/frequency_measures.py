"""A classifier made by hand, which knows each class by one frequency, for tests of the searches."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_robust.analysis.filtered_counts import FilteredCounts, Tally
from mmseg_robust.augmentations.frequency_maps import keep_frequencies

SIZE = (8, 10)
"""Height and width of images and maps."""
FREQUENCIES = ((1, 2), (-2, 4), (3, 0))
"""(u, v) of the first classes; the last class is what has none of them."""
CLASSES = len(FREQUENCIES) + 1


def pair_map(row: int, column: int) -> Tensor:
    """A centred map of (u, v) and (-u, -v) alone, bool."""
    kept = torch.zeros(SIZE, dtype=torch.bool)
    kept[SIZE[0] // 2 + row, SIZE[1] // 2 + column] = True
    kept[SIZE[0] // 2 - row, SIZE[1] // 2 - column] = True
    return kept


class Killed(Exception):
    """In place of a signal."""


class HandMadeMeasure:
    """Calls an image by its strongest frequency, or the last class if all are weak.

    Args:
        per_class (int): Images of each class.
        die_after (int, optional): Calls after which it is killed.
    """

    task = "classification"
    num_classes = CLASSES

    def __init__(self, per_class: int = 6, die_after: int | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        rows = torch.arange(SIZE[0])[:, None] / SIZE[0]
        columns = torch.arange(SIZE[1]) / SIZE[1]
        labels = torch.arange(CLASSES).repeat(per_class)
        images = 0.2 * torch.rand(len(labels), 1, *SIZE, generator=generator)
        for label, (u, v) in enumerate(FREQUENCIES):
            images[labels == label] += torch.cos(2 * torch.pi * (u * rows + v * columns))
        self.images, self.labels = images, labels
        self.left = die_after
        self.asked = 0

    @property
    def counts(self) -> list[int]:
        """Images of each class."""
        return torch.bincount(self.labels, minlength=CLASSES).tolist()

    def logits(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) to (N, K)."""
        spectra = torch.fft.fft2(images[:, 0]).abs() * 20 / images[0].numel()
        strengths = [spectra[:, u, v] for u, v in FREQUENCIES]
        return torch.stack([*strengths, torch.full_like(strengths[0], 5.0)], dim=1)

    def __call__(self, maps: Tensor, label: int | None = None) -> FilteredCounts:
        if self.left is not None:
            if self.left == 0:
                raise Killed
            self.left -= 1
        self.asked += len(maps)
        own = slice(None) if label is None else self.labels == label
        images, labels = self.images[own], self.labels[own][:, None]
        tally = Tally(len(maps), CLASSES, torch.device("cpu"))
        for number, kept in enumerate(maps):
            logits = self.logits(keep_frequencies(images, kept[None]))
            losses = torch.nn.functional.cross_entropy(logits, labels[:, 0], reduction="none")
            filters = torch.full((len(images),), number)
            tally.add(filters, losses[:, None], logits.argmax(1, keepdim=True), labels)
        return tally.counts()
