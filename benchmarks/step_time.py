"""Training step time and memory of the methods beside the plain step, in one process.

Steps are those of ``timed_steps.py``, with random images in memory. Plain steps and those of each
method alternate in blocks, so that a drift of the machine's speed meets all of them. On a card what
the kernels of a step take is summed besides, which a slow host does not change.

For methods that train with several views the drawing of the views is timed by itself too.

Example:
    python benchmarks/step_time.py --methods cwfa damp --batch 2 --size 1024 --out step_time.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import mmseg_robust  # isort: skip  # noqa: F401  (mends what MMSegmentation's import needs)
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner import Runner
from reports import conditions, write
from timed_steps import Stepper, compared, random_batch, ready, take_turns

from mmseg_robust.augmentations import FrequencyMaps

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


def write_maps(path: Path, count: int) -> str:
    """Writes frequency maps of 64 x 64 that keep a disc around DC; what they keep costs nothing."""
    places = torch.arange(64) - 32
    disc = places[:, None] ** 2 + places**2 < 20**2
    names = tuple(str(index) for index in range(count))
    maps = disc.expand(count, -1, -1).clone()
    FrequencyMaps(maps, names, (True,) * count, "segmentation", {"made by": "benchmark"}).save(path)
    return str(path)


def training_config(args: argparse.Namespace, method: str, work_dir: str) -> Config:
    """The stock SegFormer's config with random weights and a method."""
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
    if args.merged:
        cfg.optim_wrapper.constructor = "MergedOptimWrapperConstructor"
    cfg.custom_hooks = [*METHODS[method], *([dict(type="FusedAttentionHook")] * args.fused)]
    return cfg


def build(args: argparse.Namespace, method: str, work_dir: str) -> Runner:
    """A runner of the stock SegFormer with random weights, ready for its first step."""
    torch.manual_seed(0)
    return ready(training_config(args, method, work_dir), args.size, work_dir, method)


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
    parser.add_argument(
        "--merged", action="store_true", help="all, plain too, with merged optimizer groups"
    )
    parser.add_argument("--fused", action="store_true", help="all, plain too, with fused attention")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    batch = random_batch(args.batch, args.size, device)
    with tempfile.TemporaryDirectory() as folder:
        steppers = {
            name: Stepper(build(args, name, folder), batch, cuda)
            for name in ["plain", *args.methods]
        }
        failed = take_turns(steppers, args)
    results = compared(steppers, "plain", failed)
    for name, stepper in steppers.items():
        row = results[name]
        if stepper.drawing:
            row["drawing_median_ms"] = statistics.median(stepper.drawing)
            row["drawing_share"] = row["drawing_median_ms"] / row["median_ms"]
    report = dict(
        benchmark="step_time",
        results=results,
        **conditions(args, cuda),
    )
    write(report, args.out)


if __name__ == "__main__":
    main()
