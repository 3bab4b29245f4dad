"""Images and labels that cannot be used end in a message that names the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from small_runs import SIZE, dataset_cfg, write_images

from mmseg_robust.engine.hooks.dataset_checks import check_sampled_labels
from mmseg_robust.errors import InputError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_images(tmp_path, 2)
    return tmp_path


def check(data: Path) -> None:
    with DefaultScope.overwrite_default_scope("mmseg"):
        check_sampled_labels(DATASETS.build(dataset_cfg(data)), 4, 255)


def refused(data: Path) -> str:
    with pytest.raises(InputError) as caught:
        check(data)
    return str(caught.value)


def test_good_files_pass(data: Path) -> None:
    check(data)


@pytest.mark.parametrize("name", ["images/train/1.jpg", "labels/train/1.png"])
@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_unreadable_file(data: Path, name: str, content: bytes) -> None:
    (data / name).write_bytes(content)
    assert f"'{data / name}' cannot be read" in refused(data)


def test_label_in_colours(data: Path) -> None:
    path = data / "labels/train/1.png"
    Image.fromarray(np.zeros((SIZE, SIZE, 3), np.uint8)).save(path)
    assert f"'{path}' has the shape (48, 48, 3)" in refused(data)


def test_label_of_another_size(data: Path) -> None:
    path = data / "labels/train/1.png"
    Image.fromarray(np.zeros((SIZE, SIZE // 2), np.uint8)).save(path)
    message = refused(data)
    assert f"'{path}' is 24x48 pixels" in message
    assert "1.jpg' 48x48" in message
