"""Test a model for frequency shortcuts: how far it gets on the frequencies of one class alone.

All images are filtered by the dominant frequencies of a class (MAPS, which dominant_frequencies.py
makes). TPR is the share of the class's images (of a segmentor: pixels) that are called so, FPR that
of all others. Both high, against unfiltered images: the frequencies are enough for the model to see
the class, also where it is not. A test that was killed goes on with the same command.

Example:
    python tools/analysis_tools/frequency_shortcuts.py my_config.py CHECKPOINT maps.npz
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import mmseg_robust  # isort: skip  (first: mends what the imports below need)
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from prettytable import PrettyTable
from torch import Tensor, nn

from mmseg_robust.analysis.chosen_images import choose_images
from mmseg_robust.analysis.command_line import (
    PICTURES,
    AnalysisParser,
    Bar,
    find_device,
    find_outputs,
    read_config,
    save_figure,
    write_json,
)
from mmseg_robust.analysis.filtered_counts import FilteredCounts
from mmseg_robust.analysis.filtered_model import FilteredModel, load_model
from mmseg_robust.analysis.search_store import SearchStore
from mmseg_robust.analysis.shortcuts import Rates, shortcut_counts, shortcut_rates
from mmseg_robust.analysis.split_data import LabelledImage, Split
from mmseg_robust.augmentations.frequency_maps import FrequencyMaps
from mmseg_robust.corruptions.random import hash_parts
from mmseg_robust.engine.command_line import run_tool
from mmseg_robust.engine.loops.run_identity import weights_digest
from mmseg_robust.errors import InputError

AT_ONCE = 16  # images that are read, measured under all maps, and stored
ITEMS = {"segmentation": "pixels", "classification": "images"}
UNFILTERED, FILTERED = "#8a949e", "#c8500a"


def check_model(maps: FrequencyMaps, weights: str, any_model: bool) -> None:
    """Refuses maps of another model.

    Raises:
        InputError: If the weights are others, and that is not asked for.
    """
    found = maps.source.get("weights")
    if found != weights and not any_model:
        raise InputError(
            f"The maps are of another model, {maps.source.get('checkpoint')!r}. Make maps of this "
            "one, or ask for the test of one model on another's maps by --any-model."
        )


def count(
    model: nn.Module, split: Split, images: Sequence[LabelledImage], maps: Tensor,
    store: SearchStore, batch_size: int,
) -> FilteredCounts:  # fmt: skip
    """Counts over all images; parts that are in the store are not measured again."""
    total: FilteredCounts | None = None
    bar = Bar("images, each under all filters")
    bar(0, len(images))
    for start in range(0, len(images), AT_ONCE):
        some = range(start, min(start + AT_ONCE, len(images)))
        stored = store.read(f"images_{start:06d}")
        if stored is None:
            read = [images[place] for place in some]
            measure = FilteredModel(model, split.task, len(split.classes), read, [], batch_size)
            counts = shortcut_counts(measure, maps)
            store.write(f"images_{start:06d}", **vars(counts))
        else:
            counts = FilteredCounts(**stored)
        total = counts if total is None else total + counts
        bar(len(some), len(images))
    bar.close()
    assert total is not None
    return total


def draw(rates: Rates, classes: Sequence[str], path: Path) -> None:
    """Draw a line a class, from the rate on unfiltered images to that on filtered ones."""
    labels = [label for label in range(len(classes)) if rates.tpr[label] == rates.tpr[label]]
    figure = Figure(figsize=(9.6, 1.3 + 0.34 * max(len(labels), 3)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.06})
    pairs = (
        (left, rates.unfiltered_tpr, rates.tpr, "TPR: its own that are called so (%)"),
        (right, rates.unfiltered_fpr, rates.fpr, "FPR: others that are called so (%)"),
    )
    for axes, before, after, title in pairs:
        _draw_rates(axes, 100 * before[labels].numpy(), 100 * after[labels].numpy(), title)
    left.set_yticks(range(len(labels)), [classes[label] for label in labels])
    left.invert_yaxis()
    left.set_xlim(-2, 102)
    right.set_xlim(left=0)
    handles, texts = left.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside upper center", ncols=2, frameon=False)
    save_figure(figure, path)


def _draw_rates(axes: Axes, before: np.ndarray, after: np.ndarray, title: str) -> None:
    rows = np.arange(len(before))
    axes.hlines(rows, before, after, color="#c9d1d9", linewidth=3, zorder=1)
    axes.scatter(before, rows, color=UNFILTERED, label="all frequencies", zorder=2)
    axes.scatter(after, rows, color=FILTERED, label="the class's own alone", zorder=3)
    axes.set_xlabel(title)
    axes.grid(axis="x", color="#eaeef2")
    axes.spines[["top", "right"]].set_visible(False)


def summary(rates: Rates, classes: Sequence[str]) -> str:
    """A line a class."""
    heads = ["TPR", "FPR", "unfiltered TPR", "unfiltered FPR"]
    table = PrettyTable(["class", *heads])
    table.align = "r"
    table.align["class"] = "l"
    for label, name in enumerate(classes):
        values = [float(values[label]) for values in astuple(rates)[:4]]
        table.add_row([name, *("" if value != value else f"{value:.3f}" for value in values)])
    return table.get_string()


def record_of(
    rates: Rates, split: Split, maps: FrequencyMaps, run: dict[str, Any]
) -> dict[str, Any]:
    """The figures, as JSON can hold them."""
    names = ("TPR", "FPR", "unfiltered_TPR", "unfiltered_FPR", ITEMS[split.task])
    columns = [values.tolist() for values in astuple(rates)]
    entries = {
        name: {**dict(zip(names, row)), "kept": float(maps.maps[label].double().mean())}
        for label, (name, *row) in enumerate(zip(split.classes, *columns))
    }
    return {
        "schema": "mmseg_robust.frequency_shortcuts", "schema_version": 1, "task": split.task,
        "run": run, "maps": maps.source, "classes": entries,
    }  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Raises:
        InputError: If an option is wrong.
    """
    cfg, device = read_config(args), find_device(args.device)
    out = find_outputs(args.out, cfg, "frequency_shortcuts.png", PICTURES, [".json"])
    split = Split(cfg, args.split)
    maps = FrequencyMaps.load(args.maps, split.classes)
    if maps.task != split.task:
        raise InputError(f"The maps are for {maps.task}, the data for {split.task}.")
    model = load_model(cfg, args.checkpoint, device)
    weights = weights_digest(model)
    check_model(maps, weights, args.any_model)
    images: Sequence[LabelledImage] = split  # type: ignore[assignment]  # read one by one
    if args.images_per_class is not None:
        bar = Bar("choosing images")
        images = choose_images(split, args.images_per_class, args.seed, bar).images
        bar.close()
    data = cfg.get(f"{args.split}_dataloader").dataset, cfg.test_dataloader.dataset
    settings = {
        "weights": weights, "model": f"{hash_parts(cfg.model):016x}",
        "data": f"{hash_parts(*data):016x}", "split": args.split, "num_images": len(images),
        "images_per_class": args.images_per_class, "seed": args.seed,
        "mmseg_robust": mmseg_robust.__version__,
    }  # fmt: skip
    digest = f"{hash_parts(maps.maps.numpy().tobytes()):016x}"
    store = SearchStore(out.with_suffix(".parts"), {**settings, "maps": digest})
    counts = count(model, split, images, maps.maps, store, args.batch_size)
    rates = shortcut_rates(counts, maps.found)
    paths = {"config": args.config, "checkpoint": args.checkpoint, "maps": str(args.maps)}
    write_json(out.with_suffix(".json"), record_of(rates, split, maps, {**paths, **settings}))
    draw(rates, split.classes, out)
    print(summary(rates, split.classes))
    print(f"Rates written to {out} and {out.with_suffix('.json')}")


def main() -> None:
    """Parse the command line and run."""
    parser = AnalysisParser(__doc__ or "", split="test")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("maps", type=Path, help="file of dominant_frequencies.py, .npz")
    parser.add_argument(
        "--any-model", action="store_true", help="the maps may be those of another model"
    )
    parser.add_argument(
        "--images-per-class", type=int, metavar="N",
        help="take so many images of each class, drawn by --seed; default: all",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="the picture, .png, .svg or .pdf; figures go into a .json, finished parts into a "
        "folder of the same name. Default: frequency_shortcuts.png in the work folder",
    )  # fmt: skip
    run(parser.parse())


if __name__ == "__main__":
    sys.exit(run_tool(main))
