"""The reference generator: reproducible, side-effect free, equal to imagecorruptions."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from small_runs import environment

from mmseg_robust.compat import load_imagecorruptions
from mmseg_robust.corruptions import NAMES, corrupt_reference, image_seed
from mmseg_robust.corruptions import reference as module
from mmseg_robust.errors import InputError


def photo(height: int = 67, width: int = 101) -> np.ndarray:
    """A picture-like image of odd size: smooth areas, edges, texture, all three channels apart."""
    random = np.random.default_rng(5)
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 2, 255 - columns * 2, 60 + rows + columns], -1).astype(float)
    image[20:50, 30:60] = (200, 40, 90)
    image[:, width // 2 :] += random.normal(0, 20, image[:, width // 2 :].shape)
    return image.clip(0, 255).astype(np.uint8)


ALL = [(name, severity) for name in NAMES for severity in range(1, 6)]


def digest(seed: int, cells: list[tuple[str, int]]) -> dict[tuple[str, int], str]:
    image = photo()
    return {
        cell: hashlib.sha256(corrupt_reference(image, *cell, seed).tobytes()).hexdigest()
        for cell in cells
    }


def test_every_cell_runs_and_differs() -> None:
    image = photo()
    results = {}
    for name, severity in ALL:
        result = corrupt_reference(image, name, severity, 3)
        assert result.shape == image.shape
        assert result.dtype == np.uint8
        assert not np.array_equal(result, image)
        results[name, severity] = result.tobytes()
    assert len(set(results.values())) == len(ALL)


def test_the_order_of_calls_does_not_matter() -> None:
    assert digest(3, ALL) == digest(3, ALL[::-1])


@pytest.mark.long
def test_another_process_gives_the_same_pixels() -> None:
    cells = [(name, 3) for name in NAMES]
    code = f"from test_reference import digest; print(digest(3, {cells}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=__file__.rpartition("/")[0],
        env={**environment(), "PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(digest(3, cells)), done.stderr


def test_seeds_matter_where_a_corruption_is_random() -> None:
    random = [name for name in NAMES if digest(1, [(name, 3)]) != digest(2, [(name, 3)])]
    assert random == [
        "gaussian_noise",
        "shot_noise",
        "impulse_noise",
        "glass_blur",
        "motion_blur",
        "snow",
        "frost",
        "fog",
        "elastic_transform",
        "speckle_noise",
        "spatter",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_pixels_equal_imagecorruptions_at_the_same_random_state(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "hash_parts", lambda *parts: 11)
    package = load_imagecorruptions()
    np.random.seed(11)
    expected = package.corrupt(photo(40, 37), severity=4, corruption_name=name)
    np.testing.assert_array_equal(corrupt_reference(photo(40, 37), name, 4, 0), expected)


@pytest.mark.parametrize("name", NAMES)
def test_global_random_state_and_input_are_left_alone(name: str) -> None:
    image, untouched = photo(), photo()
    np.random.seed(0)
    expected = np.random.random(3)
    np.random.seed(0)
    corrupt_reference(image, name, 2, 1)
    np.testing.assert_array_equal(np.random.random(3), expected)
    np.testing.assert_array_equal(image, untouched)


def test_global_random_state_is_restored_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        np.random.random(5)
        raise RuntimeError

    monkeypatch.setattr(module, "_run", fail)
    np.random.seed(0)
    with pytest.raises(RuntimeError):
        corrupt_reference(photo(), "fog", 1, 0)
    state = np.random.random()
    np.random.seed(0)
    assert state == np.random.random()


def test_severity_zero_is_a_copy() -> None:
    image = photo()
    result = corrupt_reference(image, "fog", 0, 1)
    np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


def test_a_view_with_reversed_channels_is_read_as_it_looks() -> None:
    image = photo()
    expected = corrupt_reference(image, "saturate", 4, 1)
    view = np.ascontiguousarray(image[..., ::-1])[..., ::-1]
    np.testing.assert_array_equal(corrupt_reference(view, "saturate", 4, 1), expected)


def test_spatter_without_a_drop_changes_nothing() -> None:
    image = photo(32, 32)
    # On 32x32 pixels about 2 % of the seeds give no drop; the package divides by zero then.
    results = [corrupt_reference(image, "spatter", 1, seed) for seed in range(80, 130)]
    assert min(result.max() for result in results) > 0
    assert 1 <= sum(np.array_equal(result, image) for result in results) <= 5


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((31, 64, 3), np.uint8), "at least 32 pixels high and wide, got 31 x 64"),
        (np.zeros((64, 64), np.uint8), r"shape \(H, W, 3\), got uint8 \(64, 64\)"),
        (np.zeros((64, 64, 3), np.float32), "got float32"),
        (Image.new("RGB", (64, 64)), "got Image"),
    ],
)
def test_bad_images_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        corrupt_reference(image, "fog", 1, 0)


def test_bad_names_and_severities_are_refused() -> None:
    with pytest.raises(InputError, match="Unknown corruption 'smog'"):
        corrupt_reference(photo(), "smog", 1, 0)
    with pytest.raises(InputError, match="Severity"):
        corrupt_reference(photo(), "fog", 6, 0)


def test_image_seed_knows_run_and_name_alone() -> None:
    assert image_seed(0, "a/b/frame_1.png") == image_seed(0, "frame_1.jpg")
    seeds = {image_seed(run, f"{i}.png") for run in range(3) for i in range(50)}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**63 for seed in seeds)
    # A value of SHA-256, so that a change of the recipe cannot pass unseen.
    expected = int.from_bytes(hashlib.sha256(b"4\0x").digest()[:8], "little") >> 1
    assert image_seed(4, "x.png") == expected
