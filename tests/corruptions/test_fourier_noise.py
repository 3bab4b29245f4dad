"""Noise of one frequency, against NumPy's Fourier transform, and grids of it as protocols."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mmseg_robust.corruptions import ALL_NAMES, FourierGrid, corrupt, get_protocol
from mmseg_robust.corruptions.backends import get_backend
from mmseg_robust.corruptions.fourier_noise import Frequency, cycles, noise_name, wave
from mmseg_robust.errors import InputError

CPU = torch.device("cpu")
SIZES = [(32, 32), (33, 47), (32, 45), (47, 64)]  # even, odd and both
FREQUENCIES = [
    Frequency(0, 0), Frequency(0, 0.125), Frequency(0.25, 0), Frequency(0.125, -0.375),
    Frequency(0.5, 0.5), Frequency(0.5, 0), Frequency(0, 0.5), Frequency(0.5, -0.25),
    Frequency(0.17, 0.5),
]  # fmt: skip
NAME = "fourier[0.125,-0.25]@0.07"


def two_deltas(frequency: Frequency, height: int, width: int) -> np.ndarray:
    """U of unit norm from its spectrum: zero but at one frequency and its mirror."""
    row, column = cycles(frequency.down, height), cycles(frequency.across, width)
    spectrum = np.zeros((height, width), complex)
    spectrum[row % height, column % width] += 1 - 1j
    spectrum[-row % height, -column % width] += 1 + 1j
    basis = np.fft.ifft2(spectrum)
    assert np.abs(basis.imag).max() < 1e-15
    return basis.real / np.linalg.norm(basis.real)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_waves_are_the_fourier_basis(size: tuple[int, int], frequency: Frequency) -> None:
    made = wave(frequency, *size, CPU)
    assert made.dtype == torch.float32
    basis = made.numpy().astype(float) / math.sqrt(size[0] * size[1])
    assert np.linalg.norm(basis) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(basis, two_deltas(frequency, *size), atol=2e-8)
    strong = np.abs(np.fft.fft2(basis)) > 1e-3
    mirrored = np.roll(strong[::-1, ::-1], (1, 1), (0, 1))
    counts = [cycles(value, length) for value, length in zip(frequency, size)]
    own_mirror = all(2 * count % length == 0 for count, length in zip(counts, size))
    assert strong.sum() == (1 if own_mirror else 2) and (strong == mirrored).all()


def test_whole_cycles() -> None:
    assert [cycles(f, 32) for f in (0, 0.03125, -0.25, 0.5, -0.5)] == [0, 1, -8, 16, -16]
    assert [cycles(f, 47) for f in (0.5, -0.5, 0.1)] == [23, -23, 5]
    assert cycles(0.0333333, 30) == 1  # a name's six digits must not cost the only cycle
    with pytest.raises(InputError, match="side of 29 pixels has no room"):
        cycles(-0.0333333, 29)


def test_noise_is_added_clipped_and_rounded() -> None:
    images = torch.randint(0, 256, (2, 3, 40, 56), dtype=torch.uint8)
    signs = set()
    for seed in range(8):
        noisy = corrupt(images, NAME, 1, [seed, seed + 100])
        u = two_deltas(Frequency(0.125, -0.25), 40, 56) * math.sqrt(40 * 56) * 0.07 * 255
        for image, plain in zip(noisy.numpy(), images.numpy()):
            drawn = np.sign(((image.astype(int) - plain) * u).sum((1, 2)))
            signs.add(tuple(drawn))
            expected = (plain + drawn[:, None, None] * u).clip(0, 255).round()
            assert np.abs(image - expected).max() <= 1  # a half may round either way
            assert (image == expected).mean() > 0.999
    assert len(signs) > 5  # of eight
    grey = torch.full((1, 3, 64, 48), 128, dtype=torch.uint8)
    added = (corrupt(grey, NAME, 1, 0).double() - 128) / 255
    assert added.square().mean((2, 3)).sqrt().numpy() == pytest.approx(np.full((1, 3), 0.07), 1e-3)


def test_pixels_depend_on_image_name_and_seed_alone() -> None:
    images = torch.randint(0, 256, (3, 3, 33, 47), dtype=torch.uint8)
    names = [NAME, "fog", "fourier[0,0]@0.2"]
    together = corrupt(images, names, [1, 2, 1], [5, 6, 7])
    for place in range(3):
        alone = corrupt(images[place : place + 1], names[place], 1 + (place == 1), [5 + place])
        assert torch.equal(together[place], alone[0])
    assert torch.equal(corrupt(images, NAME, 0, [1, 2, 3]), images)
    grey = torch.full((1, 3, 64, 48), 128, dtype=torch.uint8)
    weak, strong = (corrupt(grey, f"fourier[0,0]@{rms}", 1, 3).int() - 128 for rms in (0.1, 0.2))
    assert torch.equal(weak.sign(), strong.sign())


@pytest.mark.gpu
def test_devices_agree() -> None:
    images = torch.randint(0, 256, (1, 3, 64, 48), dtype=torch.uint8)
    there = corrupt(images.cuda(), NAME, 1, 4).cpu().int()
    assert ((there - corrupt(images, NAME, 1, 4).int()).abs() <= 1).all()


@pytest.mark.parametrize(
    "name, message",
    [
        ("fourier[0.1]@0.07", "Unknown corruption 'fourier\\[0.1\\]@0.07': noise of one frequency"),
        ("fourier[0.6,0]@0.07", "from -0.5 to 0.5 cycles"),
        ("fourier[0.1,0]@0", "root mean square of the noise must be from 0.0039"),
        ("fourier", "Unknown corruption 'fourier'"),
    ],
)
def test_wrong_names(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        corrupt(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), name, 1, 0)


def test_the_lists_of_names_stay_as_they_are() -> None:
    assert not [name for name in ALL_NAMES if "fourier" in name]
    get_backend("engine").check([NAME, "fog"])
    with pytest.raises(InputError, match="choose backend='engine'"):
        get_backend("imagecorruptions").check(["fog", NAME])


@pytest.mark.parametrize(
    "grid",
    [
        FourierGrid(),
        FourierGrid(9),
        FourierGrid(63, 31 / 224),
        FourierGrid(5, 0.2, 1 / 7, "after_crop"),
    ],
)
def test_a_grid_and_its_protocol(grid: FourierGrid) -> None:
    protocol = get_protocol(grid.name)
    assert FourierGrid.from_name(grid.name) == grid
    assert (protocol.name, protocol.acts) == (grid.name, grid.acts)
    assert len(set(protocol.cells)) == len(protocol.cells) == (grid.size**2 + 1) // 2
    assert protocol.groups == {"fourier": protocol.corruptions}
    assert all(protocol.cells_of(cell.corruption) == (cell,) for cell in protocol.cells)
    assert protocol.weaker_pass(2) == 0  # flips are counted against the clean image
    get_backend("engine").check(protocol.corruptions)
    values = grid.frequencies
    assert values[grid.size // 2] == 0 and values[-1] == pytest.approx(grid.greatest)
    assert values == tuple(-value for value in reversed(values))
    numbers = grid.mirrored(range(len(protocol.cells)))
    assert (numbers == numbers[::-1, ::-1]).all() and numbers[grid.size // 2, grid.size // 2] == 0
    for row, column in ((0, 1), (grid.size - 1, 0), (grid.size // 2, 0)):
        half = (row, column) in grid.places
        at = Frequency(values[row], values[column])
        expected = at if half else Frequency(-at.down + 0.0, -at.across + 0.0)
        cell = protocol.cells[int(numbers[row, column])]
        assert cell.corruption == noise_name(expected, grid.strength)


def test_short_names_and_the_papers_norms() -> None:
    assert FourierGrid.from_name("fourier-9x9-cropped") == FourierGrid(9, acts="after_crop")
    assert FourierGrid().strength == pytest.approx(15.7 / 224, abs=1e-4)
    whole = [cycles(value, 32) for value in FourierGrid(33).frequencies]
    assert whole == list(range(-16, 17))
    lowest = [cycles(value, 224) for value in FourierGrid(63, 31 / 224).frequencies]
    assert lowest == list(range(-31, 32))
    for length in range(32, 90):  # no two cells of a grid that fits are one
        counts = [cycles(value, length) for value in FourierGrid(31).frequencies]
        assert len(set(counts)) == 31


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((8,), "odd number from 3"), ((1,), "odd number from 3"), ((9.0,), "odd number from 3"),
        ((9, 0.0), "greatest frequency"), ((9, 0.6), "greatest frequency"),
        ((9, 0.5, 0.001), "root mean square"), ((9, 0.5, 1.5), "root mean square"),
    ],
)  # fmt: skip
def test_wrong_grids(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FourierGrid(*arguments)


@pytest.mark.parametrize("name", ["fourier", "fourier-9", "fourier-9x7", "fourier-9x9-rms"])
def test_wrong_names_of_grids(name: str) -> None:
    with pytest.raises(InputError, match=f"Unknown protocol '{name}': grids of frequencies"):
        get_protocol(name)
