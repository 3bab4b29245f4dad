"""The gallery: which tile is where, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from colour_runs import scene
from load_tool import load_tool
from PIL import Image

from mmseg_robust.corruptions import corrupt_reference, image_seed
from mmseg_robust.corruptions.backends import corrupt_array

tool = load_tool("analysis_tools/corruption_gallery.py")
HEIGHT, WIDTH = 48, 64


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "street.png"
    Image.fromarray(scene(0, HEIGHT, WIDTH)[0]).save(path)
    return path


def tile(path: Path, row: int, severity: int, height: int, width: int) -> np.ndarray:
    left = tool.NAME_WIDTH + severity * (width + tool.GAP)
    top = tool.FONT_SIZE + 2 * tool.GAP + row * (height + tool.GAP)
    return np.array(Image.open(path))[top : top + height, left : left + width]


def test_rows_are_corruptions_and_columns_severities(image: Path, tmp_path: Path) -> None:
    out, names = tmp_path / "sheets" / "gallery.png", ["shot_noise", "gaussian_noise"]
    command = ["--image", image, "--out", out, "--corruptions", *names, "--seed", 4]
    assert tool.main(list(map(str, command))) == 0
    for row, name in enumerate(names):
        for severity in range(6):
            expected = corrupt_array(scene(0)[0], name, severity, image_seed(4, "street"))
            np.testing.assert_array_equal(tile(out, row, severity, HEIGHT, WIDTH), expected)
    sheet = np.array(Image.open(out))
    head = tool.FONT_SIZE + 2 * tool.GAP
    assert sheet.shape == (
        head + 2 * (HEIGHT + tool.GAP),
        tool.NAME_WIDTH + 6 * (WIDTH + tool.GAP),
        3,
    )
    for row in range(2):  # a name beside each row, a title above
        top = head + row * (HEIGHT + tool.GAP)
        assert sheet[top : top + HEIGHT, : tool.NAME_WIDTH].min() < 64
    assert sheet[:head].min() < 64


def test_beside_the_reference(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "gallery.png"
    command = ["--image", image, "--out", out, "--corruptions", "shot_noise", "--beside-reference"]
    assert tool.main(list(map(str, command))) == 0
    expected = corrupt_reference(scene(0)[0], "shot_noise", 3, image_seed(0, "street"))
    np.testing.assert_array_equal(tile(out, 1, 3, HEIGHT, WIDTH), expected)
    titles = [title for title, _, _ in tool.rows_of(["shot_noise", "sparkles"], True)]
    assert titles == ["shot noise", "  imagecorruptions", "sparkles"], "C-bar has no reference"


def test_scale(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "gallery.png"
    command = ["--image", image, "--out", out, "--corruptions", "shot_noise", "--scale", "0.5"]
    assert tool.main(list(map(str, command))) == 0
    assert Image.open(out).width == tool.NAME_WIDTH + 6 * (WIDTH // 2 + tool.GAP)
    full = corrupt_array(scene(0)[0], "shot_noise", 5, image_seed(0, "street"))
    expected = np.array(
        Image.fromarray(full).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BOX)
    )
    np.testing.assert_array_equal(tile(out, 0, 5, HEIGHT // 2, WIDTH // 2), expected)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--corruptions", "fogg"], "Did you mean 'fog'"),
        (["--scale", "0"], "--scale must be a number above 0"),
        (["--scale", "nan"], "--scale must be a number above 0"),
        (["--scale", "inf"], "--scale must be a number above 0"),
        (["--image", "nothing.png"], "'nothing.png' cannot be read"),
        (["--out", "gallery.xyz"], "Cannot write 'gallery.xyz'"),
    ],
)
def test_wrong_options(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture, options: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    command = ["--image", str(image), "--out", "gallery.png", "--corruptions", "shot_noise"]
    assert tool.main([*command, *options]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["street.png"]
