"""Common corruptions of images: names, named protocols and the reference generator.

Nothing here knows OpenMMLab.
"""

from mmseg_robust.corruptions.names import COMMON, EXTRA, GROUPS, NAMES
from mmseg_robust.corruptions.protocols import CLEAN, PROTOCOLS, Cell, Protocol, get_protocol
from mmseg_robust.corruptions.reference import corrupt_reference, image_seed

__all__ = [
    "CLEAN",
    "COMMON",
    "EXTRA",
    "GROUPS",
    "NAMES",
    "PROTOCOLS",
    "Cell",
    "Protocol",
    "corrupt_reference",
    "get_protocol",
    "image_seed",
]
