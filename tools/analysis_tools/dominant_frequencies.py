"""Find the frequencies that a trained model needs to recognise each class.

Three searches, on a fixed part of the training or validation images, never on test images:

  hierarchical  by random candidates from coarse to fine, affordable; the default (2503.03519)
  ranking       each frequency is removed by itself, the costliest are kept (2307.09829)
  greedy        one after the other is removed as long as that costs little (2308.06622)

A segmentor's classes are searched by their IoU, a classifier's by cross entropy (hierarchical,
ranking) or accuracy (greedy). A search that was killed goes on with the same command. The maps are
what the augmentation DominantFrequencies reads.

Example:
    python tools/analysis_tools/dominant_frequencies.py my_config.py CHECKPOINT
    python tools/analysis_tools/dominant_frequencies.py my_config.py CHECKPOINT --method ranking \
        --map-size 15 20 --images-per-class 16 --top 0.2 --out maps.npz
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import mmseg_robust  # isort: skip  (first: mends what the imports below need)
from matplotlib.figure import Figure
from mmengine.config import Config
from prettytable import PrettyTable

from mmseg_robust.analysis.chosen_images import ChosenImages, choose_images
from mmseg_robust.analysis.command_line import (
    AnalysisParser,
    Bar,
    find_device,
    find_outputs,
    read_config,
    save_figure,
    write_json,
)
from mmseg_robust.analysis.dominant_maps import DominantMaps, find_dominant_maps
from mmseg_robust.analysis.filtered_model import FilteredModel, load_model
from mmseg_robust.analysis.frequency_ranking import FrequencyRanking
from mmseg_robust.analysis.greedy_removal import GreedyRemoval
from mmseg_robust.analysis.hierarchical_search import HierarchicalSearch
from mmseg_robust.analysis.search import Search
from mmseg_robust.analysis.search_store import SearchStore
from mmseg_robust.analysis.split_data import Split, refuse_test_images
from mmseg_robust.augmentations.frequency_maps import FrequencyMaps
from mmseg_robust.corruptions.random import hash_parts
from mmseg_robust.engine.command_line import run_tool
from mmseg_robust.engine.loops.run_identity import weights_digest
from mmseg_robust.errors import InputError

METHODS: dict[str, Any] = {
    "hierarchical": HierarchicalSearch,
    "ranking": FrequencyRanking,
    "greedy": GreedyRemoval,
}
SCORES = {"segmentation": "IoU", "classification": "accuracy"}
MOST_PANELS = 24
COLUMNS = 6


def build_search(args: argparse.Namespace) -> Search:
    """The search that the command line asks for.

    Raises:
        InputError: If the method is unknown, or an option is of another one.
    """
    if args.method not in METHODS:
        raise InputError(f"--method is {args.method!r}; it must be one of {', '.join(METHODS)}.")
    own = {entry.name for entry in fields(METHODS[args.method])}
    every = {entry.name for kind in METHODS.values() for entry in fields(kind)}
    given = {name: value for name in sorted(every) if (value := getattr(args, name)) is not None}
    given.pop("seed", None)
    for name in given:
        if name not in own:
            raise InputError(f"--{name} is no option of the method {args.method!r}: leave it out.")
    if "grids" in given:
        given["grids"] = tuple(given["grids"])
    if "seed" in own:
        given["seed"] = args.seed
    return METHODS[args.method](**given)


def wanted_classes(names: list[str] | None, classes: tuple[str, ...]) -> list[int]:
    """Numbers of the classes to search.

    Raises:
        InputError: If there is no such class.
    """
    for name in names or ():
        if name not in classes:
            raise InputError(f"There is no class {name!r}; there are {', '.join(classes)}.")
    return [label for label, name in enumerate(classes) if not names or name in names]


def source_of(
    args: argparse.Namespace, cfg: Config, search: Search, split: Split, chosen: ChosenImages,
    weights: str,
) -> dict[str, object]:  # fmt: skip
    """Which data and model the maps come from, and how they were made."""
    names = [image.name for image in chosen.images]
    data = cfg.get(f"{args.split}_dataloader").dataset, cfg.test_dataloader.dataset
    return {
        **search.identity(),
        "config": args.config,
        "checkpoint": args.checkpoint,
        "weights": weights,
        "model": f"{hash_parts(cfg.model):016x}",
        "data": f"{hash_parts(*data):016x}",
        "split": args.split,
        "images": f"{len(names)}, {hash_parts(*map(Path, names)):016x}",
        "images_per_class": args.images_per_class,
        "seed": args.seed,
        "mmseg_robust": mmseg_robust.__version__,
    }


def draw(found: DominantMaps, classes: tuple[str, ...], score: str, path: Path) -> None:
    """Draw the maps of the classes that have one, kept frequencies dark."""
    labels = [label for label in range(len(classes)) if label not in found.skipped][:MOST_PANELS]
    columns = min(len(labels), COLUMNS)
    rows = -(-len(labels) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.65 * rows + 0.25), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes in panels:
        axes.set_axis_off()
    for axes, label in zip(figure.axes, labels):
        own = found.maps[label]
        axes.set_axis_on()
        axes.imshow(
            own.float().numpy(), cmap="Blues", vmin=0, vmax=1.25,
            extent=(-0.5, 0.5, 0.5, -0.5), interpolation="nearest",
        )  # fmt: skip
        axes.set_xticks([-0.5, 0, 0.5], ["-.5", "0", ".5"])
        axes.set_yticks([-0.5, 0, 0.5], ["-.5", "0", ".5"])
        axes.set_title(
            f"{classes[label]}\n{score} {found.before[label]:.0f} to {found.after[label]:.0f} %\n"
            f"keeps {100 * own.double().mean():.0f} %",
            fontsize=10,
        )
    figure.supxlabel("cycles per pixel, across; down: likewise", fontsize=10)
    save_figure(figure, path)


def summary(found: DominantMaps, classes: tuple[str, ...], score: str) -> str:
    """A line a class."""
    table = PrettyTable(["class", f"{score} %", "filtered", "kept %"])
    for column in table.field_names:
        table.align[column] = "l" if column == "class" else "r"
    for label, name in enumerate(classes):
        if label in found.skipped:
            table.add_row([name, "", found.skipped[label], ""])
            continue
        kept = 100 * float(found.maps[label].double().mean())
        table.add_row(
            [name, f"{found.before[label]:.1f}", f"{found.after[label]:.1f}", f"{kept:.1f}"]
        )
    return table.get_string()


def record_of(
    found: DominantMaps, split: Split, chosen: ChosenImages, source: dict[str, object]
) -> dict[str, Any]:
    """The figures, as JSON can hold them."""
    entries = {}
    for label, name in enumerate(split.classes):
        own = found.maps[label]
        entries[name] = {
            "images": chosen.counts[label],
            "skipped": found.skipped.get(label),
            "score": float(found.before[label]),
            "filtered_score": float(found.after[label]),
            "kept": float(own.double().mean()),
            "keeps_dc": bool(own[own.shape[0] // 2, own.shape[1] // 2]),
        }
    return {
        "schema": "mmseg_robust.dominant_frequencies", "schema_version": 1, "task": split.task,
        "score": SCORES[split.task], "map_size": list(found.maps.shape[1:]), "source": source,
        "classes": entries, "images": [image.name for image in chosen.images],
    }  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Raises:
        InputError: If an option is wrong.
    """
    search, size = build_search(args), (args.map_size[0], args.map_size[1])
    if min(size) < 2:
        raise InputError(f"--map-size is {size[0]} {size[1]}; both must be 2 or more.")
    cfg, device = read_config(args), find_device(args.device)
    out = find_outputs(args.out, cfg, "dominant_frequencies.npz", [".npz"], [".json", ".png"])
    split = Split(cfg, args.split)
    refuse_test_images(cfg, args.split, split)
    wanted = wanted_classes(args.classes, split.classes)
    model = load_model(cfg, args.checkpoint, device)
    choosing, searching = Bar("choosing images"), Bar("searching, filters tried")
    chosen = choose_images(split, args.images_per_class, args.seed, choosing)
    choosing.close()
    images = chosen.images, chosen.of_class
    measure = FilteredModel(model, split.task, len(split.classes), *images, args.batch_size)
    source = source_of(args, cfg, search, split, chosen, weights_digest(model))
    # Where files lie does not change a number.
    paths = ("config", "checkpoint")
    identity = {key: value for key, value in source.items() if key not in paths}
    store = SearchStore(out.with_suffix(".parts"), {**identity, "size": size, "classes": wanted})
    found = find_dominant_maps(search, measure, chosen.counts, wanted, size, store, searching)
    searching.close()
    own = tuple(label not in found.skipped for label in range(len(split.classes)))
    FrequencyMaps(found.maps, split.classes, own, split.task, source).save(out)
    write_json(out.with_suffix(".json"), record_of(found, split, chosen, source))
    draw(found, split.classes, SCORES[split.task], out.with_suffix(".png"))
    print(summary(found, split.classes, SCORES[split.task]))
    print(f"Maps written to {out}, {out.with_suffix('.json')} and {out.with_suffix('.png')}")


def main() -> None:
    """Parse the command line and run."""
    parser = AnalysisParser(__doc__ or "", split="train")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--method", default="hierarchical", help=f"one of {', '.join(METHODS)}")
    parser.add_argument(
        "--map-size", type=int, nargs=2, default=(32, 32), metavar=("H", "W"),
        help="frequencies of a map, at most the pixels of an image; default: 32 32",
    )  # fmt: skip
    parser.add_argument(
        "--images-per-class", type=int, default=50, metavar="N",
        help="images of each class, drawn by --seed; default: 50",
    )  # fmt: skip
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument(
        "--candidates", type=int, metavar="N", help="hierarchical: filters a stage; default: 500"
    )
    parser.add_argument(
        "--keep", type=float, metavar="P",
        help="hierarchical: share of the patches that a stage keeps; default: 0.8",
    )  # fmt: skip
    parser.add_argument(
        "--grids", type=int, nargs="+", metavar="N",
        help="hierarchical: patches a side, by stage; default: 4 8 16 ... up to the map's side. "
        "The paper's at 224 x 224: 4 8 16 28 56 112",
    )  # fmt: skip
    parser.add_argument(
        "--top", type=float, metavar="X", help="ranking: share that is kept; default: 0.05"
    )
    parser.add_argument(
        "--tolerance", type=float, metavar="T",
        help="greedy: percentage points that one removal may cost; default: 0.6",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="the maps, .npz; figures go into a .json, the picture into a .png, finished parts "
        "into a folder of the same name. Default: dominant_frequencies.npz in the work folder",
    )  # fmt: skip
    run(parser.parse())


if __name__ == "__main__":
    sys.exit(run_tool(main))
