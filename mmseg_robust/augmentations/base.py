"""What an augmentation of a batch is, the registry of all, and how one is built from a config."""

from __future__ import annotations

import difflib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Union

import torch
from torch import Tensor

from mmseg_robust.augmentations.checks import check_images, check_present
from mmseg_robust.corruptions.checks import check_seeds
from mmseg_robust.errors import InputError


class BatchAugmentation(ABC):
    """Alters a batch of images on their device, called as ``augmentation(images, seeds)``.

    Every pixel keeps its place, so labels stay as they are. What happens to an image depends on the
    image and its seed alone: not on the batch, the order, the process, nor on a global random
    state, which is neither read nor changed. The host does not wait for the device. Nothing is
    differentiated, and autocast does not act inside.

    A subclass implements :meth:`augment`, says in ``resembles`` what it has in common with tests,
    and is registered with :func:`register`.

    One that needs to know what an image shows sets ``reads_labels``, is called as
    ``augmentation(images, seeds, present)`` and takes ``present`` as third argument of
    :meth:`augment`; what happens to an image then depends on its row of it too.

    Attributes:
        resembles (tuple[str, ...]): Names of the engine's corruptions that do what this
            augmentation does, by another formula or in another strength. A test on one of them is
            no test on something unseen, see :func:`~mmseg_robust.augmentations.guard.overlap`.
        reads_labels (bool): Whether it needs ``present``.
        least_size (tuple[int, int]): Height and width of the smallest images that it takes.
    """

    resembles: tuple[str, ...] = ()
    reads_labels: bool = False
    least_size: tuple[int, int] = (1, 1)

    def __call__(
        self, images: Tensor, seeds: int | Sequence[int], present: Tensor | None = None
    ) -> Tensor:
        """Augments a batch.

        Args:
            images (Tensor): RGB, float32 in 0..255, shape (N, 3, H, W), on any device.
            seeds (int | Sequence[int]): One integer an image, on the host.
            present (Tensor, optional): Which of K classes each image shows, bool, shape (N, K), on
                the images' device; see :func:`~mmseg_robust.augmentations.labels.classes_in`.
                Needed if ``reads_labels``, else not looked at.

        Returns:
            Tensor: A new tensor, RGB, float32 in 0..255, shape (N, 3, H, W), on the same device.

        Raises:
            InputError: If an argument is not as described. Whether values are in 0..255 is not
                looked at, because the host would have to wait.
        """
        check_images(images)
        seeds = check_seeds(seeds, len(images))
        labels = (check_present(present, images),) if self.reads_labels else ()
        if len(images) == 0:
            return images.clone()
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            return self.augment(images.contiguous(), seeds, *labels)

    def check_classes(self, classes: Sequence[str]) -> None:  # noqa: B027  (most read no labels)
        """Holds what was prepared for certain classes against those of a data set.

        Args:
            classes (Sequence[str]): Names of the data set's classes.

        Raises:
            InputError: If it was prepared for others.
        """

    @abstractmethod
    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """The augmentation itself; ``images`` must be left as they are.

        Args:
            images (Tensor): As in :meth:`__call__`, contiguous, N at least 1.
            seeds (tuple[int, ...]): N integers.

        Returns:
            Tensor: As in :meth:`__call__`.
        """


AugmentationConfig = Union[Mapping, BatchAugmentation]
"""A config such as ``dict(type='GaussianNoise', sigma=0.04)``, or what is built already."""

AUGMENTATIONS: dict[str, type[BatchAugmentation]] = {}
"""Every augmentation by the name of its class."""


def register(cls: type[BatchAugmentation]) -> type[BatchAugmentation]:
    """Decorator that enters a class into ``AUGMENTATIONS``.

    Args:
        cls (type[BatchAugmentation]): The class.

    Returns:
        type[BatchAugmentation]: The same class.
    """
    AUGMENTATIONS[cls.__name__] = cls
    return cls


def build_augmentation(config: AugmentationConfig) -> BatchAugmentation:
    """Builds an augmentation from its config.

    Args:
        config (Mapping | BatchAugmentation): ``type``, a name in ``AUGMENTATIONS``, and the
            arguments of that class. What is built already comes back as it is.

    Returns:
        BatchAugmentation: The augmentation.

    Raises:
        InputError: If the type is unknown (the message lists all), or an argument is unknown,
            missing or wrong.

    Example:
        >>> noise = build_augmentation(dict(type="GaussianNoise", sigma=0.04))
        >>> noisy = noise(torch.rand(2, 3, 64, 96) * 255, seeds=[1, 2])
    """
    if isinstance(config, BatchAugmentation):
        return config
    if not isinstance(config, Mapping) or "type" not in config:
        raise InputError(
            f"An augmentation must be a dict with 'type', such as dict(type='GaussianNoise'), "
            f"got {config!r}."
        )
    arguments = dict(config)
    name = arguments.pop("type")
    if not isinstance(name, str) or name not in AUGMENTATIONS:
        nearest = difflib.get_close_matches(str(name), AUGMENTATIONS, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise InputError(f"Unknown augmentation {name!r}.{hint} Known: {', '.join(AUGMENTATIONS)}.")
    signature = inspect.signature(AUGMENTATIONS[name])
    try:
        signature.bind(**arguments)
    except TypeError as error:
        taken = ", ".join(signature.parameters) or "nothing"
        raise InputError(f"Augmentation {name}: {error}. It takes: {taken}.") from error
    return AUGMENTATIONS[name](**arguments)
