"""Snow, frost and fog against the reference's own random numbers."""

from __future__ import annotations

import math
from importlib.machinery import ModuleSpec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from oracle import SIZES, batch, functions, picture, recorded, run, share_within_one
from torch import Tensor

from mmseg_robust.corruptions import frost as textures
from mmseg_robust.corruptions.plasma import draw_levels, map_side, plasma_fractal
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import Corruption
from mmseg_robust.corruptions.weather import FOG, SNOW, fog, frost, snow
from mmseg_robust.errors import InputError

SEVERITIES = range(1, 6)
CPU = torch.device("cpu")
# Besides the pictures: sides of which one, or both, are smaller than the frost textures' and the
# magnified snow's are not whole.
OTHER_SIZES = ((32, 32), (33, 47), (650, 40), (40, 1000))


def images_to_try() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    random = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in OTHER_SIZES]
    return [picture(size) for size in SIZES] + random


def centre(noise: np.ndarray, zoom: float) -> np.ndarray:
    """The part of the noise that the reference magnifies."""
    rows, columns = (math.ceil(side / zoom) for side in noise.shape)
    top, left = (noise.shape[0] - rows) // 2, (noise.shape[1] - columns) // 2
    return noise[top : top + rows, left : left + columns]


def levels_of(uniform: list[np.ndarray], severity: int, dtype: torch.dtype) -> list[Tensor]:
    """The reference's draws for a height map, scaled to [-1, 1] and joined by level."""
    decay = FOG[severity - 1][1]
    scaled = [torch.from_numpy(u * decay ** (i // 3) / 100) for i, u in enumerate(uniform)]
    return [torch.stack(scaled[i : i + 3])[None].to(dtype) for i in range(0, len(scaled), 3)]


@pytest.mark.parametrize("which", range(len(SIZES) + len(OTHER_SIZES)))
@pytest.mark.parametrize("severity", SEVERITIES)
def test_snow_equals_the_reference(which: int, severity: int) -> None:
    image = images_to_try()[which]
    mean, deviation, zoom = SNOW[severity - 1][:3]
    with recorded("normal", "uniform") as drawn:
        theirs = run(image, "snow", severity)
    noise = centre((drawn["normal"][0] - mean) / deviation, zoom)
    normal = torch.from_numpy(noise).float()[None]
    ours = snow.apply(batch(image), severity, normal, drawn["uniform"])
    assert share_within_one(ours, theirs) >= 0.9999


@pytest.mark.parametrize("which", range(len(SIZES) + len(OTHER_SIZES)))
@pytest.mark.parametrize("severity", SEVERITIES)
def test_frost_equals_the_reference(which: int, severity: int) -> None:
    image = images_to_try()[which]
    with recorded("randint") as drawn:
        theirs = run(image, "frost", severity, seed=10 * which + severity)
    ours = frost.apply(batch(image), severity, [tuple(int(number) for number in drawn["randint"])])
    assert share_within_one(ours, theirs) == 1


@pytest.mark.parametrize("which", range(len(SIZES) + len(OTHER_SIZES)))
@pytest.mark.parametrize("severity", SEVERITIES)
def test_fog_equals_the_reference(which: int, severity: int) -> None:
    image = images_to_try()[which] // (1 if which % 2 else 2)  # A largest value below white, too.
    with recorded("uniform") as drawn:
        theirs = run(image, "fog", severity)
    levels = levels_of(drawn["uniform"], severity, torch.float32)
    assert share_within_one(fog.apply(batch(image), severity, levels), theirs) == 1


def test_fog_leaves_black_black() -> None:
    images = torch.zeros(1, 3, 32, 40, dtype=torch.uint8)
    assert torch.equal(fog(images, 5, 0), images)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_height_map_in_float32_equals_the_reference_in_float64(severity: int) -> None:
    decay = FOG[severity - 1][1]
    np.random.seed(severity)
    with recorded("uniform") as drawn:
        theirs = functions().plasma_fractal(256, decay)
    for dtype, error in ((torch.float32, 1e-6), (torch.float64, 1e-13)):
        levels = levels_of(drawn["uniform"], severity, dtype)
        heights = plasma_fractal(levels, decay, 256, 256)[0].numpy()
        np.testing.assert_allclose(heights, theirs, atol=error)
        # A part is scaled by the whole map.
        part = plasma_fractal(levels, decay, 100, 60)[0].numpy()
        np.testing.assert_array_equal(part, heights[:100, :60])


@pytest.mark.parametrize(
    ("height", "width", "side"), [(32, 32, 32), (33, 20, 64), (1024, 2048, 2048), (513, 512, 1024)]
)
def test_the_height_map_covers_the_image(height: int, width: int, side: int) -> None:
    assert map_side(height, width) == side


def test_drawn_heights_are_uniform_and_independent() -> None:
    levels = draw_levels(256, RandomFields([1, 2], "fog", CPU), "heights")
    assert [level.shape for level in levels] == [(2, 3, 2**k, 2**k) for k in range(8)]
    for level in levels[5:]:
        count = level.numel()
        assert -1 <= level.min() < -0.99 < 0.99 < level.max() <= 1
        assert abs(level.mean()) < 4 * (1 / 3 / count) ** 0.5
        # The fourth moment of a uniform number is 1/5.
        assert abs(level.square().mean() - 1 / 3) < 4 * ((1 / 5 - 1 / 9) / count) ** 0.5
        pairs = level[..., 1:] * level[..., :-1]
        assert abs(pairs.mean()) < 4 * (1 / 9 / pairs.numel()) ** 0.5
    assert not torch.equal(levels[7][0], levels[7][1])


def test_drawn_snow() -> None:
    images = torch.zeros(400, 3, 33, 47, dtype=torch.uint8)
    normal, angles = snow.draw(images, 4, RandomFields(range(400), "snow", CPU))
    assert normal.shape == (400, 8, 11)
    assert abs(normal.mean()) < 4 / normal.numel() ** 0.5
    assert abs(normal.var() - 1) < 4 * (2 / normal.numel()) ** 0.5
    assert -135 <= min(angles) < -133
    assert -47 < max(angles) < -45
    assert abs(np.mean(angles) + 90) < 4 * 90 / (12 * 400) ** 0.5


def test_drawn_frost_reaches_every_texture_and_every_crop() -> None:
    images = torch.zeros(600, 3, 600, 400, dtype=torch.uint8)
    (crops,) = frost.draw(images, 1, RandomFields(range(600), "frost", CPU))
    for index in range(5):
        own = [crop for crop in crops if crop[0] == index]
        assert abs(len(own) - 120) < 4 * (600 * 0.2 * 0.8) ** 0.5
        rows, columns = textures.scaled_size(index, 600, 400)
        tops, lefts = [crop[1] for crop in own], [crop[2] for crop in own]
        assert 0 <= min(tops) < 0.1 * (rows - 600) < 0.9 * (rows - 600) < max(tops) < rows - 600
        assert 0 <= min(lefts) < 0.1 * (columns - 400)
        assert 0.9 * (columns - 400) < max(lefts) < columns - 400


@pytest.mark.parametrize("index", range(5))
def test_textures_are_those_of_the_package(index: int) -> None:
    path = textures.texture_path(index)
    original = cv2.imread(str(path))
    stored = textures.texture(index).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(stored, original[..., ::-1])
    size = textures.scaled_size(index, 300, 700)
    scaled = textures.scaled_texture(index, 300, 700, CPU)
    assert scaled.shape == (3, *size)
    assert scaled is textures.scaled_texture(index, 300, 700, CPU)
    resized = cv2.resize(original, size[::-1], interpolation=cv2.INTER_CUBIC)[..., ::-1]
    off = np.abs(scaled.permute(1, 2, 0).numpy().astype(int) - resized)
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3


def test_missing_textures_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    textures.texture.cache_clear()
    monkeypatch.setattr(textures, "find_spec", lambda name: None)
    hint = "pip install imagecorruptions --no-deps"
    with pytest.raises(InputError, match=rf"frost\d\.(png|jpg).*{hint}"):
        frost(images, 1, 0)
    spec = ModuleSpec("imagecorruptions", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(textures, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match=rf"{tmp_path}/frost/frost4\.jpg.*{hint}"):
        frost.apply(images, 1, [(3, 0, 0)])


@pytest.mark.parametrize("corruption", [snow, frost, fog], ids=lambda corruption: corruption.name)
@pytest.mark.parametrize("severity", [1, 4, 5])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 97)])
def test_a_batch_equals_its_images(
    corruption: Corruption, severity: int, size: tuple[int, int]
) -> None:
    images = torch.randint(0, 256, (4, 3, *size), dtype=torch.uint8)
    together = corruption(images, severity, [5, 6, 7, 8])
    for place, seed in enumerate((5, 6, 7, 8)):
        assert torch.equal(together[place], corruption(images[place, None], severity, seed)[0])
    assert not torch.equal(together, images)


def test_textures_cached_in_inference_mode_serve_outside_of_it() -> None:
    images = torch.zeros(2, 3, 35, 36, dtype=torch.uint8)
    with torch.inference_mode():
        inside = frost(images, 2, [0, 1])
    assert torch.equal(frost(images, 2, [0, 1]), inside)
