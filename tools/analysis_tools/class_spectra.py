"""Show which frequencies each class of a data set has, and which set it apart from the others.

For a classifier's data the mean amplitude spectrum of each class's images, for a segmentor's that
of each class's regions; and ADCS, which tells at every frequency how many classes are weaker less
how many are stronger. Images are those of the config's data, as its test pipeline makes them.

Example:
    python tools/analysis_tools/class_spectra.py my_config.py --images-per-class 100
    python tools/analysis_tools/class_spectra.py my_config.py --window 16 --out thin_classes.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip  (first: mends what the imports below need)
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from mmseg_robust.analysis.chosen_images import choose_images
from mmseg_robust.analysis.command_line import (
    PICTURES,
    AnalysisParser,
    Bar,
    find_outputs,
    read_config,
    save_figure,
    write_json,
)
from mmseg_robust.analysis.region_spectra import COVER, WINDOW, check_windows, region_spectra
from mmseg_robust.analysis.spectra import MeanSpectra, adcs, amplitude_spectra, radial_profile
from mmseg_robust.analysis.split_data import LabelledImage, Split
from mmseg_robust.engine.command_line import run_tool
from mmseg_robust.errors import InputError
from mmseg_robust.files import write_archive

LEAST = {"segmentation": 20, "classification": 5}  # regions or images, for a class to be shown
WHAT = {"segmentation": "regions", "classification": "images"}
MOST_PANELS = 24
COLUMNS = 6


@dataclass(frozen=True)
class Spectra:
    """Spectra of the classes that have enough.

    Args:
        task (str): ``'segmentation'`` or ``'classification'``.
        names (list[str]): Names of the classes.
        counts (list[int]): Images or regions of each.
        skipped (dict[str, str]): Classes that are left out, and why.
        means (Tensor): Mean amplitude spectra, float64, shape (K, H, W).
    """

    task: str
    names: list[str]
    counts: list[int]
    skipped: dict[str, str]
    means: Tensor


def mean_spectra(
    split: Split, images: Sequence[LabelledImage], window: int, cover: float
) -> Spectra:
    """Spectra of all classes.

    Raises:
        InputError: If an image does not fit, or less than two classes have enough.
    """
    sums, bar = MeanSpectra(len(split.classes)), Bar("spectra")
    bar(0, len(images))
    for place in range(len(images)):
        sums.add(*_spectra_of(images[place], split, window, cover))
        bar(1, len(images))
    bar.close()
    least, counts = LEAST[split.task], sums.counts.tolist()
    shown = [label for label, count in enumerate(counts) if count >= least]
    skipped = {
        split.classes[label]: f"{count} {WHAT[split.task]}, {least} are needed"
        for label, count in enumerate(counts)
        if count < least
    }
    if len(shown) < 2:
        raise InputError(
            f"Two classes are needed to compare, {len(shown)} of {len(counts)} have {least} "
            f"{WHAT[split.task]}. Give more images, or smaller windows (--window, --cover)."
        )
    names = [split.classes[label] for label in shown]
    return Spectra(
        split.task, names, [counts[label] for label in shown], skipped, sums.means()[shown]
    )


def _spectra_of(
    image: LabelledImage, split: Split, window: int, cover: float
) -> tuple[Tensor, Tensor]:
    pixels = image.pixels.float() / 255
    if split.task == "classification":
        return amplitude_spectra(pixels[None]), image.labels.view(1)
    labels = image.labels
    if labels.shape != pixels.shape[1:]:  # the pipeline resizes images, not labels
        resized = functional.interpolate(labels[None, None].float(), size=pixels.shape[1:])
        labels = resized[0, 0].long()
    return region_spectra(pixels, labels, len(split.classes), window, cover)


def draw(spectra: Spectra, differences: Tensor, path: Path) -> None:
    """Draw profiles above, then for each class its spectrum and below it ADCS."""
    count = min(len(spectra.names), MOST_PANELS)
    columns = min(count, COLUMNS)
    blocks = -(-count // columns)
    figure = Figure(figsize=(1.75 * columns + 1.6, 3.4 + 3.7 * blocks), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=(3.2, 3.7 * blocks), squeeze=False)
    top, bottom = parts[:, 0]
    _draw_profiles(top.subplots(), spectra)
    panels = bottom.subplots(2 * blocks, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    logs = spectra.means[:count].clamp(min=1e-12).log10().numpy()
    # DC and its neighbours are far above the rest, and would take all colours.
    limits = float(np.quantile(logs, 0.02)), float(np.quantile(logs, 0.995))
    most = len(spectra.names) - 1
    for place in range(count):
        upper, lower = panels[2 * (place // columns) : 2 * (place // columns) + 2, place % columns]
        first = upper.imshow(logs[place], cmap="viridis", vmin=limits[0], vmax=limits[1])
        second = lower.imshow(differences[place].numpy(), cmap="RdBu_r", vmin=-most, vmax=most)
        upper.set_title(spectra.names[place], fontsize=10)
    for image, label in (
        (second, "lower: ADCS, weaker less stronger classes"),
        (first, "upper: amplitude, log 10"),
    ):
        bar = bottom.colorbar(image, ax=list(panels.flat), aspect=35, pad=0.015)
        bar.set_label(label, fontsize=10)
    bottom.supxlabel("frequency 0 in the middle, 0.5 cycles per pixel at the edges", fontsize=10)
    save_figure(figure, path)


def _draw_profiles(axes: Axes, spectra: Spectra) -> None:
    frequencies, profiles = radial_profile(spectra.means)
    styles = ("-", "--", ":")
    for place, name in enumerate(spectra.names[:MOST_PANELS]):
        axes.plot(
            frequencies[1:].numpy(), profiles[place, 1:].numpy(), label=name,
            color=f"C{place % 10}", linestyle=styles[place // 10], linewidth=1.6,
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("frequency in cycles per pixel, all directions")
    axes.set_ylabel("mean amplitude")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def run(args: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Raises:
        InputError: If an option is wrong.
    """
    check_windows(args.window, args.cover)
    cfg = read_config(args)
    out = find_outputs(args.out, cfg, "class_spectra.png", PICTURES, (".json", ".npz"))
    split = Split(cfg, args.split)
    images: Sequence[LabelledImage] = split  # type: ignore[assignment]  # read one by one
    if args.images_per_class is not None:
        bar = Bar("choosing images")
        images = choose_images(split, args.images_per_class, args.seed, bar).images
        bar.close()
    spectra = mean_spectra(split, images, args.window, args.cover)
    differences = adcs(spectra.means)
    draw(spectra, differences, out)
    frequencies, profiles = radial_profile(spectra.means)
    write_archive(
        out.with_suffix(".npz"), spectra=spectra.means.numpy(), adcs=differences.numpy(),
        classes=np.array(spectra.names),
    )  # fmt: skip
    record = {
        "schema": "mmseg_robust.class_spectra", "schema_version": 1, "task": spectra.task,
        "config": args.config, "split": args.split, "num_images": len(images),
        "images_per_class": args.images_per_class, "seed": args.seed,
        "window": args.window if spectra.task == "segmentation" else None,
        "cover": args.cover if spectra.task == "segmentation" else None,
        "frequencies": frequencies.tolist(),
        "classes": {
            name: {WHAT[spectra.task]: spectra.counts[place], "profile": profiles[place].tolist()}
            for place, name in enumerate(spectra.names)
        },
        "skipped": spectra.skipped,
    }  # fmt: skip
    write_json(out.with_suffix(".json"), record)
    for name, reason in spectra.skipped.items():
        print(f"left out: {name}: {reason}")
    print(f"Spectra written to {out}, {out.with_suffix('.json')} and {out.with_suffix('.npz')}")


def main() -> None:
    """Parse the command line and run."""
    parser = AnalysisParser(__doc__ or "", split="train", model=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--images-per-class", type=int, metavar="N",
        help="take so many images of each class, drawn by --seed; default: all",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=int, default=WINDOW, metavar="S",
        help=f"side of a segmentor's regions in pixels, even; default: {WINDOW}",
    )  # fmt: skip
    parser.add_argument(
        "--cover", type=float, default=COVER,
        help=f"least share of a region that its class covers, above 0.5; default: {COVER}",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="the picture, .png, .svg or .pdf; figures go into a .json, spectra into a .npz of "
        "the same name. Default: class_spectra.png in the work folder",
    )  # fmt: skip
    run(parser.parse())


if __name__ == "__main__":
    sys.exit(run_tool(main))
