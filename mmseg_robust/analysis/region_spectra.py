"""Amplitude spectra of the regions of each class in a labelled image.

The papers look at whole images of one class each. For segmentation the way is the project's own. A
region has any shape, and the Fourier transform of a bare cut-out shows its outline: the step from
the region to what lies around it is stronger than any texture. So:

1. The image is cut into square windows of S x S pixels, each half over the last.
2. A window belongs to class c if c covers at least a share ``cover`` of it, weighted by a Hann
   window h, whose middle counts most. With m the region of c in the window, w = h m.
3. The region's own mean is removed, mu = sum(w x) / sum(w), for each channel, and the rest is
   weighted: r = w (x - mu). Outside the region r is 0, whatever lies there, and fades towards the
   window's border, so that there is no step in brightness at either; the sum of r is 0, and so is
   its DC.
4. |F_r| / sqrt(sum(w^2)), averaged over the channels: white noise of standard deviation s gives
   0.89 s at every frequency, however much of the window the region fills.

What remains of the outline is that the spectrum of the texture is smeared over neighbouring
frequencies, over about two steps of 1 / S by h alone and over more the less of a window is covered.
A class thinner than the windows (poles) has few or none: choose smaller ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_robust.analysis.spectra import amplitude_spectra
from mmseg_robust.errors import InputError

WINDOW = 32
"""Side of the windows in pixels."""
COVER = 0.75
"""Least share of a window that its class covers."""


def check_windows(window: int, cover: float) -> None:
    """Refuses windows that cannot be.

    Args:
        window (int): Should be even, from 4.
        cover (float): Should be above 0.5, so that a window has one class, and at most 1.

    Raises:
        InputError: If one is not.
    """
    if window < 4 or window % 2:
        raise InputError(f"The window's side is {window}; it must be an even number from 4.")
    if not 0.5 < cover <= 1:
        raise InputError(
            f"cover is {cover}; it must be above 0.5, so that a window has one class, and at most "
            "1."
        )


def region_spectra(
    image: Tensor, labels: Tensor, num_classes: int, window: int = WINDOW, cover: float = COVER
) -> tuple[Tensor, Tensor]:
    """Spectra of all windows of an image that belong to a class.

    Args:
        image (Tensor): Floating point, shape (C, H, W).
        labels (Tensor): Class of each pixel, integers, shape (H, W); what is not in
            0..num_classes - 1 is of no class.
        num_classes (int): Number of classes.
        window (int): Side S of the windows in pixels, even, from 4. Defaults to 32.
        cover (float): Least share that the class covers, above 0.5 to 1. Defaults to 0.75.

    Returns:
        tuple[Tensor, Tensor]: Centred amplitude spectra, shape (N, S, S), and the class of each,
        int64, shape (N,); N may be 0.

    Raises:
        InputError: If the image is smaller than a window, its labels are of another size, or window
            or cover are out of range.
    """
    check_windows(window, cover)
    if image.shape[1:] != labels.shape or min(labels.shape) < window:
        raise InputError(
            f"An image of {image.shape[1]} x {image.shape[2]} pixels with labels of "
            f"{' x '.join(map(str, labels.shape))} cannot be cut into windows of {window} x "
            f"{window}: both must have the same size, at least that of a window."
        )
    own, pixels = _windows(labels, window), _windows(image, window)
    hann = torch.hann_window(window, dtype=image.dtype, device=image.device)
    hann = hann[:, None] * hann
    present = [int(label) for label in labels.unique() if 0 <= label < num_classes]
    covered = [(label, _covered(own == label, hann, cover)) for label in present]
    found = [(label, at) for label, at in covered if len(at)]
    spectra = [_spectra(pixels[:, at], hann * (own[at] == label)) for label, at in found]
    classes = [torch.full((len(at),), label) for label, at in found]
    if not found:
        return image.new_zeros(0, window, window), torch.zeros(0, dtype=torch.int64)
    return torch.cat(spectra), torch.cat(classes)


def _windows(values: Tensor, side: int) -> Tensor:
    """All windows: (..., H, W) to (..., N, S, S)."""
    step = side // 2
    return values.unfold(-2, side, step).unfold(-2, side, step).flatten(-4, -3)


def _covered(region: Tensor, hann: Tensor, cover: float) -> Tensor:
    """Places of the windows (N, S, S) that the class covers."""
    shares = (region * hann).sum((1, 2)) / hann.sum()
    return (shares >= cover - 1e-6).nonzero()[:, 0]


def _spectra(pixels: Tensor, weights: Tensor) -> Tensor:
    """Steps 3 and 4: pixels (C, N, S, S), weights (N, S, S), spectra (N, S, S)."""
    means = (pixels * weights).sum((2, 3), keepdim=True) / weights.sum((1, 2))[:, None, None]
    rest = weights * (pixels - means)
    norms = weights.square().sum((1, 2)).sqrt()[:, None, None]
    return amplitude_spectra(rest.transpose(0, 1)) / norms
