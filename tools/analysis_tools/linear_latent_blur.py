"""Blur or deblur images with a trained linear-latent auto-encoder.

A level is a number from 0, most blurred, to 16, sharp. Images are taken to be of --from-level and
are brought to each --level: down to less than their own it blurs, by interpolation in the latent
space, up to more it deblurs, by extrapolation. For each image and level OUT/NAME_levelL.png is
written.

The line that it moves along needs a second picture of the scene, of level 0. With --blurred that is
the most blurred plane of a focal stack. Without, it is made of the image itself by a defocus of 10
pixels: then the true blur of a sharp image is no mystery, and the engine gives it at once, exactly
and faster.

Example:
    python tools/analysis_tools/linear_latent_blur.py blur.pth street.png --level 12 8 4 --out out
    python tools/analysis_tools/linear_latent_blur.py blur.pth z08 --from-level 8 --level 16 \
        --blurred z00 --out sharp
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip  (first: mends what the imports below need)
import torch
from PIL import Image
from torch import Tensor

from mmseg_robust.augmentations.checks import check_number
from mmseg_robust.augmentations.defocus_levels import BLURRED, SHARP, defocus_further
from mmseg_robust.augmentations.linear_latent_space import LinearLatentNetwork, load_network
from mmseg_robust.datasets.blur_levels import find_images, read_image
from mmseg_robust.errors import InputError
from mmseg_robust.files import check_writable, write_whole


def listed(paths: Sequence[Path]) -> list[Path]:
    """The files given, and the images in the folders given.

    Raises:
        InputError: If a folder holds no images, or two images have one name.
    """
    files: list[Path] = []
    for path in paths:
        found = find_images(str(path)) if path.is_dir() else [path]
        if not found:
            raise InputError(f"There are no images in {str(path)!r}.")
        files += found
    names = [file.stem for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"Two images are called {twice!r}, and so would be what is written. Give them one "
            "after the other, with an --out of its own."
        )
    return files


def read_pair(path: Path, blurred: Path | None, level: float, channels: int) -> tuple[Tensor, ...]:
    """An image and its most blurred twin, in 0..1, shape (1, C, H, W).

    Raises:
        InputError: If one cannot be read, or they differ in size.
    """
    image = read_image(str(path), channels)[None].float()
    if blurred is None:
        return image / 255, defocus_further(image, level) / 255
    twin = blurred / path.name if blurred.is_dir() else blurred
    most = read_image(str(twin), channels)[None].float()
    if most.shape != image.shape:
        raise InputError(
            f"{str(path)!r} and {str(twin)!r} differ in size: {image.shape[-1]}x{image.shape[-2]} "
            f"and {most.shape[-1]}x{most.shape[-2]} pixels. They must show the same scene."
        )
    return image / 255, most / 255


@torch.no_grad()
def brought_to(
    network: LinearLatentNetwork, image: Tensor, blurred: Tensor, share: float
) -> Image.Image:
    """The picture at a place on the line.

    Args:
        network (LinearLatentNetwork): The auto-encoder.
        image (Tensor): In 0..1, shape (1, C, H, W).
        blurred (Tensor): Of level 0, likewise.
        share (float): 0 for ``blurred``, 1 for ``image``, more to go on.

    Returns:
        Image.Image: RGB or grey.
    """
    made = network.on_line(blurred, image, image.new_tensor([share]))[0]
    pixels = made.mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels.squeeze())


def run(args: argparse.Namespace) -> int:
    """Do what the command line asks for; returns the number of pictures.

    Raises:
        InputError: If an option or a file is wrong.
    """
    levels = [check_number(level, "--level", BLURRED, SHARP) for level in args.level]
    own = check_number(args.from_level, "--from-level", BLURRED, SHARP)
    if own == BLURRED:
        raise InputError("--from-level is 0, the most blurred: there is no line to go along.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = load_network(args.checkpoint).to(device)
    files = listed(args.images)
    check_writable(args.out / "level.png")
    for number, path in enumerate(files, 1):
        pair = read_pair(path, args.blurred, own, network.in_channels)
        image, blurred = (one.to(device) for one in pair)
        for level in levels:
            buffer = io.BytesIO()
            brought_to(network, image, blurred, level / own).save(buffer, "PNG")
            write_whole(args.out / f"{path.stem}_level{level:g}.png", buffer.getvalue())
        print(f"{number}/{len(files)} {path.name}", flush=True)
    return len(files) * len(levels)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="of a LinearLatentAutoEncoder")
    parser.add_argument("images", nargs="+", type=Path, help="images, or folders of them")
    parser.add_argument(
        "--level", nargs="+", type=float, required=True, help="0, most blurred, to 16, sharp"
    )
    parser.add_argument(
        "--from-level", type=float, default=SHARP, help="the images' own; default: 16"
    )
    parser.add_argument(
        "--blurred", type=Path, metavar="PATH",
        help="the image of level 0, or the folder of those that have the images' file names; "
        "default: made of the image",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    args = parser.parse_args(arguments)
    try:
        count = run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{count} pictures written to {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
