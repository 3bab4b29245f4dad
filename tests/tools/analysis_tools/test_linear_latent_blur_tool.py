"""The tool that blurs and deblurs images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from load_tool import load_tool
from PIL import Image
from small_auto_encoders import small_network, write_checkpoint
from small_stacks import write_images

from mmseg_robust.augmentations.defocus_levels import defocus, defocus_further
from mmseg_robust.datasets.blur_levels import read_image

tool = load_tool("analysis_tools/linear_latent_blur.py")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_images(tmp_path_factory.mktemp("data"), count=2)
    write_checkpoint(root / "blur.pth")
    return root


def call(*command: object) -> int:
    return tool.main(list(map(str, command)))


def picture(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1).float()


def expected(image: torch.Tensor, blurred: torch.Tensor, share: float) -> torch.Tensor:
    with torch.no_grad():
        made = small_network().on_line(blurred / 255, image / 255, torch.tensor([share]))
    return (made[0] * 255).round()


def test_blurs_a_folder_to_levels(data: Path, tmp_path: Path) -> None:
    images, out = data / "images/train", tmp_path / "out"
    assert call(data / "blur.pth", images, "--level", 16, 4.5, "--out", out) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"{i}_level{level}.png" for i in (0, 1) for level in ("16", "4.5")]
    image = read_image(str(images / "1.png"), 3)[None].float()
    for level in (16, 4.5):
        made = picture(out / f"1_level{level:g}.png")
        assert (made - expected(image, defocus(image, 0), level / 16)).abs().max() <= 1


def test_deblurs_alone_and_with_the_most_blurred_image(data: Path, tmp_path: Path) -> None:
    path, out = data / "images/train/0.png", tmp_path / "out"
    image = read_image(str(path), 3)[None].float()
    command = [data / "blur.pth", path, "--from-level", 8, "--level", 16, "--out", out]
    assert call(*command) == 0
    alone = expected(image, defocus_further(image, 8), 2.0)
    assert (picture(out / "0_level16.png") - alone).abs().max() <= 1
    for blurred in ("images/val", "images/val/0.png"):
        assert call(*command, "--blurred", data / blurred) == 0
        other = read_image(str(data / "images/val/0.png"), 3)[None].float()
        made = picture(out / "0_level16.png")
        assert (made - expected(image, other, 2.0)).abs().max() <= 1


def test_a_grey_auto_encoder_makes_grey_images(data: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "grey.pth", in_channels=1)
    path = data / "images/train/0.png"
    assert call(checkpoint, path, "--level", 8, "--out", tmp_path / "out") == 0
    assert Image.open(tmp_path / "out/0_level8.png").mode == "L"


def test_wrong_input(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, checkpoint = data / "images/train/0.png", data / "blur.pth"
    torch.save({"backbone.weight": torch.zeros(1)}, tmp_path / "other.pth")
    Image.new("RGB", (40, 40)).save(tmp_path / "small.png")
    (tmp_path / "empty").mkdir()
    for command, message in (
        ([checkpoint, image, "--level", 17], "--level is 17.0; it must be a number from 0 to 16"),
        ([checkpoint, image, "--level", 8, "--from-level", 0], "there is no line to go along"),
        ([checkpoint, image, "--level", 8, "--from-level", "nan"], "--from-level is nan"),
        ([tmp_path / "other.pth", image, "--level", 8], "not of a LinearLatentAutoEncoder"),
        ([checkpoint, "nothing.png", "--level", 8], "'nothing.png' cannot be read"),
        ([checkpoint, tmp_path / "empty", "--level", 8], "no images in"),
        ([checkpoint, data / "images", "--level", 8], "Two images are called '0'"),
        ([checkpoint, image, "--level", 8, "--blurred", tmp_path / "small.png"], "56x48 and 40x40"),
    ):
        assert call(*command, "--out", tmp_path / "out") == 2
        assert message in capsys.readouterr().err
