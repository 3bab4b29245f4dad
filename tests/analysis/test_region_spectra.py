"""Spectra of regions: the texture of a class shows, its outline and its neighbours do not."""

from __future__ import annotations

import pytest
import torch

from mmseg_robust.analysis.region_spectra import region_spectra
from mmseg_robust.analysis.spectra import MeanSpectra, amplitude_spectra
from mmseg_robust.errors import InputError

SIDE = 16


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def blobs(seed: int, size: int = 96) -> torch.Tensor:
    """Two classes with a winding border between them, and some pixels of none."""
    generator = torch.Generator().manual_seed(seed)
    field = torch.randn(1, 1, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(field, size=(size, size), mode="bicubic")[0, 0]
    labels = (smooth > 0).long()
    labels[:5, :40] = 255
    return labels


def means(images: list[torch.Tensor], labels: list[torch.Tensor], **options: float) -> torch.Tensor:
    sums = MeanSpectra(2)
    for image, own in zip(images, labels):
        sums.add(*region_spectra(image, own, 2, window=SIDE, **options))
    assert sums.counts.min() > 30
    return sums.means()


def test_a_texture_shows_in_its_class_alone() -> None:
    labels = [blobs(seed) for seed in range(4)]
    columns = torch.arange(96)
    stripes = torch.cos(2 * torch.pi * columns * 5 / SIDE).expand(96, 96)  # 5 steps across
    images = [
        (0.02 * torch.randn(3, 96, 96) + torch.where(own == 1, stripes, 0.0)) for own in labels
    ]
    plain, striped = means(images, labels)
    middle = SIDE // 2
    assert (striped == striped.max()).nonzero()[:, 1].tolist()[0] in (middle - 5, middle + 5)
    assert striped[middle, middle + 5] > 20 * striped[middle + 5, middle], "across, not down"
    assert plain.max() < 0.05 * striped.max(), "nothing of it in the other class"
    at_stripes, elsewhere = plain[middle, middle + 5], plain.median()
    assert at_stripes < 1.3 * elsewhere


@pytest.mark.parametrize("cover", [0.6, 1.0])
def test_outlines_and_steps_in_brightness_do_not_show(cover: float) -> None:
    """White noise is flat, however strong the step to the neighbours."""
    labels = [blobs(seed) for seed in range(6)]
    noise = [0.05 * torch.randn(3, 96, 96) for _ in labels]
    images = [n + torch.where(own == 1, 0.9, 0.1) for n, own in zip(noise, labels)]
    for spectrum in means(images, labels, cover=cover):
        rest = spectrum.flatten()
        rest = rest[torch.arange(len(rest)) != SIDE * SIDE // 2 + SIDE // 2]  # but DC
        level = 0.05 * (torch.pi / 4) ** 0.5  # mean amplitude of white noise
        # At the highest frequencies, and near DC, some are real numbers, not complex ones.
        assert (rest.median() / level - 1).abs() < 0.05
        assert rest.max() < 1.35 * level
        assert spectrum[SIDE // 2, SIDE // 2] < 0.02 * level, "DC"
    # What a bare cut-out would show.
    cut = amplitude_spectra(images[0][:, 20:36, 20:36][None])[0] / SIDE
    assert cut.max() > 10 * level


def test_windows_by_cover() -> None:
    labels = torch.zeros(32, 32, dtype=torch.long)
    labels[:, 20:] = 1
    image = torch.rand(3, 32, 32)
    _, classes = region_spectra(image, labels, 2, window=16, cover=1.0)
    # Half a window a step, so three across: the first is of class 0, and by the taper's zeros the
    # second has columns 9 to 23, the third 17 to 31.
    assert classes.tolist() == [0, 0, 0]
    _, classes = region_spectra(image, labels, 2, window=16, cover=0.51)
    assert classes.tolist() == [0] * 6 + [1] * 3
    spectra, classes = region_spectra(image, torch.full((32, 32), 255), 2, window=16)
    assert spectra.shape == (0, 16, 16) and classes.shape == (0,)


@pytest.mark.parametrize(
    "size, options, message",
    [
        (12, {"window": 16}, "12 x 12 pixels with labels of 12 x 12 cannot be cut into windows"),
        (32, {"window": 15}, "even number from 4"),
        (32, {"cover": 0.5}, "above 0.5"),
    ],
)
def test_wrong_input(size: int, options: dict, message: str) -> None:
    labels = torch.zeros(size, size, dtype=torch.long)
    with pytest.raises(InputError, match=message):
        region_spectra(torch.rand(3, size, size), labels, 2, **options)
