"""One GPU beside several: training steps and a robustness evaluation, with the same code.

For each number of GPUs the script starts itself under ``torchrun`` (for one GPU plainly, as a user
would) and times

* training: steps of ``timed_steps.py``, as many images on each GPU, so that what scales is images a
  second;
* the robustness test of the same images with the same weights, whose counts must be equal to the
  bit whatever the number of GPUs.

Example:
    python benchmarks/scaling.py --gpus 1 2 --out scaling.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import mmseg_robust  # isort: skip  # noqa: F401  (mends what MMSegmentation's import needs)
import robustness_evaluation
import torch
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS
from reports import conditions, write
from step_time import METHODS, training_config
from timed_steps import Stepper, random_batch, ready, summary

RANKS = int(os.environ.get("WORLD_SIZE", "1"))
LAUNCHER = "pytorch" if "RANK" in os.environ else "none"
WEIGHTS = "weights.pth"


def train(args: argparse.Namespace, method: str, folder: Path) -> dict[str, float]:
    """Times training steps; images a second over all ranks."""
    work_dir = folder / "train"
    work_dir.mkdir(exist_ok=True)
    settings = argparse.Namespace(**vars(args), merged=True, fused=False)
    cfg = training_config(settings, method, str(work_dir))
    cfg.model.decode_head.norm_cfg = dict(type="SyncBN", requires_grad=True)  # as in stock
    cfg.launcher = LAUNCHER
    runner = ready(cfg, args.size, str(work_dir), method)
    device = next(runner.model.parameters()).device
    stepper = Stepper(runner, random_batch(args.batch, args.size, device), device.type == "cuda")
    stepper.run(args.warm_up, keep=False)
    stepper.run(args.steps, keep=True)
    row = summary(stepper)
    images = args.batch * RANKS
    return dict(row, images_a_second=1000 * images / row["median_ms"])


def evaluate(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Times the robustness test, after a short run that compiles kernels and fills caches."""
    settings = argparse.Namespace(variant=args.variant, mode="whole")
    own: dict[str, Any] = {}
    for turn, images in enumerate([2 * RANKS, args.images]):
        cfg = robustness_evaluation.config(settings, folder / "scenes", workers=4)
        cfg.test_dataloader.dataset.indices = images
        cfg.launcher, cfg.load_from = LAUNCHER, str(folder / WEIGHTS)
        cfg.work_dir = str(folder / "test")
        cfg.experiment_name = f"evaluation{turn}"
        out = folder / f"record{RANKS}.json"
        store = folder / f"store{RANKS}.{turn}"
        cfg.test_cfg = dict(
            type="RobustnessTestLoop", protocol=args.protocol, out_file=str(out), store=str(store)
        )
        runner = Runner.from_cfg(cfg)
        own = dict(seconds=robustness_evaluation.seconds(runner.test), record=str(out))
    return own


def write_test(args: argparse.Namespace, folder: Path) -> None:
    """Images, labels and random weights for :func:`evaluate`."""
    robustness_evaluation.write_scenes(folder / "scenes", args.images, (2048, 1024))
    settings = argparse.Namespace(variant=args.variant, mode="whole")
    cfg = robustness_evaluation.config(settings, folder / "scenes", workers=0)
    init_default_scope("mmseg")
    torch.manual_seed(0)
    torch.save(MODELS.build(cfg.model).state_dict(), folder / WEIGHTS)


def worker(args: argparse.Namespace) -> None:
    """One rank: everything, in the order that all ranks share."""
    folder = args.folder
    results: dict[str, Any] = {name: train(args, name, folder) for name in args.methods}
    if args.images:
        results["evaluation"] = evaluate(args, folder)
    if is_main_process():
        (folder / f"result{RANKS}.json").write_text(json.dumps(results))


def start(args: argparse.Namespace, gpus: int) -> dict[str, Any]:
    """Runs the workers of a number of GPUs and reads what the first one wrote."""
    command = [sys.executable]
    if gpus > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={gpus}"]
    own = [str(Path(__file__).resolve()), *sys.argv[1:], "--folder", str(args.folder)]
    subprocess.run([*command, *own], check=True)
    return json.loads((args.folder / f"result{gpus}.json").read_text())


def cells(path: str) -> list[dict]:
    """The cells of a record: everything that was counted."""
    return json.loads(Path(path).read_text())["cells"]


def compare(by_gpus: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """How many times one GPU's speed, and whether the records are equal."""
    first = next(iter(by_gpus))
    report: dict[str, Any] = {}
    for gpus, own in by_gpus.items():
        row = {
            name: own[name]["images_a_second"] / by_gpus[first][name]["images_a_second"]
            for name in own
            if name != "evaluation"
        }
        if "evaluation" in own:
            base = by_gpus[first]["evaluation"]
            row["evaluation"] = base["seconds"] / own["evaluation"]["seconds"]
            row["equal_records"] = cells(base["record"]) == cells(own["evaluation"]["record"])
        report[str(gpus)] = row
    return report


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2])
    default = ["plain", "cwfa+damp+rigl", "asam"]
    parser.add_argument("--methods", nargs="*", default=default, choices=METHODS)
    parser.add_argument("--variant", type=int, default=0, choices=range(6), help="SegFormer B0-B5")
    parser.add_argument("--batch", type=int, default=8, help="images a step and GPU")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "float16", "bfloat16"))
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--warm-up", type=int, default=10)
    parser.add_argument("--images", type=int, default=32, help="of the test; 0: none")
    parser.add_argument("--protocol", default="cityscapes-c")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of the workers
    return parser.parse_args()


def main() -> None:
    args = parse()
    if args.folder is not None:
        return worker(args)
    with tempfile.TemporaryDirectory() as folder:
        args.folder = Path(folder)
        if args.images:
            write_test(args, args.folder)
        by_gpus = {gpus: start(args, gpus) for gpus in args.gpus}
        times_one_gpu = compare(by_gpus)
    for own in by_gpus.values():
        own.get("evaluation", {}).pop("record", None)
    report = dict(
        benchmark="scaling",
        results={str(gpus): own for gpus, own in by_gpus.items()},
        times_the_first=times_one_gpu,
        **conditions(args, torch.cuda.is_available()),
    )
    write(report, args.out)


if __name__ == "__main__":
    main()
