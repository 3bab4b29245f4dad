"""Draw synthetic street scenes in Cityscapes' folder layout, with its 19 train ids.

With --layout camvid the layout and the 11 classes are those of CamVid, so that a model which was
trained on one of the two can be tested on the other.

Example:
    python tools/dataset_converters/synthetic_streets.py --out data/synthetic_streets \
        --train 400 --val 100
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
from mmengine.utils import ProgressBar

from mmseg_robust.datasets.synthetic_streets import draw_scene, to_camvid
from mmseg_robust.errors import InputError

CITY = "synthetic"
LAYOUTS = ("cityscapes", "camvid")
# Validation scenes are those of another collection, however many training scenes are drawn.
SEED_OFFSET = {"train": 0, "val": 1}


def scene_paths(out: Path, split: str, index: int, layout: str) -> tuple[Path, Path]:
    """Files of a scene's image and label map."""
    name = f"{CITY}_{index:06d}_000019"
    if layout == "camvid":
        return out / "images" / split / f"{name}.png", out / "labels" / split / f"{name}.png"
    return (
        out / "leftImg8bit" / split / CITY / f"{name}_leftImg8bit.png",
        out / "gtFine" / split / CITY / f"{name}_gtFine_labelTrainIds.png",
    )


def write_scene(
    out: Path, layout: str, split: str, index: int, seed: int, size: tuple[int, int]
) -> None:
    """Draw one scene, unless both files are there; each file is written in one step."""
    paths = scene_paths(out, split, index, layout)
    if all(path.exists() for path in paths):
        return
    image, label = draw_scene(2 * seed + SEED_OFFSET[split], index, size)
    if layout == "camvid":
        label = to_camvid(label)
    for path, array in zip(paths, (image[..., ::-1], label)):
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(cv2.imencode(".png", array)[1].tobytes())
        os.replace(part, path)


def draw(
    out: Path,
    counts: dict[str, int],
    size: tuple[int, int],
    seed: int,
    workers: int,
    layout: str = "cityscapes",
) -> None:
    """Draw all scenes that are missing.

    Args:
        out (Path): Root folder of the data set.
        counts (dict[str, int]): Number of scenes by split, ``train`` and ``val``.
        size (tuple[int, int]): Width and height in pixels.
        seed (int): Number of the data set, from 0. A scene depends on it, the split, its index and
            the size alone.
        workers (int): Processes.
        layout (str): One of ``LAYOUTS``; tells folders and classes. Defaults to ``'cityscapes'``.

    Raises:
        InputError: If a number is out of range.
    """
    if workers < 1 or min(counts.values()) < 0:
        raise InputError("--workers must be 1 or more, --train and --val 0 or more.")
    draw_scene(2 * seed, 0, size)  # refuses a wrong seed or size before anything is written
    jobs = [(split, index) for split, count in counts.items() for index in range(count)]
    for split, count in counts.items():
        for path in scene_paths(out, split, 0, layout)[: 2 * (count > 0)]:
            path.parent.mkdir(parents=True, exist_ok=True)
    bar = ProgressBar(len(jobs))
    with ProcessPoolExecutor(workers) as pool:
        pending = [pool.submit(write_scene, out, layout, *job, seed, size) for job in jobs]
        for job in pending:
            job.result()
            bar.update()
    print()


def parse_size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as two numbers."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="root folder of the data set")
    parser.add_argument("--train", type=int, default=400, help="training scenes (default: 400)")
    parser.add_argument("--val", type=int, default=100, help="validation scenes (default: 100)")
    parser.add_argument(
        "--size", type=parse_size, default=(512, 256), help="WIDTHxHEIGHT (default: 512x256)"
    )
    parser.add_argument("--seed", type=int, default=0, help="number of the data set (default: 0)")
    parser.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0], help="folders and classes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    args = parser.parse_args()
    try:
        counts = dict(train=args.train, val=args.val)
        draw(args.out, counts, args.size, args.seed, args.workers, args.layout)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.train} training and {args.val} validation scenes are in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
