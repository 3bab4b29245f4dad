"""Hold augmentations that were prepared for certain classes against the data of a training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from mmseg_robust.augmentations import BatchAugmentation
from mmseg_robust.engine.hooks.dataset_checks import find_loaders, leaf_datasets


def check_augmentations(dataset: Any, model: nn.Module) -> None:
    """Checks that frequency maps were made for the classes of the data.

    Args:
        dataset (Dataset): The training's, built, with its wrappers.
        model (nn.Module): The model without wrappers.

    Raises:
        InputError: If names, number or order of the classes differ.
    """
    classes = (getattr(dataset, "metainfo", None) or {}).get("classes")
    if classes:
        for augmentation in _in_use(dataset, model):
            augmentation.check_classes(classes)


def _in_use(dataset: Any, model: nn.Module) -> Iterator[BatchAugmentation]:
    """Yield those of the model's views and those of the data sets' pipelines."""
    multi_view = getattr(model, "multi_view", None)
    if multi_view is not None:
        yield from multi_view.views.augmentations.values()
    for leaf in leaf_datasets(dataset):
        for transform in find_loaders(leaf.pipeline.transforms, "KeepDominantFrequencies"):
            yield transform.augmentation
