"""Combined augmentations: one model made robust to several kinds of change at once.

Paper: N. Kapoor, C. Yuan, J. Loehdefink, R. Zimmermann, S. Varghese, F. Hueger, N. Schmidt,
P. Schlicht, T. Fingscheidt, arXiv 2012.01386. Only its abstract could be read: augmentations of
several types (photometric changes, blur, noise) are combined, "data-efficient". The project's own
reading: each image draws one type and yields one altered copy, so that the cost does not grow with
the number of types. The types, their ranges and equal probabilities are its own choice too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_robust.augmentations.base import (
    AugmentationConfig,
    BatchAugmentation,
    build_augmentation,
    register,
)
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.errors import InputError

DEFAULT_MEMBERS: tuple[dict, ...] = (
    dict(type="Brightness"),
    dict(type="Contrast"),
    dict(type="Saturation"),
    dict(type="Hue"),
    dict(type="GaussianBlur"),
    dict(type="GaussianNoise", sigma=(0.0, 0.2)),
)
"""Four photometric changes, a blur and a noise, each in its range."""


@register
class CombinedAugmentations(BatchAugmentation):
    """Each image gets one of several augmentations, all with the same probability.

    Args:
        members (Sequence[Mapping | BatchAugmentation]): What to draw from, as
            :func:`~mmseg_robust.augmentations.build_augmentation` takes them. One that is named
            twice is drawn twice as often. Defaults to ``DEFAULT_MEMBERS``.

    Raises:
        InputError: If there is no member or one cannot be built.
    """

    def __init__(self, members: Sequence[AugmentationConfig] = DEFAULT_MEMBERS) -> None:
        if not isinstance(members, Sequence) or isinstance(members, str) or len(members) == 0:
            raise InputError(
                "members must be a list of at least one augmentation, such as "
                f"[dict(type='GaussianNoise')], got {members!r}."
            )
        self.members = tuple(build_augmentation(member) for member in members)
        names = [name for member in self.members for name in member.resembles]
        self.resembles = tuple(dict.fromkeys(names))
        self.reads_labels = any(member.reads_labels for member in self.members)
        heights, widths = zip(*(member.least_size for member in self.members))
        self.least_size = (max(heights), max(widths))

    def choose(self, seeds: Sequence[int]) -> list[int]:
        """Which member each image gets.

        Args:
            seeds (Sequence[int]): One integer an image.

        Returns:
            list[int]: Indexes into ``members``.
        """
        fields = RandomFields(seeds, "CombinedAugmentations", torch.device("cpu"))
        return [int(share * len(self.members)) for (share,) in fields.scalars("member")]

    def check_classes(self, classes: Sequence[str]) -> None:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        for member in self.members:
            member.check_classes(classes)

    def augment(
        self, images: Tensor, seeds: tuple[int, ...], present: Tensor | None = None
    ) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        chosen = self.choose(seeds)
        by_place: dict[int, Tensor] = {}
        for index in dict.fromkeys(chosen):
            places = [place for place, other in enumerate(chosen) if other == index]
            # Stacked, because an index made of a list would make the host wait for the device.
            part = torch.stack([images[place] for place in places])
            shown = None if present is None else torch.stack([present[place] for place in places])
            altered = self.members[index](part, [seeds[place] for place in places], shown)
            by_place.update(zip(places, altered))
        return torch.stack([by_place[place] for place in range(len(images))])
