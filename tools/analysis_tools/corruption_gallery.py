"""Draw one image in all corruptions (rows) at all severities (columns).

Example:
    python tools/analysis_tools/corruption_gallery.py --image street.png --out gallery.png
    python tools/analysis_tools/corruption_gallery.py --image street.png --out fog.png \
        --corruptions fog frost --beside-reference
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip  (first: mends what the imports below need)
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmseg_robust.corruptions import ALL_NAMES, NAMES, image_seed
from mmseg_robust.corruptions.backends import BACKENDS, Backend
from mmseg_robust.corruptions.checks import check_name
from mmseg_robust.corruptions.names import MAX_SEVERITY
from mmseg_robust.errors import InputError
from mmseg_robust.files import check_writable

TILE_WIDTH = 256  # widest tile where no scale is given
GAP = 4
FONT_SIZE = 16
NAME_WIDTH = 220  # fits the longest name
BACKGROUND, INK = "white", "black"
SEVERITIES = tuple(range(MAX_SEVERITY + 1))  # 0: the clean image

Row = tuple[str, Backend, str]
"""Text at the left, generator and corruption of a row."""


def rows_of(names: Sequence[str], beside_reference: bool) -> list[Row]:
    """The rows; with the reference one more below each corruption that it knows.

    Raises:
        InputError: If a name is unknown.
    """
    rows = []
    for name in names:
        title = check_name(name).replace("_", " ")
        rows.append((title, BACKENDS["engine"], name))
        if beside_reference and name in NAMES:
            rows.append(("  imagecorruptions", BACKENDS["imagecorruptions"], name))
    return rows


def gallery(image: np.ndarray, rows: Sequence[Row], seed: int, scale: float) -> Image.Image:
    """The whole picture; tiles are made smaller after the corruption, not before.

    Args:
        image (np.ndarray): RGB, uint8, shape (H, W, 3).
        rows (Sequence[Row]): From :func:`rows_of`.
        seed (int): Seed of the image's pixels.
        scale (float): Size of a tile over that of the image.

    Returns:
        Image.Image: RGB.

    Raises:
        InputError: If the image is too small to corrupt.
    """
    width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    head = FONT_SIZE + 2 * GAP
    size = (NAME_WIDTH + len(SEVERITIES) * (width + GAP), head + len(rows) * (height + GAP))
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_SIZE)
    lefts = [NAME_WIDTH + column * (width + GAP) for column in range(len(SEVERITIES))]
    for severity, left in zip(SEVERITIES, lefts):
        title = f"severity {severity}" if severity else "clean"
        draw.text((left + width // 2, head // 2), title, INK, font, anchor="mm")
    for number, (title, backend, name) in enumerate(rows):
        top = head + number * (height + GAP)
        draw.text((GAP, top + height // 2), title, INK, font, anchor="lm")
        for severity, left in zip(SEVERITIES, lefts):
            tile = Image.fromarray(backend.corrupt(image, name, severity, seed))
            sheet.paste(tile.resize((width, height), Image.Resampling.BOX), (left, top))
    return sheet


def read_rgb(path: Path) -> np.ndarray:
    """An image file as RGB, uint8, shape (H, W, 3).

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except OSError as error:
        raise InputError(f"The image {str(path)!r} cannot be read: {error}") from error


def draw(args: argparse.Namespace) -> None:
    """Draw what the command line asks for.

    Raises:
        InputError: If an option is wrong.
    """
    if args.scale is not None and not 0 < args.scale < math.inf:
        raise InputError(f"--scale must be a number above 0, got {args.scale}.")
    check_writable(args.out)
    rows = rows_of(args.corruptions, args.beside_reference)
    image = read_rgb(args.image)
    scale = args.scale or min(1.0, TILE_WIDTH / image.shape[1])
    sheet = gallery(image, rows, image_seed(args.seed, str(args.image)), scale)
    try:
        sheet.save(args.out)
    except (OSError, ValueError) as error:  # a ValueError tells of an unknown extension
        raise InputError(f"Cannot write {str(args.out)!r}: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, required=True, help="the image")
    parser.add_argument("--out", type=Path, required=True, help="the picture to write")
    parser.add_argument(
        "--corruptions", nargs="+", default=list(ALL_NAMES), metavar="NAME", help="default: all"
    )
    parser.add_argument(
        "--beside-reference", action="store_true",
        help="below each row the same corruption by imagecorruptions, with other random numbers",
    )  # fmt: skip
    parser.add_argument(
        "--scale", type=float,
        help=f"size of a tile over that of the image; default: tiles at most {TILE_WIDTH} wide",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed; default: 0")
    args = parser.parse_args(arguments)
    try:
        draw(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"Gallery written to {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
