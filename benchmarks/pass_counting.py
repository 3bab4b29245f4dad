"""Milliseconds that counting a pass takes: plain torch beside the Triton kernel, in one process.

A pass is an image's logits, prediction and label and the prediction at the weaker severity, all in
memory of the device, as ``RobustnessTestLoop`` has them. Two kinds of it: ``smooth``, regions with
soft edges as a segmentor gives them, and ``speckled``, where no pixel is like its neighbours. Plain
torch and each setting of the kernel take turns in blocks of calls, so that a drift of the machine's
speed meets all of them. The floor is one maximum over the logits, which reads each of them once.
What the forms count is compared too. On a CPU plain torch is measured alone.

Example:
    python benchmarks/pass_counting.py --launches 1024x8x4 2048x16x4 --out pass_counting.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import mmseg_robust  # isort: skip  # noqa: F401  (mends what the imports below need)
import torch
from reports import conditions, size_of, write
from torch import Tensor
from torch.nn.functional import interpolate

from mmseg_robust.evaluation import pixel_counts
from mmseg_robust.evaluation.pixel_counts import PassMaps, count_pass, counts_of, row_size

IGNORED = 255
KINDS = ("smooth", "speckled")
DTYPES = ("float32", "float16", "bfloat16")


class Form:
    """A way to count a pass, and what it took.

    Args:
        count (Callable): Counts into a row.
        classes (int): Number of classes.
        device (torch.device): Where.
    """

    def __init__(
        self, count: Callable[[Tensor], object], classes: int, device: torch.device
    ) -> None:
        self.count = count
        self.times: list[float] = []
        self.host_times: list[float] = []
        self.device = device
        self.row = torch.zeros(row_size(classes), dtype=torch.int32, device=device)

    def run(self, calls: int, keep: bool) -> None:
        """Some calls in a row, none of which waits for the one before; the last one's counts stay.

        Args:
            calls (int): How many.
            keep (bool): Whether to keep their times.
        """
        rows = self.row.new_zeros(calls, len(self.row))
        marks = [self._mark()]
        begin = time.perf_counter()
        for row in rows:
            self.count(row)
            marks.append(self._mark())
        host = (time.perf_counter() - begin) * 1000 / calls
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.row = rows[-1].clone()
        if keep:
            # The first one's start may lie before its work could begin.
            self.times += [self._between(a, b) for a, b in zip(marks[1:], marks[2:])]
            self.host_times.append(host)

    def _mark(self) -> Any:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, start: Any, end: Any) -> float:
        return start.elapsed_time(end) if self.device.type == "cuda" else (end - start) * 1000

    def summary(self) -> dict[str, float]:
        """Median and quartiles on the device, and the median that a call kept the host."""
        low, middle, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return {
            "median_ms": middle,
            "lower_quartile_ms": low,
            "upper_quartile_ms": high,
            "host_ms": statistics.median(self.host_times),
            "calls": len(self.times),
        }


def launch_of(text: str) -> tuple[int, int, int]:
    """Pixels and warps of a program and classes at a time, from ``BLOCKxWARPSxTOGETHER``."""
    block, warps, together = text.lower().split("x")
    return int(block), int(warps), int(together)


def made_pass(
    kind: str, classes: int, size: tuple[int, int], dtype: str, device: torch.device
) -> tuple[PassMaps, Tensor]:
    """A pass whose prediction is right for about two pixels in three, one in twenty unlabelled."""
    generator = torch.Generator(device).manual_seed(0)
    width, height = size

    def draw(step: int, strength: float) -> Tensor:
        shape = 1, classes, -(-height // step), -(-width // step)
        coarse = strength * torch.randn(shape, generator=generator, device=device)
        return interpolate(coarse, (height, width), mode="bilinear", align_corners=False)[0]

    step = 32 if kind == "smooth" else 1
    truth = draw(step, 3.0)
    logits = truth + draw(step, 1.2)
    weaker = (logits + draw(step, 0.5)).argmax(0).flatten()
    label = truth.argmax(0).flatten()
    label[torch.rand(label.shape, generator=generator, device=device) < 0.05] = IGNORED
    logits = logits.to(getattr(torch, dtype))
    return PassMaps(logits.argmax(0).flatten(), label, weaker), logits


def plain_count(maps: PassMaps, logits: Tensor, classes: int, row: Tensor) -> None:
    """By plain torch, wherever the tensors are."""
    with mock.patch.object(pixel_counts, "usable", lambda device: False):
        count_pass(row, maps, logits, classes, IGNORED)


def fused_count(
    launch: tuple[int, int, int], maps: PassMaps, logits: Tensor, classes: int, row: Tensor
) -> None:
    """By the kernel, launched in one of the ways."""
    from mmseg_robust.evaluation import kernels

    kernels.BLOCK, kernels.WARPS, kernels.TOGETHER = launch
    kernels.count_pass(row, maps, logits, classes, IGNORED)


def difference(plain: Tensor, fused: Tensor, classes: int) -> dict[str, Any]:
    """Whether two rows are equal, and how many pixels lie in the next bin of confidence."""
    one, other = counts_of(plain, classes), counts_of(fused, classes)
    moved = (one.confidence - other.confidence).cumsum(-1)
    return {
        "table_equal": torch.equal(one.table, other.table),
        "flips_equal": torch.equal(one.flips, other.flips),
        "nan_equal": torch.equal(one.nan, other.nan),
        "confidence_pixels_moved": int(moved.abs().sum()),
    }


def measure(
    args: argparse.Namespace, kind: str, classes: int, dtype: str, device: torch.device
) -> dict[str, Any]:
    """All forms on one pass."""
    maps, logits = made_pass(kind, classes, args.size, dtype, device)
    forms = {
        "read_once": Form(lambda row: logits.amax(), classes, device),
        "torch": Form(partial(plain_count, maps, logits, classes), classes, device),
    }
    if device.type == "cuda":
        for launch in args.launches:
            count = partial(fused_count, launch, maps, logits, classes)
            forms["kernel " + "x".join(map(str, launch))] = Form(count, classes, device)
    for form in forms.values():
        form.run(args.block, keep=False)
    for _ in range(args.rounds):
        for form in forms.values():
            form.run(args.block, keep=True)
    result: dict[str, Any] = {name: form.summary() for name, form in forms.items()}
    for name, form in forms.items():
        if name.startswith("kernel"):
            result[name].update(difference(forms["torch"].row, form.row, classes))
            median = result[name]["median_ms"]
            result[name]["times_faster_than_torch"] = result["torch"]["median_ms"] / median
            result[name]["over_one_reading"] = median / result["read_once"]["median_ms"]
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=size_of, default=(2048, 1024), metavar="WIDTHxHEIGHT")
    parser.add_argument("--classes", type=int, nargs="+", default=[19, 150], help="2 or more")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float16"], choices=DTYPES)
    parser.add_argument(
        "--launches", type=launch_of, nargs="+", default=[(1024, 8, 4)],
        metavar="BLOCKxWARPSxTOGETHER", help="ways to launch the kernel",
    )  # fmt: skip
    parser.add_argument("--block", type=int, default=10, help="calls of one form in a row, from 3")
    parser.add_argument("--rounds", type=int, default=10, help="timed blocks of each form")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args(arguments)
    if args.block < 3 or args.rounds < 1:
        parser.error("--block must be 3 or more and --rounds 1 or more, for quartiles")
    device = torch.device(args.device)
    results = {
        f"{classes} classes, {dtype}, {kind}": measure(args, kind, classes, dtype, device)
        for classes in args.classes
        for dtype in args.dtypes
        for kind in args.kinds
    }
    report = dict(
        benchmark="pass_counting",
        results=results,
        **conditions(args, device.type == "cuda"),
    )
    write(report, args.out)


if __name__ == "__main__":
    main()
