"""Image corruptions in torch: names, named protocols, the engine and the reference generator.

Nothing here knows OpenMMLab; torch and NumPy are all that the engine needs.
"""

from mmseg_robust.corruptions.api import CORRUPTIONS, corrupt
from mmseg_robust.corruptions.backends import BACKENDS, corrupt_array, get_backend
from mmseg_robust.corruptions.fourier_grid import FourierGrid
from mmseg_robust.corruptions.names import ALL_NAMES, CBAR, COMMON, EXTRA, GROUPS, NAMES
from mmseg_robust.corruptions.protocols import CLEAN, PROTOCOLS, Cell, Protocol, get_protocol
from mmseg_robust.corruptions.random import image_seed
from mmseg_robust.corruptions.reference import corrupt_reference

__all__ = [
    "ALL_NAMES",
    "BACKENDS",
    "CBAR",
    "CLEAN",
    "COMMON",
    "CORRUPTIONS",
    "EXTRA",
    "GROUPS",
    "NAMES",
    "PROTOCOLS",
    "Cell",
    "FourierGrid",
    "Protocol",
    "corrupt",
    "corrupt_array",
    "corrupt_reference",
    "get_backend",
    "get_protocol",
    "image_seed",
]
