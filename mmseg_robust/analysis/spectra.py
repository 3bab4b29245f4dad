"""Mean amplitude spectra of classes, and what sets each apart from the others.

Paper: S. Wang, R. Veldhuis, C. Brune, N. Strisciuglio, "What do neural networks learn in image
classification? A frequency shortcut perspective", ICCV 2023, arXiv 2307.09829. With F the discrete
Fourier transform and X_c the images of class c:

    E_c(u, v) = mean over x in X_c of |F_x(u, v)|
    ADCS_c(u, v) = sum over the other classes d of sign(E_c(u, v) - E_d(u, v))

ADCS (accumulative difference of class-wise average spectra) lies between 1 - K and K - 1 for K
classes: K - 1 where class c is the strongest of all, 0 where as many are weaker as stronger. Both
equations were read in public summaries of the paper and in its official code. The code also
compares each class with itself and takes "not greater" as -1, so that its maps are those of the
equation minus 1; it weighs the channels as grey before the sign. Here it is the equation, and |F_x|
is the plain mean over the channels, as the paper has it.

A classifier's images are taken whole, see :func:`amplitude_spectra`. Of a segmentor's images there
are the regions of each class, see :mod:`mmseg_robust.analysis.region_spectra`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_robust.errors import InputError


def amplitude_spectra(images: Tensor) -> Tensor:
    """|F_x|, averaged over the channels.

    Args:
        images (Tensor): Floating point, shape (N, C, H, W).

    Returns:
        Tensor: Centred spectra (DC at [H // 2, W // 2]), 0 or more, shape (N, H, W).
    """
    return torch.fft.fftshift(torch.fft.fft2(images).abs().mean(1), dim=(-2, -1))


class MeanSpectra:
    """E_c of all classes, summed up spectrum by spectrum.

    Args:
        num_classes (int): Number of classes, K.
    """

    def __init__(self, num_classes: int) -> None:
        self.counts = torch.zeros(num_classes, dtype=torch.int64)
        self._sums: Tensor | None = None

    def add(self, spectra: Tensor, labels: Tensor) -> None:
        """Adds spectra, all of one size.

        Args:
            spectra (Tensor): Shape (N, H, W).
            labels (Tensor): Class of each, int64, shape (N,).

        Raises:
            InputError: If they are of another size than those before.
        """
        labels = labels.cpu()
        if self._sums is None:
            self._sums = torch.zeros(len(self.counts), *spectra.shape[1:], dtype=torch.float64)
        if spectra.shape[1:] != self._sums.shape[1:]:
            sizes = [" x ".join(map(str, one.shape[1:])) for one in (self._sums, spectra)]
            raise InputError(
                f"An image of {sizes[1]} pixels comes after others of {sizes[0]}: resize and crop "
                "in the test pipeline, so that all are alike."
            )
        self._sums.index_add_(0, labels, spectra.cpu().double())
        self.counts += torch.bincount(labels, minlength=len(self.counts))

    def means(self) -> Tensor:
        """The mean spectra.

        Returns:
            Tensor: float64, shape (K, H, W); NaN for a class without spectra. H and W are 0 if none
            was added.
        """
        if self._sums is None:
            return torch.zeros(len(self.counts), 0, 0, dtype=torch.float64)
        return self._sums / self.counts.double()[:, None, None]


def adcs(spectra: Tensor) -> Tensor:
    """The accumulative difference of each class to the others.

    Args:
        spectra (Tensor): Mean spectra E_c, no NaN, shape (K, H, W).

    Returns:
        Tensor: int64 from 1 - K to K - 1, shape (K, H, W).
    """
    count, height, width = spectra.shape
    values = spectra.reshape(count, -1).t().contiguous()
    # The sum of signs is how many are smaller less how many are greater: sorting tells both,
    # without comparing all pairs.
    ordered = values.sort(dim=1).values
    smaller = torch.searchsorted(ordered, values)
    not_greater = torch.searchsorted(ordered, values, right=True)
    return (smaller + not_greater - count).t().reshape(count, height, width)


def radial_profile(spectra: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over all directions, by frequency.

    Args:
        spectra (Tensor): Centred spectra, shape (K, H, W), H and W at least 2.

    Returns:
        tuple[Tensor, Tensor]: Frequencies in cycles a pixel, from 0 to 0.5, one for each step of
        the shorter side, shape (B,); and the mean by class of what lies within half a step of each,
        shape (K, B). Corners, above 0.5, are left out.
    """
    height, width = spectra.shape[1:]
    steps = min(height, width)
    rows = torch.fft.fftshift(torch.fft.fftfreq(height, dtype=torch.float64))
    columns = torch.fft.fftshift(torch.fft.fftfreq(width, dtype=torch.float64))
    radii = torch.hypot(rows[:, None], columns)
    bins = (radii * steps).round().long().flatten()
    inside = bins <= steps // 2
    counts = torch.bincount(bins[inside])
    sums = torch.zeros(len(spectra), len(counts), dtype=spectra.dtype)
    sums.index_add_(1, bins[inside], spectra.flatten(1)[:, inside])
    return torch.arange(len(counts), dtype=torch.float64) / steps, sums / counts
