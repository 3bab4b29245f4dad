"""How near made blur levels come to the true ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from torch import Tensor

from mmseg_robust.augmentations.defocus_levels import SHARP
from mmseg_robust.files import check_writable, write_whole

MEASURES = ("psnr", "ssim")
MOST_PSNR = 100.0
"""That of equal images, in dB: without a limit one of them would make a mean infinite."""

Score = tuple[str, str, float, float, float]
"""Task, way, level, PSNR and SSIM of one image."""


@METRICS.register_module()
class BlurLevelMetric(BaseMetric):
    """PSNR and SSIM of blur levels and deblurred images against the true ones.

    Three tasks, each over levels and averaged over images:

    ``blur``: every level between the ends from both of them. ``latent`` is the auto-encoder,
    ``pixel`` the mean of the two images with the same weights.

    ``deblur``: the sharp image from one of each level between the ends and the most blurred one.
    ``latent`` and ``pixel`` go on along the line of both; ``latent alone`` has the one image and
    makes the most blurred one of it; ``input`` is the image as it is.

    ``reconstruction``: the ends themselves, once through the auto-encoder (``latent``): what it
    costs to go through it at all.

    PSNR is in dB with white as 1, at most 100, the mean over images of each one's; SSIM is that of
    Wang et al. (IEEE TIP 2004) with a Gaussian window of 1.5 pixels, mean over channels, from
    scikit-image.

    Args:
        out_file (str, optional): Where to write all figures, JSON. Defaults to None.
        collect_device (str): ``'cpu'`` or ``'gpu'``, see MMEngine's ``BaseMetric``.
        prefix (str, optional): Prefix of the metrics' names. Defaults to ``'levels'``.

    Raises:
        InputError: If ``out_file`` cannot be written.
    """

    default_prefix = "levels"

    def __init__(
        self, out_file: str | None = None, collect_device: str = "cpu", prefix: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.out_file = out_file
        if out_file is not None:
            check_writable(out_file)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Scores the stacks of a batch.

        Args:
            data_batch (Any): Not looked at.
            data_samples (Sequence[dict]): What ``LinearLatentAutoEncoder`` predicts.
        """
        self.results.extend(scores_of(sample) for sample in data_samples)

    def compute_metrics(self, results: list[list[Score]]) -> dict[str, float]:
        """Makes the figures.

        Args:
            results (list[list[Score]]): Of each image.

        Returns:
            dict[str, float]: ``TASK/WAY/MEASURE``, means over images and levels.
        """
        figures = by_level(results)
        if self.out_file is not None:
            record = {"images": len(results), **figures}
            write_whole(self.out_file, (json.dumps(record) + "\n").encode())
        return {
            f"{task}/{way.replace(' ', '_')}/{measure}": float(np.mean(figures[task][way][measure]))
            for task in figures
            for way in figures[task]
            for measure in MEASURES
        }


def scores_of(sample: dict[str, Any]) -> list[Score]:
    """Scores of one stack.

    Args:
        sample (dict[str, Any]): What ``LinearLatentAutoEncoder`` predicts.

    Returns:
        list[Score]: One for each task, way and level.
    """
    stack, levels = sample["stack"].float(), sample["levels"]
    pixels = pixel_levels(stack, levels)
    inner, sharp = stack[1:-1], stack[-1:].expand_as(stack[1:-1])
    made = {
        ("blur", "latent"): (sample["blurred"][1:-1], inner),
        ("blur", "pixel"): (pixels["blurred"][1:-1], inner),
        ("deblur", "latent"): (sample["deblurred"], sharp),
        ("deblur", "latent alone"): (sample["deblurred_alone"], sharp),
        ("deblur", "pixel"): (pixels["deblurred"], sharp),
        ("deblur", "input"): (inner, sharp),
    }
    scores = [
        (task, way, level, *similarity(*pair))
        for (task, way), images in made.items()
        for level, pair in zip(levels[1:-1], zip(*images))
    ]
    ends = [
        ("reconstruction", "latent", levels[end], *similarity(sample["blurred"][end], stack[end]))
        for end in (0, -1)
    ]
    return scores + ends


def pixel_levels(stack: Tensor, levels: Sequence[float]) -> dict[str, Tensor]:
    """What the auto-encoder makes, by the same formulas on pixels.

    Args:
        stack (Tensor): In 0..1, shape (L, C, H, W).
        levels (Sequence[float]): L levels, ascending from 0 to 16.

    Returns:
        dict[str, Tensor]: ``blurred``, shape (L, C, H, W), and ``deblurred``, (L - 2, C, H, W).
    """
    shares = (stack.new_tensor(levels) / SHARP).view(-1, 1, 1, 1)
    onward = torch.lerp(stack[:1], stack[1:-1], 1 / shares[1:-1])
    return dict(blurred=torch.lerp(stack[:1], stack[-1:], shares), deblurred=onward.clamp_(0, 1))


def similarity(image: Tensor, truth: Tensor) -> tuple[float, float]:
    """PSNR and SSIM.

    Args:
        image (Tensor): In 0..1, shape (C, H, W).
        truth (Tensor): Likewise.

    Returns:
        tuple[float, float]: In dB, and at most 1.
    """
    # Here, because all programs import this module and few need what takes long to import.
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    one, other = (own.float().cpu().numpy().astype(np.float64) for own in (image, truth))
    with np.errstate(divide="ignore"):
        psnr = min(peak_signal_noise_ratio(other, one, data_range=1), MOST_PSNR)
    ssim = structural_similarity(
        other, one, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    return float(psnr), float(ssim)


def by_level(results: Sequence[Sequence[Score]]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Means over images.

    Args:
        results (Sequence[Sequence[Score]]): Of each image.

    Returns:
        dict: By task and way: ``levels``, and for each of them ``psnr`` and ``ssim``.
    """
    gathered: dict[str, dict[str, dict[float, list[tuple[float, float]]]]] = {}
    for task, way, level, *values in (score for image in results for score in image):
        levels = gathered.setdefault(task, {}).setdefault(way, {})
        levels.setdefault(level, []).append((values[0], values[1]))
    figures: dict[str, dict[str, dict[str, list[float]]]] = {}
    for task, ways in gathered.items():
        for way, levels in ways.items():
            means = [np.mean(own, axis=0) for _, own in sorted(levels.items())]
            columns = np.array(means).T
            figures.setdefault(task, {})[way] = {
                "levels": sorted(levels),
                **{name: column.round(4).tolist() for name, column in zip(MEASURES, columns)},
            }
    return figures
