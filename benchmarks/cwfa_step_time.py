"""Training step time with CWFA beside the plain one, in the same process.

A step is what MMEngine's ``train_step`` does with a batch: data preprocessing, forward, loss,
backward and optimizer, with random images in memory in place of a data loader. Plain and CWFA steps
alternate in blocks, so that a drift of the machine's speed meets both. CWFA is the hook's own code
at every step, active, with the paper's epsilon 9 and prob 0.3.

Example:
    python benchmarks/cwfa_step_time.py --batch 2 --size 1024 --out cwfa_step_time.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

import mmseg_robust  # isort: skip  (mends what MMSegmentation's import needs)
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_robust.engine.hooks.cwfa_hook import CWFAHook

CONFIG = "mmseg::segformer/segformer_mit-b{}_8xb1-160k_cityscapes-1024x1024.py"


def build(args: argparse.Namespace) -> tuple[torch.nn.Module, object]:
    """The stock SegFormer with its stock optimizer, in the asked precision, from random weights."""
    from mmengine.hub import get_config

    cfg: Config = get_config(CONFIG.format(args.variant))
    cfg.model.backbone.init_cfg = None
    cfg.model.decode_head.norm_cfg = dict(type="BN")
    cfg.model.data_preprocessor.size = (args.size, args.size)
    model = MODELS.build(cfg.model).to(args.device)
    wrapper = dict(cfg.optim_wrapper)
    if args.dtype != "float32":
        wrapper.update(type="AmpOptimWrapper", dtype=args.dtype)
    return model.train(), build_optim_wrapper(model, wrapper)


def make_batch(args: argparse.Namespace) -> dict:
    generator = torch.Generator().manual_seed(0)
    shape = (args.size, args.size)
    samples, images = [], []
    for _ in range(args.batch):
        images.append(torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8))
        sample = SegDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 19, (1, *shape), generator=generator))
        samples.append(sample.to(args.device))
    return dict(inputs=[image.to(args.device) for image in images], data_samples=samples)


class Stepper:
    """Runs and times training steps of one kind."""

    def __init__(self, model: torch.nn.Module, wrapper: object, batch: dict, cuda: bool) -> None:
        self.model, self.wrapper, self.batch, self.cuda = model, wrapper, batch, cuda
        self.iteration = 0

    def run(self, steps: int, hook: CWFAHook | None) -> list[float]:
        """Time each of some steps; milliseconds on the device's own clock where it has one."""
        runner = SimpleNamespace(
            model=self.model, max_iters=10**6, iter=self.iteration, logger="silent"
        )
        if hook is not None:
            hook.before_train(runner)
            hook._measured = True
        marks = [self._mark()]
        for _ in range(steps):
            runner.iter = self.iteration
            if hook is not None:
                hook.before_train_iter(runner, 0)
            self.model.train_step(self.batch, self.wrapper)
            self.iteration += 1
            marks.append(self._mark())
        if self.cuda:
            torch.cuda.synchronize()
        if hook is not None:
            hook.after_train(runner)
        return [self._between(a, b) for a, b in zip(marks, marks[1:])]

    def _mark(self):
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, a, b) -> float:
        return a.elapsed_time(b) if self.cuda else (b - a) * 1000


def summary(times: list[float]) -> dict[str, float]:
    quartiles = statistics.quantiles(times, n=4)
    return dict(
        median_ms=statistics.median(times), lower_quartile_ms=quartiles[0],
        upper_quartile_ms=quartiles[2], minimum_ms=min(times), steps=len(times),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--variant", type=int, default=0, choices=range(6), help="SegFormer B0 to B5"
    )
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=200, help="timed steps of each kind")
    parser.add_argument("--block", type=int, default=20, help="steps of one kind in a row")
    parser.add_argument("--warm-up", type=int, default=20, help="untimed steps of each kind")
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "float16", "bfloat16"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    DefaultScope.get_instance("benchmark", scope_name="mmseg")
    cuda = args.device.startswith("cuda")
    stepper = Stepper(*build(args), make_batch(args), cuda)
    hook = CWFAHook(epsilon=9.0, prob=0.3, begin=0)
    stepper.run(args.warm_up, None)
    stepper.run(args.warm_up, hook)
    plain: list[float] = []
    cwfa: list[float] = []
    while len(plain) < args.steps:
        # The first step of a block pays for the switch and is not counted.
        plain += stepper.run(args.block + 1, None)[1:]
        cwfa += stepper.run(args.block + 1, hook)[1:]
    settings = {name: value for name, value in vars(args).items() if name != "out"}
    result = dict(
        benchmark="cwfa_step_time",
        plain=summary(plain),
        cwfa=summary(cwfa),
        ratio_of_medians=statistics.median(cwfa) / statistics.median(plain),
        settings=settings,
        machine=torch.cuda.get_device_name() if cuda else platform.machine(),
        versions=dict(
            python=platform.python_version(),
            torch=torch.__version__,
            mmseg_robust=mmseg_robust.__version__,
        ),
    )
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
