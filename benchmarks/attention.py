"""Stock attention beside fused attention: SegFormer's forward pass and training step, one process.

* ``forward``: the network alone under ``torch.no_grad``, backbone and head, whose logits are a
  quarter of the image high and wide; neither the upsampling to the labels nor argmax.
* ``step``: the training loop's own step, as ``benchmarks/step_time.py`` times it.

The variants of a case alternate in blocks, so that a drift of the machine's speed meets all of
them. ``--merged`` adds the steps of an optimizer whose groups are merged, ``--channels-last`` the
same with weights in that layout, ``--kept-casts`` forward passes for which autocast casts each
weight once a block and not in each call, as the robustness loops have it, ``--compile`` all but
these with the model compiled, whose graph casts in each call (of the step the forward pass with its
loss, and so the backward pass). A variant that fails, for want of memory say, is written with its
error.

Example:
    python benchmarks/attention.py --models 0 5 --channels-last --compile --out attention.json
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mmseg_robust  # isort: skip  # noqa: F401  (mends what MMSegmentation's import needs)
import torch
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from reports import conditions, size_of
from step_time import CONFIG, build
from timed_steps import Stepper, first_line, random_batch, summary

from mmseg_robust.models.fused_attention import fuse_attention

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Case:
    """What is timed, whatever the variant."""

    part: str
    model: int
    dtype: str
    batch: int
    width: int
    height: int


@dataclass(frozen=True)
class Variant:
    """A way to do it."""

    fused: bool
    merged: bool
    channels_last: bool
    kept_casts: bool
    backend: str | None

    @property
    def name(self) -> str:
        """Its name in the report."""
        parts = ["fused" if self.fused else "stock"]
        parts += ["merged"] * self.merged
        parts += ["channels_last"] * self.channels_last
        parts += ["kept_casts"] * self.kept_casts
        parts += [] if self.backend is None else ["compiled"]
        return " ".join(parts)

    def prepare(self, model: torch.nn.Module) -> None:
        """Sets attention and layout, and compiles."""
        if self.fused:
            fuse_attention(model)
        if self.channels_last:
            # The outputs of a convolution are laid out as its weights are.
            model.to(memory_format=torch.channels_last)
        if self.backend is not None:
            model.compile(backend=self.backend, dynamic=False)


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """The cases that were asked for."""
    for model, dtype, part in itertools.product(args.models, args.dtypes, args.parts):
        if part == "forward":
            for batch in args.forward_batches:
                yield Case(part, model, dtype, batch, *args.forward_size)
        else:
            yield Case(part, model, dtype, args.step_batch, args.step_size, args.step_size)


def variants(args: argparse.Namespace, part: str, dtype: str) -> list[Variant]:
    """The variants of a part in a type that were asked for, stock first."""
    backends = [None] if args.compile is None else [None, args.compile]
    layouts = [False, True] if args.channels_last else [False]
    groups = [False, True] if args.merged and part == "step" else [False]
    casting = part == "forward" and dtype != "float32"
    casts = [False, True] if args.kept_casts and casting else [False]
    ways = itertools.product(backends, casts, layouts, groups, [False, True])
    return [
        Variant(fused, merged, layout, kept, backend)
        for backend, kept, layout, merged, fused in ways
        if not (kept and backend)
    ]


class KeptCasts(Stepper):
    """Keeps over a block what autocast makes of the weights: the outermost one lets go of it."""

    def run(self, steps: int, keep: bool) -> None:
        """Some steps in a row."""
        with torch.autocast(DEVICE.type, enabled=False):
            super().run(steps, keep)


def network(case: Case, variant: Variant) -> torch.nn.Module:
    """The network with random weights."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    cfg = get_config(CONFIG.format(case.model))
    cfg.model.backbone.init_cfg = None
    cfg.model.decode_head.norm_cfg = dict(type="BN")
    model = MODELS.build(cfg.model).to(DEVICE).eval()
    variant.prepare(model)
    return model


@torch.no_grad()
def forward(model: torch.nn.Module, dtype: torch.dtype, images: torch.Tensor) -> torch.Tensor:
    """The logits of a batch (N, 3, H, W)."""
    with torch.autocast(DEVICE.type, dtype, enabled=dtype != torch.float32):
        return model(images, mode="tensor")


def forward_stepper(case: Case, variant: Variant) -> Stepper:
    """Times the network on one random batch."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(case.batch, 3, case.height, case.width, generator=generator)
    model = network(case, variant)
    run = partial(forward, model, getattr(torch, case.dtype))
    loop = SimpleNamespace(run_iter=run, network=model)
    runner: Any = SimpleNamespace(train_loop=loop)  # all that a stepper asks a runner for
    batch: Any = images.to(DEVICE)
    kind = KeptCasts if variant.kept_casts else Stepper
    return kind(runner, batch, DEVICE.type == "cuda")


def step_stepper(case: Case, variant: Variant, folder: str) -> Stepper:
    """Times the training step."""
    settings = argparse.Namespace(
        variant=case.model, size=case.width, dtype=case.dtype, merged=variant.merged, fused=False
    )  # the variant fuses by itself
    runner = build(settings, "plain", folder)
    variant.prepare(runner.model)
    return Stepper(runner, random_batch(case.batch, case.width, DEVICE), DEVICE.type == "cuda")


def warmed_up(args: argparse.Namespace, case: Case, variant: Variant, folder: str) -> Stepper | str:
    """A stepper after its untimed steps, or the first line of the error that it ended with."""
    try:
        if case.part == "forward":
            stepper = forward_stepper(case, variant)
        else:
            stepper = step_stepper(case, variant, folder)
        stepper.run(args.warm_up, keep=False)
    except Exception as error:  # a compiler may raise anything
        return first_line(error)
    stepper.peak = 0  # compiling and choosing algorithms take memory of their own
    return stepper


def run_case(args: argparse.Namespace, case: Case, folder: str) -> dict[str, Any]:
    """Times all variants of a case."""
    chosen = variants(args, case.part, case.dtype)
    made = {variant.name: warmed_up(args, case, variant, folder) for variant in chosen}
    steppers = {name: own for name, own in made.items() if isinstance(own, Stepper)}
    for _ in range(-(-args.steps // args.block)):
        for stepper in steppers.values():
            stepper.run(args.block, keep=True)
    results: dict[str, dict[str, Any]] = {
        name: summary(own) if isinstance(own, Stepper) else dict(error=own)
        for name, own in made.items()
    }
    if "stock" in steppers:
        compare(results, steppers)
        if case.part == "forward":
            compare_outputs(results, steppers)
    return dict(**asdict(case), variants=results)


def compare(results: dict[str, dict[str, Any]], steppers: dict[str, Stepper]) -> None:
    """Adds how many times faster than stock each variant is, and its share of stock's memory."""
    stock = steppers["stock"]
    for name, own in steppers.items():
        row = results[name]
        row["times_faster"] = results["stock"]["median_ms"] / row["median_ms"]
        # Each block beside the stock one of its round: what drifts over minutes cancels.
        rounds = zip(stock.blocks, own.blocks)
        row["times_faster_by_round"] = statistics.median(theirs / mine for theirs, mine in rounds)
        if stock.peak:
            row["share_of_peak"] = own.peak / stock.peak


def compare_outputs(results: dict[str, dict[str, Any]], steppers: dict[str, Stepper]) -> None:
    """Adds each variant's greatest difference to stock, over the greatest of stock's logits."""
    logits = {name: own.runner.train_loop.run_iter(own.batch) for name, own in steppers.items()}
    stock = logits["stock"].float()
    for name, own in logits.items():
        difference = (own.float() - stock).abs().max() / stock.abs().max()
        results[name]["relative_difference"] = difference.item()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts, dtypes = ["forward", "step"], ["bfloat16", "float32", "float16"]
    parser.add_argument("--models", nargs="+", type=int, default=[0, 5], choices=range(6))
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    parser.add_argument("--dtypes", nargs="+", default=dtypes[:2], choices=dtypes)
    size = dict(type=size_of, metavar="WIDTHxHEIGHT")
    parser.add_argument("--forward-size", default=(2048, 1024), **size)
    parser.add_argument("--forward-batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--step-size", type=int, default=1024)
    parser.add_argument("--step-batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60, help="timed calls of each variant")
    parser.add_argument("--block", type=int, default=10, help="calls of one variant in a row")
    parser.add_argument("--warm-up", type=int, default=10, help="untimed calls of each variant")
    parser.add_argument("--merged", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--kept-casts", action="store_true")
    parser.add_argument("--compile", nargs="?", const="inductor", metavar="BACKEND")
    parser.add_argument("--out", type=Path, help="JSON file to write, anew after each case")
    return parser.parse_args(arguments)


def precision_and_conditions(args: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on beside the case."""
    return dict(
        **conditions(args, DEVICE.type == "cuda"),
        tf32=dict(
            convolutions=torch.backends.cudnn.allow_tf32,
            products=torch.backends.cuda.matmul.allow_tf32,
        ),
    )


def clear(compiled: bool) -> None:
    """Leaves nothing of a case to the next."""
    if compiled:
        torch._dynamo.reset()  # the limit of graphs holds for all models of a class together
    gc.collect()
    torch.cuda.empty_cache()


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse(arguments)
    torch.backends.cudnn.benchmark = True
    if args.compile is not None:
        # Models of a class share their graphs, and as it is nothing tells fused from stock there.
        torch._dynamo.config.skip_nnmodule_hook_guards = False
    done: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:  # one for all: runners share a visualizer
        for case in cases(args):
            done.append(run_case(args, case, folder))
            clear(args.compile is not None)
            print(json.dumps(done[-1], indent=1), flush=True)
            if args.out:
                report = dict(benchmark="attention", cases=done, **precision_and_conditions(args))
                args.out.parent.mkdir(parents=True, exist_ok=True)
                args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
