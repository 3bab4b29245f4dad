"""Draw Fourier heat maps: the error of models under noise of one frequency at a time.

All CHECKPOINTs are of the model in CONFIG, segmentor or classifier; two or more are drawn side by
side on one scale, and after them their differences to the first. Maps of other models come in with
--beside. Images that are finished are kept: a run that was killed goes on with the same command.

Example:
    python tools/analysis_tools/fourier_heat_map.py my_config.py plain.pth cwfa.pth --images 64
    python tools/analysis_tools/fourier_heat_map.py other_config.py other.pth --images 64 \
        --beside work_dirs/my_config/fourier_heat_map.json --out other.png
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

# First of all, on the top level: it mends what MMSegmentation's import needs, also in data loader
# workers that are spawned, which import this file before anything else.
import mmseg_robust  # noqa: F401

# isort: split
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from mmengine.config import Config
from mmengine.dist import is_main_process
from prettytable import PrettyTable

from mmseg_robust.analysis import fourier_heat_map_loop  # noqa: F401  (registers the loop)
from mmseg_robust.analysis.fourier_heat_map import (
    TITLES,
    HeatMap,
    check_comparable,
    read_maps,
    write_maps,
)
from mmseg_robust.corruptions import FourierGrid
from mmseg_robust.engine.command_line import ToolParser, build_runner, load_config, run_tool
from mmseg_robust.engine.hooks.checkpoint_checks import check_file
from mmseg_robust.errors import InputError
from mmseg_robust.files import check_writable

# Taken out, because SegVisualizationHook asks the runner for the iteration, which builds the
# training loop: a test would need the training data.
TRAINING_KEYS = ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler")
PANEL = 3.6  # inches
ERRORS, DIFFERENCES = "viridis", "RdBu_r"


def names_of(checkpoints: Sequence[str], given: Sequence[str] | None) -> list[str]:
    """A name for each model: file names, with their folders where files are called alike.

    Raises:
        InputError: If there are not as many names as checkpoints, or one twice.
    """
    paths = [Path(path) for path in checkpoints]
    names = list(given or [path.stem for path in paths])
    if len(names) != len(paths):
        raise InputError(f"--names needs a name for each of {len(paths)} checkpoints: {names}.")
    if len(set(names)) < len(names) and given is None:
        names = ["/".join(path.with_suffix("").parts[-2:]) for path in paths]
    if len(set(names)) < len(names):
        raise InputError(f"Two models have one name: {', '.join(names)}. Give others by --names.")
    return names


def measure(cfg: Config, checkpoint: str, loop: dict) -> HeatMap | None:
    """Test one model.

    Args:
        cfg (Config): The whole config; it is left as it is.
        checkpoint (str): Its weights.
        loop (dict): Arguments of ``FourierHeatMapLoop``.

    Returns:
        HeatMap | None: Its map; None on all ranks but the main one.
    """
    cfg = copy.deepcopy(cfg)
    cfg.load_from, cfg.resume = checkpoint, False
    for key in TRAINING_KEYS:
        cfg[key] = None
    cfg.test_cfg = dict(type="FourierHeatMapLoop", **loop)
    runner = build_runner(cfg, training=False)
    runner.test()
    return runner.test_loop.heat_map


def draw(maps: Sequence[HeatMap], path: Path) -> None:
    """Draw maps on one scale, then the differences to the first.

    Raises:
        InputError: If the file cannot be written.
    """
    first, others = maps[0], maps[1:]
    columns = len(maps) + len(others)
    figure = Figure(figsize=(PANEL * columns + 0.9, PANEL + 1.1), layout="compressed")
    panels = figure.subplots(1, columns, squeeze=False)[0]
    every = np.concatenate([one.error.ravel() for one in maps])
    limits = float(np.nanmin(every)), float(np.nanmax(every))
    for axes, one in zip(panels, maps):
        title = f"{one.name}\nclean {one.clean:.1f}, mean {one.mean:.1f}"
        image = _panel(axes, one.grid, one.error, title, ERRORS, limits)
    bar = figure.colorbar(image, ax=list(panels[: len(maps)]), fraction=0.05, pad=0.02)
    bar.set_label(f"{TITLES[first.measure]} (%)")
    if others:
        changes = [one.error - first.error for one in others]
        most = max(float(np.nanmax(np.abs(changes))), 1e-3)
        for axes, one, change in zip(panels[len(maps) :], others, changes):
            title = f"{one.name} minus {first.name}\nmean {change.mean():+.1f}"
            image = _panel(axes, one.grid, change, title, DIFFERENCES, (-most, most))
        bar = figure.colorbar(image, ax=list(panels[len(maps) :]), fraction=0.05, pad=0.02)
        bar.set_label("difference (points); blue: fewer errors")
    panels[0].set_ylabel("cycles per pixel, down")
    figure.suptitle(
        f"Error under noise of one frequency, RMS {first.grid.strength:g} of white, "
        f"{first.num_images} images",
        fontsize=11,
    )
    try:
        figure.savefig(path, dpi=110, bbox_inches="tight")
    except (OSError, ValueError) as error:  # a ValueError tells of an unknown extension
        raise InputError(f"Cannot write {str(path)!r}: {error}") from error


def _panel(
    axes: Axes, grid: FourierGrid, values: np.ndarray, title: str, colours: str,
    limits: tuple[float, float],
) -> AxesImage:  # fmt: skip
    """One map, frequency 0 in its centre; down is down, as in an image."""
    end = grid.greatest * grid.size / (grid.size - 1)  # the outer edge of the last cells
    image = axes.imshow(
        values, cmap=colours, vmin=limits[0], vmax=limits[1], extent=(-end, end, end, -end),
        interpolation="nearest",
    )  # fmt: skip
    ticks = [grid.greatest * share for share in (-1, -0.5, 0, 0.5, 1)]
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.set_xlabel("cycles per pixel, across")
    axes.set_title(title, fontsize=10)
    return image


def summary(maps: Sequence[HeatMap]) -> str:
    """A line a model."""
    table = PrettyTable(["model", "clean", "mean", "greatest", "at (down, across)", "interval +-"])
    for column in table.field_names:
        table.align[column] = "l" if column == "model" else "r"
    for one in maps:
        error, down, across = one.worst
        spread = (one.high - one.low) / 2  # NaN where there is but one image
        width = f"{np.nanmedian(spread):.1f}" if np.isfinite(spread).any() else "-"
        figures = [f"{value:.2f}" for value in (one.clean, one.mean, error)]
        table.add_row([one.name, *figures, f"{down:g}, {across:g}", width])
    title = f"{TITLES[maps[0].measure]} in percent; interval: 95 % over images, median of the cells"
    return f"{title}\n{table.get_string()}"


def maps_beside(paths: Sequence[Path], grid: FourierGrid, seed: int) -> list[HeatMap]:
    """Read maps, and refuse before any test what could not be drawn beside them.

    Raises:
        InputError: If a file is no map, or maps are of another grid or seed.
    """
    maps = [one for path in paths for one in read_maps(path)]
    if maps:
        check_comparable(maps)
        theirs, used = replace(maps[0].grid, acts=grid.acts), maps[0].run.get("seed")
        if (theirs, used) != (grid, seed):
            raise InputError(
                f"The maps of {str(paths[0])!r} are of {theirs.name} with seed {used}, this "
                f"command asks for {grid.name} with seed {seed}: give the same options."
            )
    return maps


def run(args: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Raises:
        InputError: If an option is wrong.
    """
    names = names_of(args.checkpoints, args.names)
    grid = FourierGrid(args.size, args.greatest_frequency, args.strength)
    earlier = maps_beside(args.beside, grid, args.seed)
    for checkpoint in args.checkpoints:
        check_file(checkpoint)
    cfg = load_config(args)
    out = args.out or Path(cfg.work_dir) / "fourier_heat_map.png"
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"--out takes a .png, .svg or .pdf file, got {str(out)!r}.")
    for path in (out, out.with_suffix(".json")):
        check_writable(path)
    loop = dict(
        size=grid.size, greatest=grid.greatest, strength=grid.strength, images=args.images,
        seed=args.seed, cells_per_batch=args.cells_per_batch,
    )  # fmt: skip
    made = [
        measure(cfg, checkpoint, dict(loop, name=name))
        for checkpoint, name in zip(args.checkpoints, names)
    ]
    if is_main_process():
        maps = [*earlier, *(one for one in made if one is not None)]
        check_comparable(maps)
        write_maps(maps, out.with_suffix(".json"))
        draw(maps, out)
        print(f"{summary(maps)}\nHeat maps written to {out} and {out.with_suffix('.json')}")


def main() -> None:
    """Parse the command line and run."""
    grid = FourierGrid()
    parser = ToolParser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="weights of a model")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="a name for each model")
    parser.add_argument(
        "--size", type=int, default=grid.size,
        help=f"frequencies a side of the grid, odd; default: {grid.size}",
    )  # fmt: skip
    parser.add_argument(
        "--greatest-frequency", type=float, default=grid.greatest, metavar="F",
        help="where the grid ends, in cycles a pixel; default: 0.5, the whole spectrum",
    )  # fmt: skip
    parser.add_argument(
        "--strength", type=float, default=grid.strength, metavar="RMS",
        help="root mean square of the noise in a channel, white is 1; default: "
        f"{grid.strength:g}, 15.7 in the paper's norm at 224 x 224",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=int, metavar="N", help="images, evenly spread; default: all"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise; default: 0")
    parser.add_argument(
        "--cells-per-batch", type=int, default=8, metavar="N",
        help="cells of an image that go through the model at a time; default: 8",
    )  # fmt: skip
    parser.add_argument(
        "--beside", nargs="+", type=Path, default=[], metavar="JSON",
        help="maps that this tool wrote, to draw first; the same options and images are needed",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="the picture, .png, .svg or .pdf; the figures go into a .json of the same name. "
        "Default: fourier_heat_map.png in the work folder",
    )  # fmt: skip
    run(parser.parse())


if __name__ == "__main__":
    sys.exit(run_tool(main))
