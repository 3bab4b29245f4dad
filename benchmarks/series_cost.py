"""Step time and memory of every run of a results series beside its first, in one process.

For the columns of a results table: trainings that share a card and wait for data cannot be timed.
Steps are those of ``timed_steps.py``: the run's own config and options, batch and crop size, with
random images in memory. Hooks that begin later in the run, or end in it, act in every step. Of the
mask updates of sparse training only those are in whose iteration comes.

Example:
    python benchmarks/series_cost.py docs/results/camvid/series.json --out cost.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mmseg_robust  # isort: skip  # noqa: F401  (mends what MMSegmentation's import needs)
import torch
from mmengine.config import Config
from reports import conditions, write
from timed_steps import Stepper, compared, random_batch, ready, take_turns

ROOT = Path(__file__).resolve().parents[1]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def stepper(entry: dict, args: argparse.Namespace, folder: str) -> Stepper:
    """Ready to step as a run of the series does."""
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / entry["config"])
    cfg.merge_from_dict(entry.get("options", {}))
    for hook in cfg.get("custom_hooks", []):
        if "begin" in hook:
            hook.begin = 0
        hook.pop("end", None)
    if args.size is not None:
        cfg.model.data_preprocessor.size = (args.size, args.size)
    size, classes = cfg.model.data_preprocessor.size[0], cfg.model.decode_head.num_classes
    inputs = random_batch(args.batch or cfg.train_dataloader.batch_size, size, DEVICE, classes)
    runner = ready(cfg, size, folder, entry["name"], classes)
    return Stepper(runner, inputs, DEVICE.type == "cuda")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("series", type=Path, help="JSON file that lists the runs")
    parser.add_argument("--only", nargs="*", default=[], help="names of the runs to take")
    parser.add_argument("--first", help="what the others are compared with; default: the first")
    parser.add_argument("--batch", type=int, help="images a step; default: the config's")
    parser.add_argument("--size", type=int, help="height and width; default: the config's")
    parser.add_argument("--steps", type=int, default=60, help="timed steps of each run")
    parser.add_argument("--block", type=int, default=10, help="steps of one run in a row")
    parser.add_argument("--warm-up", type=int, default=10, help="untimed steps of each run")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse(arguments)
    entries = json.loads(args.series.read_text())["runs"]
    names = [entry["name"] for entry in entries]
    unknown = {*args.only, *([args.first] if args.first else [])} - set(names)
    if unknown:
        sys.exit(f"error: {args.series} has no run {', '.join(sorted(unknown))}; it has: {names}")
    chosen = {e["name"]: e for e in entries if not args.only or e["name"] in args.only}
    if args.first and args.first not in chosen:
        sys.exit(f"error: --first {args.first} is not among --only {' '.join(args.only)}")
    with tempfile.TemporaryDirectory() as folder:
        steppers = {name: stepper(entry, args, folder) for name, entry in chosen.items()}
        failed = take_turns(steppers, args)
    report = dict(
        benchmark="series_cost",
        results=compared(steppers, args.first or next(iter(chosen)), failed),
        **conditions(args, DEVICE.type == "cuda"),
    )
    write(report, args.out)


if __name__ == "__main__":
    main()
