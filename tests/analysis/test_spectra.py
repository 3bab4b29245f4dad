"""Mean spectra of classes and ADCS, against plain arithmetic."""

from __future__ import annotations

import pytest
import torch

from mmseg_robust.analysis.spectra import MeanSpectra, adcs, amplitude_spectra, radial_profile
from mmseg_robust.errors import InputError


def wave(height: int, width: int, u: int, v: int) -> torch.Tensor:
    rows, columns = torch.arange(height)[:, None] / height, torch.arange(width) / width
    return torch.cos(2 * torch.pi * (u * rows + v * columns))


@pytest.mark.parametrize("height, width", [(8, 8), (9, 12), (7, 5)])
def test_a_wave_is_at_its_two_places(height: int, width: int) -> None:
    image = torch.stack([wave(height, width, 2, -1), torch.zeros(height, width)])
    spectrum = amplitude_spectra(image[None])[0]
    expected = torch.zeros(height, width)
    for sign in (1, -1):  # half of the amplitude at each, half of the channels
        expected[height // 2 + sign * 2, width // 2 - sign] = height * width / 4
    torch.testing.assert_close(spectrum, expected, atol=1e-4, rtol=0)


def test_means_by_class_do_not_depend_on_the_batches() -> None:
    spectra, labels = torch.rand(9, 4, 6), torch.tensor([0, 2, 2, 0, 0, 2, 0, 2, 2])
    one, several = MeanSpectra(3), MeanSpectra(3)
    one.add(spectra, labels)
    for some in (slice(0, 4), slice(4, 9)):
        several.add(spectra[some], labels[some])
    assert one.counts.tolist() == [4, 0, 5]
    expected = spectra[labels == 2].double().mean(0)
    torch.testing.assert_close(one.means()[2], expected)
    torch.testing.assert_close(several.means(), one.means(), equal_nan=True)
    assert one.means()[1].isnan().all()
    with pytest.raises(InputError, match="6 x 4 pixels comes after others of 4 x 6"):
        one.add(torch.rand(1, 6, 4), torch.tensor([1]))


def test_adcs_is_the_papers_sum_of_signs() -> None:
    spectra = torch.randint(0, 5, (6, 5, 7)).double()  # many are equal: the sign is 0
    expected = torch.stack(
        [sum(torch.sign(own - other) for other in spectra) for own in spectra]
    )  # with itself it is 0
    found = adcs(spectra)
    assert torch.equal(found.double(), expected)
    assert found.abs().max() <= 5
    single = torch.zeros(3, 2, 2)
    single[1, 0, 0] = 1
    assert adcs(single)[:, 0, 0].tolist() == [-1, 2, -1]
    assert adcs(single)[:, 1, 1].tolist() == [0, 0, 0]


def test_radial_profile() -> None:
    spectra = amplitude_spectra(wave(16, 24, 4, 0)[None, None])
    frequencies, profile = radial_profile(spectra)
    assert frequencies.tolist() == [step / 16 for step in range(9)]
    assert profile[0].argmax() == 4
    flat = torch.full((2, 16, 24), 3.0)
    torch.testing.assert_close(radial_profile(flat)[1], torch.full((2, 9), 3.0))
