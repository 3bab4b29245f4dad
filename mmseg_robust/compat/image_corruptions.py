"""imagecorruptions 1.1.2 (its last release) on today's numpy, scikit-image, SciPy and setuptools.

Unmended, 3 of its 19 corruptions fail, and the package cannot be imported without
``pkg_resources``. ``impulse_noise`` runs, but cannot be repeated: scikit-image gives it a generator
of its own with a new seed each time. The values of all others are left alone.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

#: Share of values that become salt or pepper, by severity 1 to 5: imagecorruptions' own numbers.
IMPULSE_NOISE_AMOUNTS = (0.03, 0.06, 0.09, 0.17, 0.27)


class _Numpy(ModuleType):
    """numpy with the alias ``float_`` that numpy 2 removed, for one module instead of for all."""

    float_ = np.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextmanager
def _stand_in(name: str, **content: Any) -> Iterator[None]:
    """Provide the module ``name`` while the block runs, unless it can be imported."""
    if find_spec(name) is not None:
        yield
        return
    module = ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]


def _resource_filename(package: str, resource: str) -> str:
    """Path of a file beside a module, as ``pkg_resources.resource_filename`` gives it."""
    return str(Path(sys.modules[package].__file__ or "").parent / resource)


def _import_corruptions() -> tuple[ModuleType, ModuleType]:
    """Import the package and its module of corruption functions past the modules they miss."""
    import scipy.ndimage

    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # pkg_resources and scipy.ndimage.interpolation announce their end on import.
        warnings.simplefilter("ignore")
        stack.enter_context(_stand_in("pkg_resources", resource_filename=_resource_filename))
        stack.enter_context(
            _stand_in("scipy.ndimage.interpolation", map_coordinates=scipy.ndimage.map_coordinates)
        )
        package = importlib.import_module("imagecorruptions")
        return package, importlib.import_module("imagecorruptions.corruptions")


def mend_float_alias(functions: ModuleType) -> bool:
    """Give the module ``np.float_``, which ``fog`` uses and numpy 2 removed.

    Args:
        functions (ModuleType): ``imagecorruptions.corruptions``.

    Returns:
        bool: Whether it was missing.
    """
    if hasattr(functions.np, "float_"):
        return False
    functions.np = _Numpy("numpy")  # type: ignore[attr-defined]
    return True


def mend_gaussian(functions: ModuleType) -> bool:
    """Translate ``gaussian(multichannel=)``, which scikit-image 0.20 replaced by ``channel_axis``.

    ``gaussian_blur`` and ``glass_blur`` use it.

    Args:
        functions (ModuleType): ``imagecorruptions.corruptions``.

    Returns:
        bool: Whether the argument was missing.
    """
    original = functions.gaussian
    if "multichannel" in inspect.signature(original).parameters:
        return False

    def gaussian(image: Any, *args: Any, multichannel: bool = False, **kwargs: Any) -> Any:
        return original(image, *args, channel_axis=-1 if multichannel else None, **kwargs)

    functions.gaussian = gaussian  # type: ignore[attr-defined]
    return True


def _impulse_noise(image: Any, severity: int = 1) -> Any:
    """Salt and pepper noise as imagecorruptions defines it, repeatable with ``np.random.seed``.

    One draw from numpy's global state seeds the generator (project's own choice).

    Args:
        image (PIL.Image.Image): RGB image, uint8, (H, W, 3).
        severity (int): 1 to 5.

    Returns:
        numpy.ndarray: (H, W, 3), float, in [0, 255].
    """
    from skimage.util import random_noise

    generator = np.random.default_rng(np.random.randint(2**31))
    seed_name = "rng" if "rng" in inspect.signature(random_noise).parameters else "seed"
    noisy = random_noise(
        np.array(image) / 255.0,
        mode="s&p",
        amount=IMPULSE_NOISE_AMOUNTS[severity - 1],
        **{seed_name: generator},
    )
    return np.clip(noisy, 0, 1) * 255


_impulse_noise.__name__ = "impulse_noise"


def mend_impulse_noise(package: ModuleType, functions: ModuleType) -> bool:
    """Make ``impulse_noise`` draw from numpy's global random state, as the other corruptions do.

    Args:
        package (ModuleType): ``imagecorruptions``.
        functions (ModuleType): ``imagecorruptions.corruptions``.

    Returns:
        bool: Whether it was exchanged; ``False`` if it has been before.
    """
    original = functions.impulse_noise
    if original is _impulse_noise:
        return False
    functions.impulse_noise = _impulse_noise  # type: ignore[attr-defined]
    package.impulse_noise = _impulse_noise  # type: ignore[attr-defined]
    package.corruption_dict["impulse_noise"] = _impulse_noise
    package.corruption_tuple = tuple(  # type: ignore[attr-defined]
        _impulse_noise if function is original else function
        for function in package.corruption_tuple
    )
    return True


def load_imagecorruptions() -> ModuleType:
    """Import ``imagecorruptions`` with all 19 corruptions in working order.

    Returns:
        ModuleType: The mended package; the same one every time.
    """
    package, functions = _import_corruptions()
    mend_float_alias(functions)
    mend_gaussian(functions)
    mend_impulse_noise(package, functions)
    return package
