"""Training step time and memory of the methods beside the plain step, in one process.

A step is the training loop's own: hooks, data preprocessing, forward, loss, backward, optimizer,
with random images in memory in place of a data loader. Plain steps and those of each method
alternate in blocks, so that a drift of the machine's speed meets all of them.

For methods that train with several views the drawing of the views is timed by itself too.

Example:
    python benchmarks/step_time.py --methods cwfa damp --batch 2 --size 1024 --out step_time.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import mmseg_robust  # isort: skip  # noqa: F401  (mends what MMSegmentation's import needs)
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

from mmseg_robust.augmentations import FrequencyMaps
from mmseg_robust.evaluation.provenance import package_versions

CONFIG = "mmseg::segformer/segformer_mit-b{}_8xb1-160k_cityscapes-1024x1024.py"
METHODS: dict[str, list[dict]] = {
    "plain": [],
    # Acting from the start; the paper begins after a tenth of the run.
    "cwfa": [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0)],
    "damp": [dict(type="DAMPHook", sigma=0.1)],
    "asam": [dict(type="SharpnessAwareHook", rho=0.5, adaptive=True)],
    "rigl": [dict(type="DynamicSparseTrainingHook", method="rigl", sparsity=0.5)],
    "cwfa+damp+rigl": [
        dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0),
        dict(type="DAMPHook", sigma=0.1),
        dict(type="DynamicSparseTrainingHook", method="rigl", sparsity=0.5),
    ],
}
"""Hooks of each method."""
VIEWS: dict[str, dict] = {
    "fma": dict(
        views=dict(altered=dict(type="CombinedAugmentations")),
        terms=[dict(type="FMATerm", weight=1.0, view="altered")],
    ),
    "stability": dict(
        views=dict(noisy=dict(type="GaussianNoise")),
        terms=[dict(type="StabilityTerm", weight=0.01, view="noisy")],
    ),
    "afa": dict(
        views=dict(waves=dict(type="FourierBasis")),
        terms=[dict(type="TaskLossTerm", weight=0.5, view="waves")],
        clean_weight=0.5,
        auxiliary_norm=["waves"],
    ),
    "jsd": dict(
        views=dict(first=dict(type="AugMix"), second=dict(type="AugMix")),
        terms=[dict(type="JensenShannonTerm", weight=12.0, views=["first", "second"])],
    ),
    "altered alone": dict(
        views=dict(altered=dict(type="CombinedAugmentations")),
        terms=[dict(type="TaskLossTerm", weight=1.0, view="altered")],
        clean_weight=0.0,
    ),
    # Every image is filtered, not the default's 30 %: no step is cheaper than another.
    "dfm-x": dict(
        views=dict(filtered=dict(type="DominantFrequencies", maps="maps.npz", prob=1.0)),
        terms=[dict(type="TaskLossTerm", weight=1.0, view="filtered")],
        clean_weight=0.0,
    ),
}
"""Settings of the multi-view segmentor, for those methods that are one."""
METHODS.update({name: [] for name in VIEWS})


@DATASETS.register_module()
class OneBatch(Dataset):
    """Random images and labels; there for the runner, which wants a data loader."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        shape = (self.size, self.size)
        image = torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8)
        sample = SegDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 19, (1, *shape), generator=generator))
        return dict(inputs=image, data_samples=sample)


def write_maps(path: Path, count: int) -> str:
    """Writes frequency maps of 64 x 64 that keep a disc around DC; what they keep costs nothing."""
    places = torch.arange(64) - 32
    disc = places[:, None] ** 2 + places**2 < 20**2
    names = tuple(str(index) for index in range(count))
    maps = disc.expand(count, -1, -1).clone()
    FrequencyMaps(maps, names, (True,) * count, "segmentation", {"made by": "benchmark"}).save(path)
    return str(path)


def build(args: argparse.Namespace, method: str, work_dir: str) -> Runner:
    """A runner of the stock SegFormer with random weights, ready for its first step."""
    torch.manual_seed(0)
    cfg: Config = get_config(CONFIG.format(args.variant))
    cfg.model.backbone.init_cfg = None
    cfg.model.decode_head.norm_cfg = dict(type="BN")
    cfg.model.data_preprocessor.size = (args.size, args.size)
    if method in VIEWS:
        cfg.model.update(type="MultiViewEncoderDecoder", **VIEWS[method])
        for view in cfg.model.views.values():
            if view.type == "DominantFrequencies":
                count = cfg.model.decode_head.num_classes
                view.maps = write_maps(Path(work_dir, view.maps), count)
    if args.dtype != "float32":
        cfg.optim_wrapper.update(type="AmpOptimWrapper", dtype=args.dtype)
    cfg.custom_hooks = METHODS[method]
    cfg.default_hooks.checkpoint.interval = 10**9
    cfg.train_cfg.val_interval = 10**9
    cfg.log_level = "WARNING"
    cfg.experiment_name = f"{method}_{time.time_ns()}"
    cfg.work_dir = work_dir
    for name in ("val", "test"):
        for part in ("cfg", "dataloader", "evaluator"):
            cfg[f"{name}_{part}"] = None
    cfg.train_dataloader = dict(
        batch_size=1,
        num_workers=0,
        dataset=dict(type="OneBatch", size=args.size),
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

    def _mark(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, a: Any, b: Any) -> float:
        return a.elapsed_time(b) if self.cuda else (b - a) * 1000


def summary(stepper: Stepper) -> dict[str, float]:
    """Median, quartiles, minimum; bytes that a step adds to what is allocated between steps."""
    quartiles = statistics.quantiles(stepper.times, n=4)
    return dict(
        median_ms=statistics.median(stepper.times), lower_quartile_ms=quartiles[0],
        upper_quartile_ms=quartiles[2], minimum_ms=min(stepper.times), steps=len(stepper.times),
        peak_bytes=stepper.peak,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [name for name in METHODS if name != "plain"]
    parser.add_argument("--methods", nargs="+", default=names, choices=names)
    parser.add_argument(
        "--variant", type=int, default=0, choices=range(6), help="SegFormer B0 to B5"
    )
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=200, help="timed steps of each kind")
    parser.add_argument("--block", type=int, default=20, help="steps of one kind in a row")
    parser.add_argument("--warm-up", type=int, default=20, help="untimed steps of each kind")
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "float16", "bfloat16"))
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    data = OneBatch(args.size)
    items = [data[index] for index in range(args.batch)]
    batch = dict(
        inputs=[item["inputs"].to(device) for item in items],
        data_samples=[item["data_samples"].to(device) for item in items],
    )
    with tempfile.TemporaryDirectory() as folder:
        steppers = {
            name: Stepper(build(args, name, folder), batch, cuda)
            for name in ["plain", *args.methods]
        }
        for stepper in steppers.values():
            stepper.run(args.warm_up, keep=False)
        while len(steppers["plain"].times) < args.steps:
            for stepper in steppers.values():
                stepper.run(args.block, keep=True)
                stepper.run_drawing(args.block)
    results = {name: summary(stepper) for name, stepper in steppers.items()}
    for name, row in results.items():
        if steppers[name].drawing:
            row["drawing_median_ms"] = statistics.median(steppers[name].drawing)
            row["drawing_share"] = row["drawing_median_ms"] / row["median_ms"]
        row["ratio_of_medians"] = row["median_ms"] / results["plain"]["median_ms"]
        # Each block beside the plain one of its round: what drifts over minutes cancels.
        rounds = zip(steppers[name].blocks, steppers["plain"].blocks)
        row["ratio_by_round"] = statistics.median(own / plain for own, plain in rounds)
        row["ratio_of_minima"] = row["minimum_ms"] / results["plain"]["minimum_ms"]
        if cuda:
            row["ratio_of_peaks"] = row["peak_bytes"] / results["plain"]["peak_bytes"]
    report = dict(
        benchmark="step_time",
        results=results,
        settings={name: value for name, value in vars(args).items() if name != "out"},
        machine=torch.cuda.get_device_name() if cuda else platform.machine(),
        versions=package_versions(),
    )
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
