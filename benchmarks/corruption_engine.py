"""Milliseconds an image of every corruption of the engine, beside ``imagecorruptions``.

On CUDA a batch is corrupted over and over, timed with device events; the floor is the time that a
copy of the batch takes (each byte read and written once), measured in the same run. Peak memory is
what the call adds to the batch, over the batch's size in float32. The reference, which is
``imagecorruptions`` with the exact glass blur, is timed on one core of the same machine, one image
at a time, as a data loader's worker would run it.

Example:
    python benchmarks/corruption_engine.py --device cuda --size 2048x1024 --out gpu.json
    python benchmarks/corruption_engine.py --device cpu --size 1024x512 --batch 1 --threads 2
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

import mmseg_robust  # isort: skip  # noqa: F401  (mends what the imports below need)
import torch
from reports import size_of
from torch import Tensor

from mmseg_robust.corruptions import ALL_NAMES, NAMES, corrupt, corrupt_reference
from mmseg_robust.datasets.synthetic_streets import draw_scene
from mmseg_robust.evaluation.provenance import package_versions


def spread(times: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return {"median_ms": middle, "lower_quartile_ms": low, "upper_quartile_ms": high}


def timed(work: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Milliseconds of each repeat, after two that are not counted."""
    times = []
    for repeat in range(repeats + 2):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work()
            end.record()
            end.synchronize()
            spent = start.elapsed_time(end)
        else:
            begin = time.perf_counter()
            work()
            spent = (time.perf_counter() - begin) * 1000
        if repeat >= 2:
            times.append(spent)
    return times


def peak(work: Callable[[], object]) -> int:
    """Bytes that a call adds to what is allocated, at its worst moment."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def measure(images: Tensor, name: str, severity: int, repeats: int) -> dict[str, float]:
    """Time an image and memory of one corruption."""
    seeds = list(range(len(images)))

    def work() -> Tensor:
        return corrupt(images, name, severity, seeds)

    times = [ms / len(images) for ms in timed(work, repeats, images.device)]
    result = spread(times)
    if images.is_cuda:
        result["peak_over_float32_batch"] = peak(work) / (4 * images.numel())
    return result


def reference_ms(image: np.ndarray, name: str, severity: int, repeats: int) -> float:
    """Median milliseconds of the reference for one image."""
    work = lambda: corrupt_reference(image, name, severity, 0)  # noqa: E731
    return statistics.median(timed(work, repeats, torch.device("cpu")))


def print_table(report: dict) -> None:
    floor = report["floor_ms"]
    print(f"{'corruption':28}{'ms/image':>10}{'x floor':>9}{'memory':>8}{'reference ms':>14}")
    for name, row in report["corruptions"].items():
        memory = f"{row['peak_over_float32_batch']:.1f}" if "peak_over_float32_batch" in row else ""
        reference = f"{row['reference_ms']:.1f}" if "reference_ms" in row else ""
        times = f"{row['median_ms']:10.3f}{row['median_ms'] / floor:9.1f}"
        print(f"{name:28}{times}{memory:>8}{reference:>14}")
    print(json.dumps(report["summary"], indent=1))


def summary(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """The slowest; mean and sum over the 19 if all of them were measured."""
    result = {"slowest_ms": max(row["median_ms"] for row in rows.values())}
    if set(NAMES) <= set(rows):
        common = [rows[name]["median_ms"] for name in NAMES]
        result["mean_of_19_ms"] = statistics.mean(common)
        result["sum_of_19_ms"] = sum(common)
        result["slowest_of_19_ms"] = max(common)
        if all("reference_ms" in rows[name] for name in NAMES):
            reference = sum(rows[name]["reference_ms"] for name in NAMES)
            result["reference_sum_of_19_ms"] = reference
            result["times_faster"] = reference / sum(common)
    key = "peak_over_float32_batch"
    memory = [row[key] for row in rows.values() if key in row]
    if memory:
        result[f"largest_{key}"] = max(memory)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=size_of, default=(2048, 1024), metavar="WIDTHxHEIGHT")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--severity", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=20, help="2 or more")
    parser.add_argument(
        "--reference-repeats", type=int, default=1, help="0 leaves the reference out"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of torch on the CPU")
    parser.add_argument(
        "--only", nargs="+", default=ALL_NAMES, choices=ALL_NAMES, metavar="NAME",
        help="names to measure; default: all 29",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args(arguments)
    if args.repeats < 2:
        parser.error("--repeats must be 2 or more, for quartiles")
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    scene = draw_scene(0, 0, args.size)[0]
    device = torch.device(args.device)
    images = torch.from_numpy(scene.transpose(2, 0, 1).copy()).expand(args.batch, -1, -1, -1)
    images = images.to(device).contiguous()
    copies = [ms / args.batch for ms in timed(images.clone, args.repeats, device)]
    rows = {}
    for name in args.only:
        rows[name] = measure(images, name, args.severity, args.repeats)
        if args.reference_repeats and name in NAMES:
            rows[name]["reference_ms"] = reference_ms(
                scene, name, args.severity, args.reference_repeats
            )
    report = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor(),
        "threads": args.threads,
        "size": list(args.size),
        "batch": args.batch,
        "severity": args.severity,
        "repeats": args.repeats,
        "floor_ms": statistics.median(copies),
        "summary": summary(rows),
        "corruptions": rows,
        "versions": package_versions(),
    }
    print_table(report)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
