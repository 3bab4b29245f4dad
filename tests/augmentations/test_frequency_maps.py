"""Frequency maps: symmetry, sizes, files; filtering beside NumPy's full transform."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from small_maps import made, random_maps
from torch import Tensor

from mmseg_robust.augmentations import FrequencyMaps, keep_frequencies, mirrored
from mmseg_robust.errors import InputError

SIZES = [(8, 8), (7, 7), (8, 7), (7, 8), (6, 10), (5, 9), (1, 4)]


def frequencies(size: int) -> list[int]:
    return np.fft.fftshift(np.fft.fftfreq(size, 1 / size)).round().astype(int).tolist()


@pytest.mark.parametrize("size", SIZES)
def test_mirroring_negates_frequencies(size: tuple[int, int]) -> None:
    height, width = size
    values = torch.arange(height * width).view(1, height, width)
    places = [
        {frequency % length: place for place, frequency in enumerate(frequencies(length))}
        for length in size
    ]
    turned = mirrored(values)
    for row, u in enumerate(frequencies(height)):
        for column, v in enumerate(frequencies(width)):
            opposite = places[0][-u % height], places[1][-v % width]
            assert turned[0, row, column] == values[0, opposite[0], opposite[1]]


@pytest.mark.parametrize("size", SIZES)
def test_filtering_is_that_of_the_full_transform(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(3, 2, *size, generator=generator, dtype=torch.float64)
    maps = random_maps(3, *size)
    spectrum = np.fft.fftshift(np.fft.fft2(images.numpy()), axes=(2, 3)) * maps.numpy()[:, None]
    expected = np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(2, 3)))
    assert abs(expected.imag).max() < 1e-12
    found = keep_frequencies(images, maps)
    np.testing.assert_allclose(found, expected.real, atol=1e-12)
    assert found.dtype == torch.float64
    single = keep_frequencies(images.float(), maps)
    torch.testing.assert_close(single, found.float(), atol=1e-5, rtol=0)


def test_one_map_for_all_and_all_kept() -> None:
    images = torch.rand(4, 3, 9, 12)
    maps = random_maps(1, 9, 12)
    torch.testing.assert_close(
        keep_frequencies(images, maps), keep_frequencies(images, maps.expand(4, -1, -1))
    )
    torch.testing.assert_close(keep_frequencies(images, torch.ones(1, 9, 12, dtype=bool)), images)
    dc = torch.zeros(1, 9, 12, dtype=torch.bool)
    dc[0, 4, 6] = True
    means = images.mean((2, 3), keepdim=True).expand_as(images)
    torch.testing.assert_close(keep_frequencies(images, dc), means)


@pytest.mark.parametrize(
    ("images", "maps"),
    [
        (torch.rand(2, 3, 8, 8), torch.ones(3, 8, 8, dtype=torch.bool)),
        (torch.rand(2, 3, 8, 8), torch.ones(2, 8, 5, dtype=torch.bool)),
        (torch.rand(3, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool)),
        (torch.rand(2, 3, 8, 8), torch.ones(2, 8, 8)),
        (torch.ones(2, 3, 8, 8, dtype=torch.uint8), torch.ones(2, 8, 8, dtype=torch.bool)),
    ],
)
def test_what_cannot_be_filtered(images: Tensor, maps: Tensor) -> None:
    with pytest.raises(InputError, match="frequency maps"):
        keep_frequencies(images, maps)


@pytest.mark.parametrize("own", [(4, 4), (5, 5), (4, 5)])
@pytest.mark.parametrize("size", [(5, 5), (8, 8), (9, 12), (11, 10), (8, 15)])
def test_at_a_larger_size(own: tuple[int, int], size: tuple[int, int]) -> None:
    maps = made(random_maps(6, *own))
    large = maps.at_size(*size)
    assert large.shape == (6, *size)
    assert torch.equal(large, mirrored(large))
    rows, columns = (nearest_places(*axis) for axis in zip(own, size))
    for (row, near_rows), (column, near_columns) in product(enumerate(rows), enumerate(columns)):
        # With two nearest ones, those at opposite places are among them.
        near = maps.maps.numpy()[:, near_rows][:, :, near_columns].reshape(6, -1)
        found = large.numpy()[:, row, column]
        assert (near.all(1) <= found).all()
        assert (found <= near.any(1)).all()


def nearest_places(own: int, size: int) -> list[list[int]]:
    """For each frequency of a size the places of the nearest ones, the higher of two; or both."""
    found = []
    for frequency in frequencies(size):
        wanted = frequency * own / size
        gaps = {other: abs(other - wanted) for other in range(-own, own + 1)}
        nearest = [other for other, gap in gaps.items() if gap == min(gaps.values())]
        highest = max(nearest, key=abs)
        both = abs(highest) * 2 > own
        used = {highest, -highest} if both else {highest}
        found.append([(other + own // 2) % own for other in used])
    return found


def test_a_doubled_map_by_hand() -> None:
    """Frequencies -4 to 3 of eight are -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5 of four."""
    line = torch.tensor([[[True, True, False, True]]])
    expected = [True, True, True, True, False, True, True, True]
    assert made(line).at_size(1, 8).flatten().tolist() == expected


def test_at_its_own_size_a_map_is_itself() -> None:
    for size in SIZES:
        maps = made(random_maps(2, *size))
        assert torch.equal(maps.at_size(*size), maps.maps)


@pytest.mark.parametrize("size", [(7, 20), (20, 7)])
def test_images_smaller_than_the_maps(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]} pixels are smaller .* 8 x 8"):
        made(random_maps(1, 8, 8)).at_size(*size)


def test_files_hold_everything(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "maps.npz"
    maps = made(random_maps(3, 6, 9), found=(True, False, True), task="classification")
    maps.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["maps.npz"]
    loaded = FrequencyMaps.load(path, classes=["class 0", "class 1", "class 2"])
    assert torch.equal(loaded.maps, maps.maps)
    assert loaded.size == (6, 9)
    for name in ("classes", "found", "task", "source"):
        assert getattr(loaded, name) == getattr(maps, name)


def test_maps_of_other_classes(tmp_path: Path) -> None:
    path = tmp_path / "maps.npz"
    made(random_maps(2, 4, 4)).save(path)
    with pytest.raises(InputError, match=r"maps\.npz: .*those of 2 classes, here are 3"):
        FrequencyMaps.load(path, classes=["class 0", "class 1", "class 2"])
    with pytest.raises(InputError, match=r"Class 1 of the frequency maps .*'class 1', here .*'x'"):
        FrequencyMaps.load(path, classes=["class 0", "x"])


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no frequency maps at .*dominant_frequencies\.py"):
        FrequencyMaps.load(tmp_path / "maps.npz")
    path = tmp_path / "text.npz"
    path.write_text("no archive")
    with pytest.raises(InputError, match="no file of frequency maps"):
        FrequencyMaps.load(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(InputError, match="no file of frequency maps"):
        FrequencyMaps.load(path)
    header = dict(format="mmseg_robust.frequency_maps", version=2)
    np.savez(path, maps=np.ones((1, 4, 4), bool), header=np.array(json.dumps(header)))
    with pytest.raises(InputError, match=r"version 1\).*version 2"):
        FrequencyMaps.load(path)


def test_a_file_of_a_lopsided_map(tmp_path: Path) -> None:
    path = tmp_path / "maps.npz"
    made(random_maps(2, 4, 4)).save(path)
    with np.load(path) as file:
        header = file["header"]
    maps = np.ones((2, 4, 4), bool)
    maps[1, 1, 1] = False
    np.savez(path, maps=maps, header=header)
    with pytest.raises(InputError, match=r"maps\.npz: The frequency maps of class 1 are not"):
        FrequencyMaps.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        dict(classes=("a",)),
        dict(classes=("a", "a")),
        dict(found=(True,)),
        dict(task="detection"),
    ],
)
def test_parts_that_do_not_fit(changes: dict) -> None:
    with pytest.raises(InputError):
        made(random_maps(2, 4, 4), **changes)


@pytest.mark.parametrize(
    "maps", [torch.ones(2, 4, 4), torch.ones(4, 4).bool(), torch.ones(0, 4, 4).bool()]
)
def test_tensors_that_are_no_maps(maps: Tensor) -> None:
    with pytest.raises(InputError, match=r"must be bool of shape \(K, h, w\)"):
        made(maps)
