"""Seconds that the reference corruptions take for one image, by corruption and severity.

Times ``corrupt_reference``, which is the mended ``imagecorruptions`` package, in one thread on one
synthetic street scene. Wall time says what a data loader's worker waits, CPU time of the process
what the work costs where other programs run too.

Example:
    python benchmarks/reference_corruptions.py --size 512x256 --repeats 1 --out corruptions.json
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from reports import size_of, write

import mmseg_robust  # noqa: F401  (mends what the imports below need)
from mmseg_robust.corruptions import COMMON, NAMES, Cell, corrupt_reference, get_protocol
from mmseg_robust.corruptions.names import MAX_SEVERITY
from mmseg_robust.datasets.synthetic_streets import draw_scene
from mmseg_robust.evaluation.provenance import package_versions

SEVERITIES = tuple(range(1, MAX_SEVERITY + 1))
Times = dict[Cell, dict[str, float]]


def time_cell(image: np.ndarray, cell: Cell, repeats: int) -> dict[str, float]:
    """Median wall and CPU seconds of one cell."""
    wall, cpu = [], []
    for seed in range(repeats):
        start = time.perf_counter(), time.process_time()
        corrupt_reference(image, cell.corruption, cell.severity, seed)
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return {"wall_s": statistics.median(wall), "cpu_s": statistics.median(cpu)}


def time_all(image: np.ndarray, repeats: int) -> Times:
    """Times of all cells, after each corruption has loaded what it needs on a part of the image."""
    for name in NAMES:
        corrupt_reference(image[:64, :64], name, 1, seed=0)
    cells = [Cell(name, severity) for name in NAMES for severity in SEVERITIES]
    return {cell: time_cell(image, cell, repeats) for cell in cells}


def total(times: Times, cells: Sequence[Cell]) -> dict[str, float]:
    """Seconds for one image in some cells."""
    sums = {key: sum(times[cell][key] for cell in cells) for key in ("wall_s", "cpu_s")}
    return {"cells": len(cells), **sums}


def processor() -> str:
    """Name of the processor, where the system tells, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size", type=size_of, default=(2048, 1024), metavar="WIDTHxHEIGHT",
        help="size of the image in pixels; default: 2048x1024, that of Cityscapes",
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, default=3, help="timed runs a cell; default: 3")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args(arguments)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # of the packages behind the corruptions, OpenCV alone starts threads
    try:
        times = time_all(draw_scene(0, 0, args.size)[0], args.repeats)
    finally:
        cv2.setNumThreads(threads)
    common = [Cell(name, severity) for name in COMMON for severity in SEVERITIES]
    result = dict(
        benchmark="reference_corruptions",
        totals={
            "cityscapes-c": total(times, get_protocol("cityscapes-c").cells),
            "first-15x5": total(times, common),
        },
        cells={str(cell): seconds for cell, seconds in times.items()},
        settings=dict(width=args.size[0], height=args.size[1], repeats=args.repeats, threads=1),
        machine=dict(processor=processor(), system=platform.system(), kind=platform.machine()),
        versions=package_versions(),
    )
    write(result, args.out)


if __name__ == "__main__":
    main()
