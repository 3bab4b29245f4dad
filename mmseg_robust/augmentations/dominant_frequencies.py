"""Images reduced to the frequencies that another class is told by: the augmentation DFM-X.

Paper: S. Wang, C. Brune, R. Veldhuis, N. Strisciuglio, "DFM-X: Augmentation by Leveraging Prior
Knowledge of Shortcut Learning", ICCVW (VIPriors) 2023, arXiv 2308.06622. Read in the official code:
a training image x of class y draws a class m of all, and if m is not y, with probability p,

    x' = IFFT(FFT(x) * M_m),  DC kept whatever the map says,

for each channel by itself, with the label y as before; M_m is the dominant frequency map of class
m, see :mod:`mmseg_robust.augmentations.frequency_maps`. So a share p (1 - 1 / K) of the images is
filtered. The code does so after normalisation. As DC is kept, a factor and a shift of a channel may
as well come later: here images are in 0..255 and not yet normalised.

Unlike the code:

- It clips nothing. Here values are clamped to 0..255, as every augmentation's are.
- Its filter shifts the spectra back over the channels too, so that its filtered images have their
  channels in another order, (G, B, R). No published number that could be found needs that, and it
  is left out.

The project's own choice, for segmentation, which the paper does not have: with probability p an
image draws one of the classes that are absent from its label map, each alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmseg_robust.augmentations.base import BatchAugmentation, register
from mmseg_robust.augmentations.checks import check_number
from mmseg_robust.augmentations.frequency_maps import MAKER, FrequencyMaps, keep_frequencies
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.transfer import kept_on_device, to_device
from mmseg_robust.errors import InputError


@register
class DominantFrequencies(BatchAugmentation):
    """Some images keep the dominant frequencies of a class that they do not show, and no others.

    Which rule draws the class depends on the maps: those of a classifier are drawn from all and one
    of the image's own classes leaves it as it is; those of a segmentor are drawn from the absent
    ones. Classes without a map of their own are never drawn, and an image that shows all others
    stays as it is.

    Args:
        maps (str | Path | FrequencyMaps): The maps, or their file. Images must be at least as
            large.
        prob (float): p, from 0 to 1. Defaults to 0.3, that of the official code.

    Raises:
        InputError: If there is no such file, it is damaged, no class has a map, or ``prob`` is out
            of range; when called, if images are smaller than the maps or labels are of another
            number of classes.
    """

    # A map without high frequencies blurs in all directions.
    resembles = ("gaussian_blur", "defocus_blur", "glass_blur")
    reads_labels = True

    def __init__(self, maps: str | Path | FrequencyMaps, prob: float = 0.3) -> None:
        if not isinstance(maps, (str, Path, FrequencyMaps)):
            raise InputError(f"maps is {maps!r}; it must be a file that {MAKER} made.")
        self.maps = maps if isinstance(maps, FrequencyMaps) else FrequencyMaps.load(maps)
        self.prob = check_number(prob, "prob", 0, 1)
        if not any(self.maps.found):
            raise InputError("No class of the frequency maps has a map of its own: make others.")
        self.least_size = self.maps.size
        self._fitted: dict[tuple[int, int, torch.device], tuple[Tensor, Tensor]] = {}

    def check_classes(self, classes: Sequence[str]) -> None:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        self.maps.check_classes(classes)

    def draw(self, seeds: Sequence[int]) -> list[float | None]:
        """The random part.

        Args:
            seeds (Sequence[int]): One integer an image.

        Returns:
            list[float | None]: For each image None if it stays as it is, else a number in [0, 1),
            which stands for one of the classes it may draw.
        """
        fields = RandomFields(seeds, "DominantFrequencies", torch.device("cpu"))
        return [share if acts < self.prob else None for acts, share in fields.scalars("draw", 2)]

    def augment(
        self, images: Tensor, seeds: tuple[int, ...], present: Tensor | None = None
    ) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        assert present is not None  # the base class sees to it
        self.maps.check_count(present.shape[1])
        drawn = {place: share for place, share in enumerate(self.draw(seeds)) if share is not None}
        if not drawn:
            return images.clone()
        part = torch.stack([images[place] for place in drawn])
        shown = torch.stack([present[place] for place in drawn])
        maps, found = self._on_device(images)
        shares = to_device(list(drawn.values()), images.device, torch.float64)
        chosen, acts = choose_classes(shown, found, shares, self.maps.task == "segmentation")
        filtered = keep_frequencies(part, maps[chosen]).clamp_(0, 255)
        altered = torch.where(acts[:, None, None, None], filtered, part)
        out = dict(zip(drawn, altered))
        return torch.stack([out.get(place, image) for place, image in enumerate(images)])

    def _on_device(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The maps with DC at the images' size, (K, H, W), and which there are, (K,)."""
        height, width = images.shape[2:]
        key = height, width, images.device
        if key not in self._fitted:
            maps = self.maps.at_size(height, width)
            maps[:, height // 2, width // 2] = True
            found = kept_on_device(self.maps.found, images.device, torch.bool)
            # Those of one size: training has one.
            self._fitted = {key: (kept_on_device(maps, images.device, torch.bool), found)}
        return self._fitted[key]

    def __repr__(self) -> str:
        own = self.maps
        without = [name for name, found in zip(own.classes, own.found) if not found]
        return (
            f"DominantFrequencies(prob={self.prob}, {own.task} maps of {len(own.classes)} classes, "
            f"{own.size[0]} x {own.size[1]}, without one: {', '.join(without) or 'none'}; from "
            f"{own.source})"
        )


def choose_classes(
    present: Tensor, found: Tensor, shares: Tensor, absent_only: bool
) -> tuple[Tensor, Tensor]:
    """Which class's map each image gets, and whether it gets one.

    Args:
        present (Tensor): Which classes an image shows, bool, shape (N, K).
        found (Tensor): Which classes have a map, bool, shape (K,).
        shares (Tensor): Uniform numbers in [0, 1), float64, shape (N,).
        absent_only (bool): Whether to draw from the absent classes alone (segmentation), or from
            all, where one that is present leaves the image as it is (classification).

    Returns:
        tuple[Tensor, Tensor]: Class numbers, int64, shape (N,), and bool, shape (N,).
    """
    candidates = found & ~present if absent_only else found.expand_as(present)
    count = candidates.sum(1)
    rank = torch.minimum((shares * count).to(torch.int64), count - 1)
    chosen = (candidates.cumsum(1) <= rank[:, None]).sum(1)
    return chosen, (count > 0) & ~present.gather(1, chosen[:, None])[:, 0]
