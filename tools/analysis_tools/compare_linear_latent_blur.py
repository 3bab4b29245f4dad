"""Train the variants of the linear-latent auto-encoder on a folder of images and compare them.

Each variant (baseline, implicit, explicit) goes through tools/train.py, as a user would run it, all
at once on a GPU and one after the other on a CPU. A run that was killed goes on with the same
command, what is finished is not repeated, and only table and pictures are made again. In OUT:

    results.json             settings and all figures, by variant, task, way and level
    table.md                 the table
    levels.png               PSNR and SSIM by level
    blur.jpg, deblur.jpg     one image of the validation set

The engine's own defocus is the true image here: a level is a disk of its filter.

Example:
    python tools/analysis_tools/compare_linear_latent_blur.py --data data/camvid \
        --out work_dirs/blur
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (first: mends what the imports below need)
import torch

from mmseg_robust.augmentations.linear_latent_space import LINEARITY
from mmseg_robust.datasets.blur_levels import find_images
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.blur_level_pictures import draw_examples, draw_levels
from mmseg_robust.evaluation.provenance import package_versions
from mmseg_robust.files import check_writable, write_whole

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "configs/linear_latent_blur/linear-latent-blur_{}_1xb16-4k_camvid-128x128.py"
WAYS = {"latent": "latent space", "latent alone": "latent space, one image", "pixel": "pixel space"}
SECONDS_BETWEEN_LINES = 15


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on.

    Raises:
        InputError: If there are no images.
    """
    counts = {}
    for split in ("train", "val"):
        counts[split] = len(find_images(str(args.data / "images" / split)))
        if counts[split] == 0:
            raise InputError(f"There are no images in {str(args.data / 'images' / split)!r}.")
    cuda = torch.cuda.is_available()
    return dict(
        data=args.data.name,
        train_images=counts["train"],
        val_images=min(counts["val"], args.val_images or counts["val"]),
        iterations=args.iters,
        images_a_step=args.batch,
        crops_an_image=4,
        crop=args.crop,
        channels=args.channels,
        seed=args.seed,
        precision="fp16 (AMP)" if cuda else "fp32",
        device=torch.cuda.get_device_name() if cuda else "CPU",
    )


def command_of(args: argparse.Namespace, variant: str) -> list[str]:
    """The training of a variant; its last validation writes the figures."""
    data = {
        f"{part}_dataloader.{key}": value
        for part in ("train", "val")
        for key, value in {
            "dataset.data_root": args.data,
            "dataset.crop_size": args.crop,
            "num_workers": args.workers,
            "persistent_workers": args.workers > 0,
        }.items()
    }
    options = {
        **data,
        "train_dataloader.batch_size": args.batch,
        "model.channels": f"[{','.join(map(str, args.channels))}]",
        "train_cfg.max_iters": args.iters,
        "train_cfg.val_interval": args.iters,
        "default_hooks.checkpoint.interval": max(args.iters // 4, 1),
        "val_evaluator.out_file": args.out / f"{variant}.json",
        "randomness.seed": args.seed,
    }
    if args.val_images:
        options["val_dataloader.dataset.indices"] = args.val_images
    command = [sys.executable, str(ROOT / "tools/train.py"), str(ROOT / CONFIG.format(variant))]
    command += ["--resume", "--work-dir", str(args.out / variant)]
    command += ["--amp"] if torch.cuda.is_available() else []
    return [*command, "--cfg-options", *(f"{key}={value}" for key, value in options.items())]


def start(args: argparse.Namespace, variant: str) -> subprocess.Popen:
    """Start the training of a variant; its output goes to a log file."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with open(args.out / f"{variant}.log", "a") as log:
        return subprocess.Popen(
            command_of(args, variant),
            env={**os.environ, "PYTHONPATH": path},
            stdout=log,
            stderr=log,
        )


def last_line(log: Path) -> str:
    """How far a training is."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if "Iter(" in line]
    return lines[-1].partition(" - INFO - ")[2].split("  ")[0] if lines else "starting"


def train(args: argparse.Namespace, variants: Sequence[str]) -> None:
    """Train variants at the same time, showing how far each is.

    Raises:
        SystemExit: If one of them fails; the end of its log is shown.
    """
    children = {variant: start(args, variant) for variant in variants}
    begin = shown = time.monotonic()
    try:
        while any(child.poll() is None for child in children.values()):
            time.sleep(0.2)
            if time.monotonic() - shown >= SECONDS_BETWEEN_LINES:
                shown = time.monotonic()
                parts = [f"{own} {last_line(args.out / f'{own}.log')}" for own in variants]
                print(f"{shown - begin:5.0f} s  {', '.join(parts)}", flush=True)
    finally:
        for child in children.values():
            child.terminate()
    for variant, child in children.items():
        if child.returncode or not (args.out / f"{variant}.json").exists():
            log = args.out / f"{variant}.log"
            end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            sys.exit(f"{end}\nerror: the training of {variant} failed; all of it is in {log}")
    print(f"{', '.join(variants)}: {time.monotonic() - begin:.0f} s", flush=True)


def table(results: dict[str, Any]) -> str:
    """Means over levels, a line a way and variant, in Markdown."""
    columns = ["", "blur: PSNR", "SSIM", "deblur: PSNR", "SSIM", "ends: PSNR", "SSIM"]
    lines = [columns, ["---", *["---:"] * 6]]
    first = next(iter(results["variants"].values()))

    def cells(figures: dict[str, Any], way: str) -> list[str]:
        found = [figures[task].get(way) for task in ("blur", "deblur", "reconstruction")]
        texts = []
        for own in found:
            texts += [_mean(own["psnr"], 2), _mean(own["ssim"], 3)] if own else ["", ""]
        return texts

    for variant, figures in results["variants"].items():
        lines += [
            [f"{variant}, {WAYS[way]}", *cells(figures, way)] for way in ("latent", "latent alone")
        ]
    lines.append([WAYS["pixel"], *cells(first, "pixel")])
    lines.append(["the blurred image as it is", *cells(first, "input")])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _mean(values: Sequence[float], digits: int) -> str:
    return f"{sum(values) / len(values):.{digits}f}"


def run(args: argparse.Namespace) -> None:
    """Train what is missing, then write figures and pictures.

    Raises:
        InputError: If there are no images, or OUT holds results of other settings.
    """
    settings = settings_of(args)
    kept = args.out / "settings.json"
    check_writable(kept)
    if kept.exists() and json.loads(kept.read_text()) != settings:
        raise InputError(f"{str(args.out)!r} holds results of other settings. Give another --out.")
    write_whole(kept, json.dumps(settings).encode())
    missing = [own for own in LINEARITY if not (args.out / f"{own}.json").exists()]
    together = len(missing) if torch.cuda.is_available() else 1
    for place in range(0, len(missing), max(together, 1)):
        train(args, missing[place : place + together])
    figures = {own: json.loads((args.out / f"{own}.json").read_text()) for own in LINEARITY}
    results = {"settings": settings, "versions": package_versions(), "variants": figures}
    write_whole(args.out / "results.json", (json.dumps(results) + "\n").encode())
    text = table(results)
    write_whole(args.out / "table.md", text.encode())
    draw_levels(results, args.out / "levels.png")
    networks = {own: args.out / own / f"iter_{args.iters}.pth" for own in LINEARITY}
    draw_examples(
        networks, args.data / "images/val", args.out / "blur.jpg", args.out / "deblur.jpg"
    )
    print(f"{text}\nAll is in {args.out}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="holds images/train and images/val"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--iters", type=int, default=4000, help="of the training; default: 4000")
    parser.add_argument(
        "--channels", type=int, nargs="+", default=[64, 128, 256, 512, 1024],
        help="of the encoder's stages; default: the paper's",
    )  # fmt: skip
    parser.add_argument("--crop", type=int, default=128, help="side of the crops; default: 128")
    parser.add_argument("--batch", type=int, default=16, help="images a step, of 4 crops each")
    parser.add_argument(
        "--val-images", type=int, help="validate on the first so many; default: all"
    )
    parser.add_argument("--workers", type=int, default=4, help="data-loader workers of a training")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    args.data, args.out = args.data.absolute(), args.out.absolute()
    try:
        run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
