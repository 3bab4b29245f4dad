"""The guard: which test corruptions are no longer unseen after an augmentation."""

from __future__ import annotations

from mmseg_robust.augmentations.base import BatchAugmentation
from mmseg_robust.corruptions.protocols import Protocol, get_protocol


def overlap(augmentation: BatchAugmentation, protocol: str | Protocol) -> list[str]:
    """Which corruptions of a test resemble what an augmentation trains on.

    Args:
        augmentation (BatchAugmentation): What is trained on.
        protocol (str | Protocol): The test, or its name.

    Returns:
        list[str]: Names of corruptions, in the order of the protocol; empty if none.

    Raises:
        InputError: If the protocol is unknown.

    Example:
        >>> overlap(build_augmentation(dict(type="GaussianBlur")), "cityscapes-c")
        ['defocus_blur', 'glass_blur', 'gaussian_blur']
    """
    tested = get_protocol(protocol) if isinstance(protocol, str) else protocol
    return [name for name in tested.corruptions if name in augmentation.resembles]
