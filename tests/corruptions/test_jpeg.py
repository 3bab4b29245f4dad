"""The JPEG round trip against Pillow's, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
import torch
from oracle import SIZES, batch, picture, run
from PIL import Image, features

from mmseg_robust.corruptions import jpeg
from mmseg_robust.corruptions.jpeg import jpeg_compression, jpeg_roundtrip
from mmseg_robust.errors import InputError

pytestmark = pytest.mark.skipif(
    not features.check_feature("libjpeg_turbo"), reason="Pillow is built with another libjpeg"
)
QUALITIES = (1, 2, 4, 7, 12, 20, 24, 33, 49, 50, 51, 67, 80, 92, 99, 100)


def pillow(image: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def ours(image: np.ndarray, quality: int) -> np.ndarray:
    return jpeg_roundtrip(batch(image), quality)[0].permute(1, 2, 0).numpy()


def kinds(height: int, width: int) -> Iterator[np.ndarray]:
    """A photograph, noise, black and white in each channel, and slopes of colour."""
    random = np.random.default_rng(height * width)
    yield picture("square")[90 : 90 + height, 160 : 160 + width]
    yield random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    yield random.integers(0, 2, (height, width, 3), dtype=np.uint8) * 255
    rows, columns = np.mgrid[:height, :width]
    slopes = (255 * rows / height, 255 - 255 * columns / width, 3 * rows + 2 * columns)
    yield np.stack(slopes, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", range(1, 6))
def test_the_corruption_equals_the_reference(size: str, severity: int) -> None:
    image = picture(size)
    result = jpeg_compression.apply(batch(image), severity)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(result, run(image, "jpeg_compression", severity))


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 97), (50, 61), (48, 90), (63, 64)])
def test_pixels_equal_pillows(size: tuple[int, int], quality: int) -> None:
    for image in kinds(*size):
        np.testing.assert_array_equal(ours(image, quality), pillow(image, quality))


@pytest.mark.parametrize("quality", [10, 75])
def test_every_size_in_a_block(quality: int) -> None:
    for extra in range(16):
        image = picture("wide")[100 : 148 + extra, 200 : 263 - extra]
        np.testing.assert_array_equal(ours(image, quality), pillow(image, quality))


def test_every_quality() -> None:
    image = picture("odd")[100:133, 200:235]
    for quality in range(1, 101):
        np.testing.assert_array_equal(ours(image, quality), pillow(image, quality))


@pytest.mark.parametrize(
    "weights, bias",
    [
        ((19595, 38470, 7471), 32768),
        ((-11059, -21709, 32768), 32767),
        ((32768, -27439, -5329), 32767),
    ],
)
def test_colours_on_the_verge_of_rounding(weights: tuple[int, int, int], bias: int) -> None:
    colours = np.stack(np.meshgrid(*[np.arange(256)] * 3), axis=-1).reshape(-1, 3)
    beyond = (colours @ np.array(weights) + bias) & 0xFFFF
    verge = colours[(beyond + 20) & 0xFFFF < 40]
    chosen = np.random.default_rng(0).choice(verge, 32 * 32, replace=False)
    # A block of one colour keeps it at the finest steps.
    image = chosen.reshape(32, 32, 3).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    np.testing.assert_array_equal(ours(image, 100), pillow(image, 100))


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    images = batch(picture("wide")[:91, :133], picture("wide")[200:291, 300:433])
    monkeypatch.setattr(jpeg, "_strips", lambda images: [(slice(None), 0, images.shape[2])])
    # As on a GPU: the whole batch at once.
    whole = jpeg_roundtrip(images, 15)
    monkeypatch.undo()
    monkeypatch.setattr(jpeg, "_STRIP", 1)
    assert len(list(jpeg._strips(images))) == 12
    assert torch.equal(jpeg_roundtrip(images, 15), whole)
    np.testing.assert_array_equal(
        whole[1].permute(1, 2, 0).numpy(), pillow(picture("wide")[200:291, 300:433], 15)
    )


def test_a_global_precision_of_products_does_not_matter() -> None:
    image = picture("square")[:64, :64]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        np.testing.assert_array_equal(ours(image, 30), pillow(image, 30))
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("quality", [0, 101, 50.0, "75"])
def test_bad_qualities_are_refused(quality: object) -> None:
    with pytest.raises(InputError, match="quality must be an integer from 1 to 100"):
        jpeg_roundtrip(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), quality)


def test_bad_images_are_refused() -> None:
    with pytest.raises(InputError, match="at least 32 pixels"):
        jpeg_roundtrip(torch.zeros(1, 3, 32, 31, dtype=torch.uint8), 50)


@pytest.mark.gpu
@pytest.mark.parametrize("quality", [1, 7, 25, 75, 100])
def test_cuda_is_exact_too(quality: int) -> None:
    for image in kinds(150, 211):
        result = jpeg_roundtrip(batch(image, image).cuda(), quality)
        np.testing.assert_array_equal(result[1].permute(1, 2, 0).cpu(), pillow(image, quality))
