"""Training steps with random images in memory, timed: what the scripts beside this one share.

A step is the training loop's own: hooks, data preprocessing, forward, loss, backward, optimizer.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import mmseg_robust  # isort: skip  # noqa: F401  (mends what MMSegmentation's import needs)
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset


@DATASETS.register_module()
class OneBatch(Dataset):
    """Random images and labels; there for the runner, which wants a data loader."""

    def __init__(self, size: int, classes: int = 19) -> None:
        self.size, self.classes = size, classes

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        shape = (self.size, self.size)
        image = torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8)
        sample = SegDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
        label = torch.randint(0, self.classes, (1, *shape), generator=generator)
        sample.gt_sem_seg = PixelData(data=label)
        return dict(inputs=image, data_samples=sample)


def ready(cfg: Config, size: int, work_dir: str, name: str, classes: int = 19) -> Runner:
    """A runner that trains what a config says on random images, ready for its first step."""
    cfg.default_hooks.checkpoint.interval = 10**9
    cfg.train_cfg.val_interval = 10**9
    cfg.log_level = "WARNING"
    cfg.experiment_name = f"{name}_{time.time_ns()}"
    # Visualizers are found again by name, with the folder that the first one wrote to.
    cfg.visualizer.name = cfg.experiment_name
    cfg.work_dir = work_dir
    for split in ("val", "test"):
        for part in ("cfg", "dataloader", "evaluator"):
            cfg[f"{split}_{part}"] = None
    cfg.train_dataloader = dict(
        batch_size=1,
        num_workers=0,
        dataset=dict(type="OneBatch", size=size, classes=classes),
        sampler=dict(type="InfiniteSampler"),
    )
    runner = Runner.from_cfg(cfg)
    # As Runner.train does, up to the loop.
    runner._train_loop = runner.build_train_loop(cfg.train_cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    runner.call_hook("before_run")
    runner.optim_wrapper.initialize_count_status(runner.model, 0, runner.max_iters)
    runner.call_hook("before_train")
    runner.call_hook("before_train_epoch")
    runner.model.train()
    return runner


def random_batch(count: int, size: int, device: torch.device, classes: int = 19) -> dict[str, Any]:
    """What a data loader would give a step, on the device."""
    data = OneBatch(size, classes)
    items = [data[index] for index in range(count)]
    return {name: [item[name].to(device) for item in items] for name in items[0]}


class Stepper:
    """Runs and times the steps of one method.

    Args:
        runner (Runner): Ready for a step.
        batch (dict): What every step is given, on the device.
        cuda (bool): Whether to time with the device's own clock.
    """

    def __init__(self, runner: Runner, batch: dict, cuda: bool) -> None:
        self.runner, self.batch, self.cuda = runner, batch, cuda
        self.times: list[float] = []
        self.blocks: list[float] = []  # medians
        self.drawing: list[float] = []
        self.peak = 0
        self.device_ms: float | None = None

    def run(self, steps: int, keep: bool) -> None:
        """Some steps in a row; the first pays for the switch and is not kept."""
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        marks = [self._mark()]
        for _ in range(steps + 1):
            self.runner.train_loop.run_iter(self.batch)
            marks.append(self._mark())
        if self.cuda:
            torch.cuda.synchronize()
            self.peak = max(self.peak, torch.cuda.max_memory_allocated() - before)
        if keep:
            times = [self._between(a, b) for a, b in zip(marks[1:], marks[2:])]
            self.times += times
            self.blocks.append(statistics.median(times))

    def run_drawing(self, steps: int) -> None:
        """Time the drawing of the views alone, where there are any."""
        model = self.runner.model
        multi_view = getattr(model, "multi_view", None)
        if multi_view is None:
            return
        inputs = model.data_preprocessor(self.batch, True)["inputs"]
        marks = [self._mark()]
        for _ in range(steps + 1):
            multi_view.draw(model, inputs, self.batch["data_samples"])
            marks.append(self._mark())
        if self.cuda:
            torch.cuda.synchronize()
        self.drawing += [self._between(a, b) for a, b in zip(marks[1:], marks[2:])]

    def run_profiled(self, steps: int) -> None:
        """Sum what the device's kernels take in a step, whatever the host does between them."""
        if not self.cuda:
            return
        activities = [torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=activities) as profile:
            for _ in range(steps):
                self.runner.train_loop.run_iter(self.batch)
            torch.cuda.synchronize()
        total = sum(event.self_device_time_total for event in profile.key_averages())
        self.device_ms = total / 1000 / steps

    def _mark(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, a: Any, b: Any) -> float:
        return a.elapsed_time(b) if self.cuda else (b - a) * 1000


def first_line(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def lack_of_memory(work: Callable[[], None]) -> str:
    """Does it; the first line of the error if the device's memory is too small for it."""
    try:
        work()
    except torch.cuda.OutOfMemoryError as error:
        return first_line(error)
    return ""


def take_turns(steppers: dict[str, Stepper], args: argparse.Namespace) -> dict[str, str]:
    """Warms all up, then times blocks of each in turn, so that a drift meets all of them.

    ``args`` holds ``steps`` to time of each, at least, ``block``, how many in a row, ``warm_up``.
    Those that the device's memory is too small for beside the others are taken out of ``steppers``.

    Returns:
        dict[str, str]: Of these the first line of their error.
    """
    failed: dict[str, str] = {}

    def each(work: Callable[[Stepper], None]) -> None:
        for name in list(steppers):
            error = lack_of_memory(partial(work, steppers[name]))
            if error:
                failed[name] = error
                del steppers[name]
                gc.collect()
                torch.cuda.empty_cache()

    def warm_up(stepper: Stepper) -> None:
        stepper.run(args.warm_up, keep=False)
        stepper.peak = 0  # choosing algorithms takes memory of its own

    def block(stepper: Stepper) -> None:
        stepper.run(args.block, keep=True)
        stepper.run_drawing(args.block)

    each(warm_up)
    for _ in range(-(-args.steps // args.block)):
        each(block)
    each(lambda stepper: stepper.run_profiled(args.block))
    return failed


def summary(stepper: Stepper) -> dict[str, float]:
    """Median, quartiles, minimum; bytes that a step adds to what is allocated between steps."""
    # Of the times themselves: the other method would go beyond the least of a few.
    quartiles = statistics.quantiles(stepper.times, n=4, method="inclusive")
    return dict(
        median_ms=statistics.median(stepper.times), lower_quartile_ms=quartiles[0],
        upper_quartile_ms=quartiles[2], minimum_ms=min(stepper.times), steps=len(stepper.times),
        peak_bytes=stepper.peak,
    )  # fmt: skip


def compared(
    steppers: dict[str, Stepper], first: str, failed: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """The summary of each, with its ratios to the first one; of those that failed their error."""
    if first in failed:
        sys.exit(f"error: {first}, which the others are compared with: {failed[first]}")
    results: dict[str, dict[str, Any]] = {
        name: summary(stepper) for name, stepper in steppers.items()
    }
    for name, row in results.items():
        row["ratio_of_medians"] = row["median_ms"] / results[first]["median_ms"]
        # Each block beside the first one's of its round: what drifts over minutes cancels.
        rounds = zip(steppers[name].blocks, steppers[first].blocks)
        row["ratio_by_round"] = statistics.median(own / plain for own, plain in rounds)
        row["ratio_of_minima"] = row["minimum_ms"] / results[first]["minimum_ms"]
        if steppers[name].cuda:
            row["ratio_of_peaks"] = row["peak_bytes"] / results[first]["peak_bytes"]
        own, plain = steppers[name].device_ms, steppers[first].device_ms
        if own is not None and plain is not None:
            row["device_ms"], row["ratio_of_device"] = own, own / plain
    return {**results, **{name: dict(error=error) for name, error in failed.items()}}
