"""What a model says of images that were filtered, counted by filter and class.

What is counted are items: images of a classifier, labelled pixels of a segmentor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

LOSS_UNIT = 2.0**-20
"""Losses are summed as whole multiples of it: the order of summing, and with it how images and
filters were put into batches, does not change a sum."""
MOST_LOSS = 100.0
"""Of an item; the logarithm of the smallest float32 is -104. What is not finite counts so."""


@dataclass(frozen=True)
class FilteredCounts:
    """Counts for M filters and K classes, all int64, on the host, shape (M, K).

    Args:
        loss (Tensor): Summed cross entropy of each class's own items, in ``LOSS_UNIT``.
        correct (Tensor): Items of the class that are called so.
        predicted (Tensor): Items that are called so, whatever they are.
        labelled (Tensor): Items of the class.
    """

    loss: Tensor
    correct: Tensor
    predicted: Tensor
    labelled: Tensor

    def __add__(self, other: FilteredCounts) -> FilteredCounts:
        """Counts over the items of both."""
        return FilteredCounts(
            self.loss + other.loss,
            self.correct + other.correct,
            self.predicted + other.predicted,
            self.labelled + other.labelled,
        )

    def mean_loss(self) -> Tensor:
        """Mean cross entropy of each class's items: float64, (M, K); NaN for a class without."""
        return self.loss.double() * LOSS_UNIT / self.labelled

    def true_positive_rate(self) -> Tensor:
        """Share of each class's items that are called so, a classifier's accuracy on the class.

        Returns:
            Tensor: float64 from 0 to 1, shape (M, K); NaN for a class without items.
        """
        return self.correct.double() / self.labelled

    def false_positive_rate(self) -> Tensor:
        """Share of the other classes' items that are called so.

        Returns:
            Tensor: float64 from 0 to 1, shape (M, K); NaN where there are no others.
        """
        others = self.labelled.sum(1, keepdim=True) - self.labelled
        return (self.predicted - self.correct).double() / others

    def iou(self) -> Tensor:
        """Intersection over union.

        Returns:
            Tensor: float64 from 0 to 1, shape (M, K); NaN for a class neither labelled nor
            predicted.
        """
        return self.correct.double() / (self.predicted + self.labelled - self.correct)

    def score(self, task: str) -> Tensor:
        """How good the model is at each class: accuracy of a classifier, IoU of a segmentor.

        Args:
            task (str): ``'classification'`` or ``'segmentation'``.

        Returns:
            Tensor: Percent, float64, shape (M, K).
        """
        return 100 * (self.iou() if task == "segmentation" else self.true_positive_rate())

    def cost(self, task: str) -> Tensor:
        """What is small where a filter serves a class well.

        Of a classifier it is the cross entropy of the class's images, as in the papers. Of a
        segmentor it is the negative IoU, the project's own choice: by the cross entropy of the
        class's own pixels the best filter would be one under which that class is said everywhere.

        Args:
            task (str): ``'classification'`` or ``'segmentation'``.

        Returns:
            Tensor: float64, shape (M, K); infinite for a class without items.
        """
        cost = -self.iou() if task == "segmentation" else self.mean_loss()
        return cost.nan_to_num(torch.inf)


class Measure(Protocol):
    """A model on some images, asked by the searches.

    Attributes:
        task (str): ``'classification'`` or ``'segmentation'``.
        num_classes (int): Number of classes, K.
    """

    task: str
    num_classes: int

    def __call__(self, maps: Tensor, label: int | None = None) -> FilteredCounts:
        """Counts for images of which only the frequencies of a map are kept.

        Args:
            maps (Tensor): Centred maps as in
                :class:`~mmseg_robust.augmentations.frequency_maps.FrequencyMaps`, bool, on the
                host, shape (M, h, w).
            label (int, optional): Take the images of this class alone. Defaults to None, all.

        Returns:
            FilteredCounts: For each map.
        """
        ...


class Tally:
    """Adds up counts where the predictions are, without making the host wait.

    Args:
        num_filters (int): M.
        num_classes (int): K.
        device (torch.device): Where the predictions are.
    """

    def __init__(self, num_filters: int, num_classes: int, device: torch.device) -> None:
        self.num_classes = num_classes
        # A column more, for what is of no class.
        shape = (4, num_filters, num_classes + 1)
        self._sums = torch.zeros(shape, dtype=torch.int64, device=device)

    def add(self, filters: Tensor, losses: Tensor, predictions: Tensor, labels: Tensor) -> None:
        """Adds items.

        Args:
            filters (Tensor): Filter of each image, int64, shape (B,).
            losses (Tensor): Cross entropy of each item, shape (B, P).
            predictions (Tensor): Predicted class of each, int64, shape (B, P).
            labels (Tensor): Class of each, int64, shape (B, P), K for one that does not count.
        """
        none = self.num_classes
        counts = labels != none
        predictions = torch.where(counts, predictions, none)
        losses = losses.double().nan_to_num(MOST_LOSS, MOST_LOSS).clamp(max=MOST_LOSS)
        losses = (losses / LOSS_UNIT).round().long()
        ones = torch.ones_like(labels)
        right = (predictions == labels).long()
        rows = (filters * (none + 1))[:, None]
        for place, classes, values in (
            (0, labels, losses),
            (1, labels, right),
            (2, predictions, ones),
            (3, labels, ones),
        ):
            self._sums[place].view(-1).scatter_add_(0, (rows + classes).flatten(), values.flatten())

    def counts(self) -> FilteredCounts:
        """The sums so far, on the host."""
        return FilteredCounts(*self._sums[..., :-1].cpu().unbind())
