"""Pictures that a page carries."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.page.pictures import LARGEST, worst_images


def embedded(text: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', text)
    images = [Image.open(io.BytesIO(base64.b64decode(data))) for _, data in found]
    assert [image.format.lower() for image in images if image.format] == [kind for kind, _ in found]
    return images


def test_pictures_and_files(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (10, 20, 1), np.uint8) * np.array([255, 0, 127], np.uint8)
    Image.fromarray(labels).save(tmp_path / "labels.png")
    text = worst_images(
        [
            {
                "name": "a.png", "cell": "gaussian_noise/5", "mIoU": 12.345,
                "picture": Image.fromarray(np.full((10, 20, 3), 90, np.uint8)),
                "ground_truth": tmp_path / "labels.png",
                "prediction": str(tmp_path / "labels.png"),
            }
        ]
    )  # fmt: skip
    photograph, truth, prediction = embedded(text)
    assert (photograph.format, photograph.size) == ("JPEG", (20, 10))
    assert np.array_equal(np.asarray(truth), labels), "label maps keep their colours"
    assert np.array_equal(np.asarray(prediction), labels)
    assert "gaussian noise/5, mIoU 12.3" in text
    for title in ("Picture", "Ground truth", "Prediction"):
        assert f'alt="{title} of a.png"' in text


def test_large_pictures_are_made_smaller_without_new_colours() -> None:
    labels = np.zeros((300, 2 * LARGEST + 7, 3), np.uint8)
    labels[:, ::2] = (255, 0, 0)
    (image,) = embedded(worst_images([{"prediction": Image.fromarray(labels)}]))
    assert image.width == LARGEST
    assert image.height == round(300 * LARGEST / labels.shape[1])
    colours = {tuple(colour) for colour in np.asarray(image).reshape(-1, 3).tolist()}
    assert colours <= {(0, 0, 0), (255, 0, 0)}


def test_nothing_to_show() -> None:
    assert worst_images([]) == ""
    text = worst_images([{"name": "a.png", "mIoU": None, "picture": None}])
    assert "a.png" in text and "<img" not in text


@pytest.mark.parametrize("content", [b"no image", None])
def test_unreadable_pictures(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"picture .*bad.png' cannot be read"):
        worst_images([{"picture": path}])
