"""imagecorruptions in working order."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmseg_robust.compat import image_corruptions, load_imagecorruptions

REFERENCE = load_imagecorruptions()
IMAGE = np.random.RandomState(0).randint(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", REFERENCE.get_corruption_names("all"))
def test_each_corruption_works_and_repeats(name: str) -> None:
    results = []
    for _ in range(2):
        np.random.seed(3)
        results.append(REFERENCE.corrupt(IMAGE, severity=3, corruption_name=name))
    assert results[0].shape == IMAGE.shape
    assert results[0].dtype == np.uint8
    assert np.any(results[0] != IMAGE)
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_impulse_noise_alters_the_stated_share(severity: int) -> None:
    image = np.full((128, 128, 3), 100, dtype=np.uint8)
    np.random.seed(0)
    noisy = REFERENCE.corrupt(image, severity, "impulse_noise")
    share = image_corruptions.IMPULSE_NOISE_AMOUNTS[severity - 1]
    assert np.mean(noisy != 100) == pytest.approx(share, rel=0.05)
    assert set(np.unique(noisy)) == {0, 100, 255}


def test_impulse_noise_follows_the_global_seed_everywhere() -> None:
    functions = sys.modules["imagecorruptions.corruptions"]
    assert REFERENCE.corruption_tuple[2] is REFERENCE.corruption_dict["impulse_noise"]
    assert REFERENCE.impulse_noise is functions.impulse_noise is REFERENCE.corruption_tuple[2]
    first, second = (REFERENCE.corrupt(IMAGE, 1, "impulse_noise") for _ in range(2))
    assert np.any(first != second)


def test_gaussian_blur_keeps_channels_apart() -> None:
    image = np.zeros((40, 40, 3), dtype=np.uint8)
    image[..., 0] = 255
    blurred = REFERENCE.corrupt(image, 5, "gaussian_blur")
    np.testing.assert_array_equal(blurred, image)


def test_nothing_is_left_behind() -> None:
    assert load_imagecorruptions() is REFERENCE
    assert not hasattr(np, "float_") or np.lib.NumpyVersion(np.__version__) < "2.0.0"
    left = sys.modules.get("pkg_resources")
    assert left is None or left.__spec__ is not None


def test_missing_modules_are_stood_in_for_while_importing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = ("pkg_resources", "scipy.ndimage.interpolation")
    for name in (*missing, "imagecorruptions", "imagecorruptions.corruptions"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        image_corruptions, "find_spec", lambda name: None if name in missing else found(name)
    )
    package = load_imagecorruptions()
    assert package is not REFERENCE
    assert not set(missing) & set(sys.modules)
    frosted = package.corrupt(IMAGE, 2, "frost")  # reads a picture beside the module
    assert frosted.shape == IMAGE.shape
    frost = Path(image_corruptions._resource_filename(package.__name__, "frost/frost1.png"))
    assert frost.is_file()


def as_module(**content: Any) -> ModuleType:
    """A stand-in for imagecorruptions.corruptions."""
    return SimpleNamespace(**content)  # type: ignore[return-value]


def test_older_numpy_is_left_alone() -> None:
    functions = as_module(np=SimpleNamespace(float_=float))
    assert image_corruptions.mend_float_alias(functions) is False


def test_removed_alias_comes_back_for_this_module_only() -> None:
    functions = as_module(np=SimpleNamespace())
    assert image_corruptions.mend_float_alias(functions) is True
    assert functions.np.float_ is np.float64
    assert functions.np.clip is np.clip
    assert image_corruptions.mend_float_alias(functions) is False


def test_older_scikit_image_is_left_alone() -> None:
    def gaussian(image: Any, sigma: float, multichannel: bool = False) -> Any:
        return image

    assert image_corruptions.mend_gaussian(as_module(gaussian=gaussian)) is False


def test_multichannel_is_translated_once() -> None:
    def gaussian(image: Any, sigma: float, channel_axis: int | None = None, **kwargs: Any) -> Any:
        return sigma, channel_axis, kwargs

    functions = as_module(gaussian=gaussian)
    assert image_corruptions.mend_gaussian(functions) is True
    assert functions.gaussian(0, sigma=2, multichannel=True) == (2, -1, {})
    assert functions.gaussian(0, 3, mode="reflect") == (3, None, {"mode": "reflect"})
    assert image_corruptions.mend_gaussian(functions) is False
