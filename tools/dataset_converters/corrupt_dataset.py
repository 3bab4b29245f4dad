"""Write a corrupted copy of a data set, one folder a cell; or check one.

The source is a folder of images in any layout. The copy holds ``clean/...`` and
``<corruption>/<severity>/...``, each with the same names below it. Labels are not copied: the data
sets ``CityscapesCDataset``, ``ADE20KCDataset`` and ``CamVidCDataset`` take those of the clean data.
A run that was stopped goes on when the same command is given again.

Example:
    python tools/dataset_converters/corrupt_dataset.py --protocol cityscapes-c \
        --source data/cityscapes/leftImg8bit/val --out data/cityscapes-c
    python tools/dataset_converters/corrupt_dataset.py --out data/cityscapes-c --verify
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import mmseg_robust  # isort: skip  (first: mends what the imports below need)
import torch
from mmengine.utils import ProgressBar

from mmseg_robust.corruptions import PROTOCOLS, Cell, Protocol, get_protocol
from mmseg_robust.corruptions.backends import BACKENDS
from mmseg_robust.corruptions.checks import check_name, check_severity
from mmseg_robust.corruptions.names import MAX_SEVERITY
from mmseg_robust.corruptions.protocols import NATIVE
from mmseg_robust.datasets.corrupted_tree import Order, Recipe, convert, verify
from mmseg_robust.errors import InputError

GPU_BATCH = 8
INTERRUPTED = 130  # the shell's status for a program that Ctrl-C ended


class Bar:
    """A progress bar that appears once it is told how much there is to do."""

    def __init__(self) -> None:
        self._bar: ProgressBar | None = None

    def __call__(self, done: int, total: int) -> None:
        """Shows that ``done`` more of ``total`` are done."""
        if self._bar is None:
            self._bar = ProgressBar(total)
        if done:
            self._bar.update(done)

    def close(self) -> None:
        """Ends the bar's line."""
        if self._bar is not None:
            print()


def asked_cells(args: argparse.Namespace) -> tuple[tuple[Cell, ...], Protocol | None]:
    """The corrupted cells that the command line asks for.

    Raises:
        InputError: If they are named in two ways or in none, a name or severity is unknown, or the
            protocol corrupts crops.
    """
    if (args.protocol is None) == (args.corruptions is None):
        raise InputError("Give either --protocol or --corruptions.")
    if args.protocol is not None and args.severities is not None:
        raise InputError("--severities goes with --corruptions; a protocol has its own.")
    if args.protocol is None:
        asked = range(1, MAX_SEVERITY + 1) if args.severities is None else args.severities
        severities = [severity for severity in asked if check_severity(severity)]
        names = [check_name(name) for name in args.corruptions]
        return tuple(Cell(name, severity) for name in names for severity in severities), None
    protocol = get_protocol(args.protocol)
    if protocol.acts != NATIVE:
        raise InputError(
            f"Protocol {protocol.name!r} corrupts after resize and crop. Store the images resized "
            "and cropped, and name its --corruptions."
        )
    return protocol.cells, protocol


def devices_of(name: str) -> tuple[str, ...]:
    """``cpu``, one GPU (``cuda:1``) or all of them (``cuda``).

    Raises:
        InputError: If torch does not see them.
    """
    if name == "cpu":
        return ("cpu",)
    known = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    if name == "cuda" and known:
        return known
    if name in known:
        return (name,)
    raise InputError(f"--device {name}: torch sees {', '.join(('cpu', *known))}.")


def order_of(args: argparse.Namespace) -> Order:
    """The conversion that the command line asks for.

    Raises:
        InputError: If an option is missing or wrong.
    """
    if args.source is None:
        raise InputError("--source is needed, the folder of the clean images.")
    devices = devices_of(args.device)
    on_gpu = devices != ("cpu",)
    if args.backend not in BACKENDS:
        raise InputError(f"Unknown --backend {args.backend!r}. Known: {', '.join(BACKENDS)}.")
    if on_gpu and args.backend != "engine":
        raise InputError(f"--backend {args.backend} runs on the CPU: leave out --device.")
    batch_size = args.batch_size
    if batch_size is None:
        batch_size = GPU_BATCH if on_gpu else 1
    if args.workers < 0 or batch_size < 1:
        raise InputError("--workers must be 0 or more, --batch-size 1 or more.")
    cells, protocol = asked_cells(args)
    kind = "cuda" if on_gpu else "cpu"
    recipe = Recipe(args.seed, args.backend, args.jpeg_quality, kind, mmseg_robust.__version__)
    where = (args.source, args.out, cells, recipe, protocol)
    return Order(*where, devices, args.workers, batch_size, args.force)


def run_conversion(args: argparse.Namespace) -> int:
    """Convert, and say how it went; the exit status."""
    bar = Bar()
    try:
        outcome = convert(order_of(args), tick=bar)
    finally:
        bar.close()
    for message in outcome.failed:
        print(f"not made: {message}", file=sys.stderr)
    if outcome.stopped is not None:
        print(
            f"error: {outcome.stopped}. {outcome.files} files are whole; the same command goes on "
            "from there.",
            file=sys.stderr,
        )
        return 1
    print(f"{outcome.files} files are in {args.out}")
    return 1 if outcome.failed else 0


def run_verification(args: argparse.Namespace) -> int:
    """Check a tree, and say what is wrong with it; the exit status."""
    bar = Bar()
    try:
        problems = verify(args.out, max(1, args.workers), bar)
    finally:
        bar.close()
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems" if problems else "All files are as the manifest says")
    return 1 if problems else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--source", type=Path, help="folder of the clean images")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corrupted copy")
    parser.add_argument("--protocol", help=f"its cells are made; one of {', '.join(PROTOCOLS)}")
    parser.add_argument("--corruptions", nargs="+", metavar="NAME", help="in place of a protocol")
    parser.add_argument(
        "--severities", nargs="+", type=int, metavar="N",
        help="severities of --corruptions; default: 1 to 5",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of the corruptions; default: 0")
    parser.add_argument(
        "--backend", default="engine",
        help="'engine' (default) or 'imagecorruptions', which published sets were made with",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="cpu", help="'cpu' (default), 'cuda' for all GPUs, or 'cuda:0'"
    )
    parser.add_argument(
        "--workers", type=int, default=cores or 1,
        help="processes on the CPU, threads a GPU; 0: this process alone; default: the cores",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, help=f"images at a time; default: 1, {GPU_BATCH} on a GPU"
    )
    parser.add_argument(
        "--jpeg-quality", type=int, metavar="1..100", help="store JPEG; default: lossless PNG"
    )
    parser.add_argument(
        "--force", action="store_true", help="begin although the disk seems too small"
    )
    parser.add_argument(
        "--verify", action="store_true", help="compare the copy in --out with its manifest"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse(arguments)
    try:
        return run_verification(args) if args.verify else run_conversion(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
