"""Altered copies of a training batch, drawn on its device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from mmengine.dist import get_rank
from torch import Tensor, nn

from mmseg_robust.augmentations import BatchAugmentation, build_augmentation
from mmseg_robust.augmentations.base import AugmentationConfig
from mmseg_robust.corruptions.random import hash_parts
from mmseg_robust.corruptions.transfer import to_device
from mmseg_robust.errors import InputError
from mmseg_robust.models.multi_view.pixels import PixelSpace
from mmseg_robust.models.training_iteration import training_iteration

CLEAN_VIEW = "clean"
"""The images as they are."""

# Not square; larger where an augmentation needs it.
_PROBE = (32, 48)


class Views:
    """Draws the views of a batch.

    It is no ``nn.Module`` and has no buffers. What a sample draws depends on (seed, rank,
    iteration, view, place in the batch) alone: no global random state is read or changed, ranks
    and views differ, and a resumed run draws what an uninterrupted one would. Under an MMEngine
    runner the iteration (micro-batch) comes from the message hub; in a plain training loop it is
    the number of calls so far.

    Args:
        configs (Mapping): Config of the batch augmentation by the name of the view.
        pixels (PixelSpace): The model's own.
        seed (int): Seed of the draws.
        class_count (int, optional): Number of the model's classes, which augmentations that read
            labels need. Defaults to None, not known.

    Attributes:
        augmentations (dict[str, BatchAugmentation]): By the name of the view.
        label_readers (frozenset[str]): Views whose augmentations need to know which classes an
            image shows.

    Raises:
        InputError: If a name is not free, an augmentation is unknown or wrongly set, what it
            returns is not a batch of images like the one that it was given, or it reads labels
            and does not fit the model's.
    """

    def __init__(
        self,
        configs: Mapping[str, AugmentationConfig],
        pixels: PixelSpace,
        seed: int,
        class_count: int | None = None,
    ) -> None:
        if not isinstance(configs, Mapping):
            raise InputError(
                f"views is {configs!r}; it must name augmentations, as in "
                "views=dict(noisy=dict(type='GaussianNoise', sigma=0.04))."
            )
        if CLEAN_VIEW in configs:
            raise InputError(f"No view may be called {CLEAN_VIEW!r}: that is the unaltered one.")
        self.augmentations: dict[str, BatchAugmentation] = {
            name: build_augmentation(config) for name, config in configs.items()
        }
        for name, augment in self.augmentations.items():
            _check(name, augment, class_count)
        self.pixels = pixels
        self.seed = seed
        self.class_count = class_count
        named = self.augmentations.items()
        self.label_readers = frozenset(name for name, augment in named if augment.reads_labels)
        self._calls = 0

    @torch.no_grad()
    def draw(
        self,
        names: Iterable[str],
        inputs: Tensor,
        preprocessor: nn.Module,
        sizes: Sequence[tuple[int, int]] | None = None,
        present: Tensor | None = None,
    ) -> Tensor:
        """Makes the batch that goes through the network. The host does not wait for the device.

        Args:
            names (Iterable[str]): The V views in their order; ``'clean'`` is the inputs.
            inputs (Tensor): Normalised images, (N, 3, H, W).
            preprocessor (nn.Module): The model's data preprocessor.
            sizes (Sequence, optional): Height and width of each image without its padding, which
                lies at the right and the bottom. Defaults to None, no padding.
            present (Tensor, optional): Which classes each image shows, bool, (N, K), for
                augmentations that read labels.

        Returns:
            Tensor: The views one after the other, (V * N, 3, H, W). Padding is the inputs'.

        Raises:
            InputError: If the inputs have not three channels, or are not as an augmentation needs
                them.
        """
        in_run = training_iteration()
        iteration = self._calls if in_run is None else in_run
        self._calls += 1
        inside = _inside(sizes, inputs)
        images = self.pixels.to_rgb(inputs, preprocessor)
        parts = []
        for name in names:
            if name == CLEAN_VIEW:
                parts.append(inputs)
                continue
            places = range(len(inputs))
            seeds = [hash_parts(self.seed, get_rank(), iteration, name, i) for i in places]
            labels = [present] if name in self.label_readers else []
            view = self.augmentations[name](images, seeds, *labels)
            view = self.pixels.from_rgb(view, preprocessor, inputs)
            parts.append(view if inside is None else torch.where(inside, view, inputs))
        return torch.cat(parts)


def _inside(sizes: Sequence[tuple[int, int]] | None, inputs: Tensor) -> Tensor | None:
    """Where a batch shows images and not padding, (N, 1, H, W); None if everywhere."""
    height, width = inputs.shape[-2:]
    if sizes is None or all(h >= height and w >= width for h, w in sizes):
        return None
    heights, widths = to_device(list(zip(*sizes)), inputs.device, torch.int64)[
        ..., None, None, None
    ]
    rows = torch.arange(height, device=inputs.device)[:, None] < heights
    columns = torch.arange(width, device=inputs.device) < widths
    return rows & columns


def _check(name: str, augment: BatchAugmentation, class_count: int | None) -> None:
    """Raise an InputError unless an augmentation returns images like those that it is given."""
    what = f"The augmentation {type(augment).__name__} of the view {name!r}"
    generator = torch.Generator().manual_seed(0)
    size = [max(side, least) for side, least in zip(_PROBE, augment.least_size)]
    images = torch.rand(2, 3, *size, generator=generator, device="cpu", dtype=torch.float32) * 255
    labels = []
    if augment.reads_labels:
        if class_count is None:
            raise InputError(
                f"{what} reads labels, but the model's head has no num_classes. Use an "
                "augmentation that reads none."
            )
        labels = [torch.zeros(2, class_count, dtype=torch.bool, device="cpu")]
    view = augment(images, [0, 1], *labels)
    if not isinstance(view, Tensor) or view.dtype != torch.float32:
        got = view.dtype if isinstance(view, Tensor) else type(view).__name__
        raise InputError(f"{what} returns {got}; it must return a float32 tensor.")
    if view.shape != images.shape:
        raise InputError(
            f"{what} makes {tuple(view.shape)} of {tuple(images.shape)}: labels would not fit. "
            "Use one that keeps the size."
        )
    if not ((view >= 0) & (view <= 255)).all():
        raise InputError(f"{what} leaves the range 0..255: it must clamp its result.")
