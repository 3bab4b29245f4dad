"""Wall time of a whole robustness evaluation, beside the bare model and beside what users do now.

Three times over the same drawn street scenes, the same SegFormer with random weights, precision and
test mode:

* ``loop``: ``RobustnessTestLoop`` from the first image read to the report written;
* ``forward``: the model alone on as many images in memory, with the loop's attention, algorithms
  and casts of the weights, upsampling and argmax included, at its best batch size;
* ``stock``: MMSegmentation's test loop once for every cell, each image corrupted in the data
  loader's workers by the mended ``imagecorruptions`` with the exact glass blur, attention as the
  stock code has it. Building the model anew for each cell, which users' scripts do, is not counted.

``--stock-severity S`` runs of the stock test the clean pass and one severity of each corruption, S
or the strongest below, whose time stands for the corruption's others. ``--released`` adds what
glass blur costs as the package has it, a Python loop over pixels: that loop is timed on one image
for each severity, and its excess over the exact one is spread over images and workers, which is
derived, not run.

With many images some scenes may be drawn and linked to again and again (``--scenes``): what is read
and computed is as much as with as many scenes.

Example:
    python benchmarks/robustness_evaluation.py --images 8 --workers 4 16 --out evaluation.json
    python benchmarks/robustness_evaluation.py --images 500 --scenes 50 --workers --variant 5
"""

from __future__ import annotations

import argparse
import copy
import gc
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import mmseg_robust  # isort: skip  # noqa: F401  (mends what the imports below need)
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner import Runner
from mmseg.structures import SegDataSample
from PIL import Image
from reports import settings_of, size_of, write

from mmseg_robust.compat import load_imagecorruptions
from mmseg_robust.corruptions import Cell, get_protocol
from mmseg_robust.corruptions.glass_blur_reference import glass_blur
from mmseg_robust.datasets.synthetic_streets import draw_scene
from mmseg_robust.engine.loops.cells_loop import model_as_tested
from mmseg_robust.evaluation.provenance import package_versions
from mmseg_robust.models.fused_attention import ATTENTION

CONFIG = "mmseg::segformer/segformer_mit-b{}_8xb1-160k_cityscapes-1024x1024.py"
TEST_MODES = dict(
    whole=dict(mode="whole"), slide=dict(mode="slide", crop_size=(1024, 1024), stride=(768, 768))
)
"""SegFormer's slide on Cityscapes is that of its stock configs."""


def write_scene(root: Path, size: tuple[int, int], index: int) -> None:
    """An image and its labels as PNG."""
    image, label = draw_scene(0, index, size)[:2]
    Image.fromarray(image).save(root / "img" / f"{index}.png")
    Image.fromarray(label).save(root / "ann" / f"{index}.png")


def write_scenes(root: Path, count: int, size: tuple[int, int], scenes: int | None = None) -> None:
    """Images and labels as PNG, drawn on all cores; beyond ``scenes`` links to those drawn."""
    for folder in ("img", "ann"):
        (root / folder).mkdir(parents=True)
    drawn = count if scenes is None else min(count, scenes)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
        list(pool.map(partial(write_scene, root, size), range(drawn)))
    for index in range(drawn, count):
        for folder in ("img", "ann"):
            (root / folder / f"{index}.png").hardlink_to(root / folder / f"{index % drawn}.png")


def config(args: argparse.Namespace, root: Path, workers: int) -> Config:
    """The stock config with another test set."""
    cfg: Config = get_config(CONFIG.format(args.variant))
    cfg.model.backbone.init_cfg = None
    cfg.model.decode_head.norm_cfg = dict(type="BN")
    cfg.model.test_cfg = TEST_MODES[args.mode]
    cfg.test_dataloader.update(num_workers=workers, persistent_workers=workers > 0)
    cfg.test_dataloader.dataset.update(
        data_root=str(root), data_prefix=dict(img_path="img", seg_map_path="ann"),
        img_suffix=".png", seg_map_suffix=".png",
    )  # fmt: skip
    cfg.test_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
    for name in ("train_cfg", "train_dataloader", "optim_wrapper", "param_scheduler"):
        cfg[name] = None
    for name in ("val_cfg", "val_dataloader", "val_evaluator"):
        cfg[name] = None
    cfg.work_dir = str(root / "work")
    cfg.log_level = "WARNING"
    return cfg


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of a call, the device's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def time_loop(args: argparse.Namespace, root: Path) -> dict[str, float]:
    """The robustness loop, after a short run that compiles kernels and fills caches."""
    times = []
    for turn, images in enumerate([2, args.images]):
        cfg = config(args, root, workers=4)
        cfg.test_dataloader.dataset.indices = images
        cfg.default_hooks.logger.interval = 10**9  # each line of the log sets the peak to 0
        cfg.test_cfg = dict(
            type="RobustnessTestLoop", protocol=args.protocol,
            cells_per_batch=args.cells_per_batch, fp16=args.fp16, attention=args.attention,
            store=str(root / f"store{turn}"),
        )  # fmt: skip
        runner = Runner.from_cfg(cfg)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        times.append(seconds(runner.test))
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return {"seconds": times[1], "peak_gib": peak}


@torch.no_grad()
def time_forward(args: argparse.Namespace, root: Path, passes: int) -> dict[str, Any]:
    """The model alone, for each batch size the median of some calls."""
    model = Runner.from_cfg({**config(args, root, 0), "test_cfg": dict(type="TestLoop")}).model
    model.eval()
    device = next(model.parameters()).device
    width, height = args.size
    meta = dict(img_shape=(height, width), ori_shape=(height, width), pad_shape=(height, width))
    by_batch = {}
    for batch in args.batches:
        inputs = torch.randn(batch, 3, height, width, device=device)

        def work(inputs: torch.Tensor = inputs, batch: int = batch) -> None:
            samples = [SegDataSample(metainfo=dict(meta)) for _ in range(batch)]
            with torch.autocast(device.type, enabled=args.fp16, dtype=torch.float16):
                model.predict(inputs, samples)

        with model_as_tested(model, args.attention):
            work()
            times = [seconds(work) for _ in range(args.repeats)]
        by_batch[batch] = statistics.median(times) / batch
    best = min(by_batch.values())
    return {
        "seconds": best * args.images * passes,
        "ms_an_image": {str(k): 1000 * v for k, v in by_batch.items()},
    }


def time_stock(args: argparse.Namespace, root: Path, workers: int) -> float:
    """One stock test a cell, or one for several severities of a corruption."""
    total = 0.0
    for cell, count in stock_cells(args.protocol, args.stock_severity):
        cfg = config(args, root, workers)
        cfg.test_cfg = dict(type="TestLoop", fp16=args.fp16)
        if cell.severity:
            corrupt = dict(
                type="CorruptImage", corruptions=cell.corruption, severities=cell.severity, seed=0,
                backend="imagecorruptions",
            )  # fmt: skip
            transforms = copy.deepcopy(cfg.test_dataloader.dataset.pipeline)
            cfg.test_dataloader.dataset.pipeline = [transforms[0], corrupt, *transforms[1:]]
        runner = Runner.from_cfg(cfg)
        total += count * seconds(runner.test)
        # The workers' own end takes seconds on some machines: neither counted nor waited for.
        for process in multiprocessing.active_children():
            process.kill()
        del runner
        gc.collect()
    return total


def stock_cells(protocol: str, severity: int | None) -> list[tuple[Cell, int]]:
    """The cells that the stock test runs, and for how many each stands."""
    passes = get_protocol(protocol).passes
    if severity is None:
        return [(cell, 1) for cell in passes]
    own: dict[str, list[Cell]] = {}
    for cell in passes:
        own.setdefault(cell.corruption, []).append(cell)
    return [
        (max(cells, key=lambda cell: (cell.severity <= severity, cell.severity)), len(cells))
        for cells in own.values()
    ]


def glass_seconds(released: bool, size: tuple[int, int], severity: int) -> float:
    """Seconds of one glass blur on a drawn scene, exact or as ``imagecorruptions`` has it."""
    scene = draw_scene(0, 0, size)[0]
    own = load_imagecorruptions().corruption_dict["glass_blur"] if released else glass_blur
    return seconds(partial(own, Image.fromarray(scene) if released else scene, severity))


def released_excess(args: argparse.Namespace) -> float:
    """Core seconds an image by which the glass blurs of the protocol are slower as released."""
    passes = get_protocol(args.protocol).passes
    severities = [cell.severity for cell in passes if cell.corruption == "glass_blur"]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        own, exact = (
            pool.map(partial(glass_seconds, released, args.size), severities)
            for released in (True, False)
        )
        return sum(own) - sum(exact)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", type=int, default=0, choices=range(6), help="SegFormer B0-B5")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--size", type=size_of, default=(2048, 1024), metavar="WIDTHxHEIGHT")
    parser.add_argument("--scenes", type=int, help="how many are drawn; default: all")
    parser.add_argument("--mode", default="whole", choices=TEST_MODES)
    parser.add_argument("--attention", default="fused", choices=ATTENTION)
    parser.add_argument("--protocol", default="cityscapes-c")
    parser.add_argument("--cells-per-batch", type=int, default=8)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--repeats", type=int, default=10, help="timed calls of the bare model")
    parser.add_argument("--workers", type=int, nargs="*", default=[4], help="of the stock runs")
    parser.add_argument("--stock-severity", type=int, metavar="S", help="default: all of them")
    parser.add_argument("--released", action="store_true", help="glass blur as released, too")
    parser.add_argument("--fp16", action="store_true", help="all three under autocast")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args(arguments)
    passes = len(get_protocol(args.protocol).passes)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "scenes"
        write_scenes(root, args.images, args.size, args.scenes)
        loop = time_loop(args, root)
        forward = time_forward(args, root, passes)
        stock = {str(workers): time_stock(args, root, workers) for workers in args.workers}
    excess = released_excess(args) if args.released else None
    report = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "settings": settings_of(args),
        "passes": passes,
        "loop": loop,
        "forward": forward,
        "stock_seconds_by_workers": stock,
        "released_glass_excess_core_seconds_an_image": excess,
        "stock_as_released_seconds_by_workers": None
        if excess is None
        else {k: v + excess * args.images / int(k) for k, v in stock.items()},
        "loop_over_forward": loop["seconds"] / forward["seconds"],
        "share_outside_forward": 1 - forward["seconds"] / loop["seconds"],
        "times_faster_than_stock": {k: v / loop["seconds"] for k, v in stock.items()},
        "versions": package_versions(),
    }
    write(report, args.out)


if __name__ == "__main__":
    main()
