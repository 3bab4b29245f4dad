"""Test runs of a segmentor that classifies pixels by colour, which needs no training.

Run as a script it tests once and is killed after so many images.
"""

from __future__ import annotations

import copy
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmseg.registry import MODELS
from PIL import Image
from torch import Tensor, nn

import mmseg_robust  # noqa: F401  (registers its components)

CLASSES = ("road", "sky", "tree")
COLOURS = np.array([[90, 70, 110], [120, 180, 230], [60, 140, 40]], dtype=np.float32)
"""RGB of each class; channels differ, so that a swap of red and blue shows."""


@MODELS.register_module()
class PixelBackbone(nn.Module):
    """Gives the image itself as the only feature map."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (image,)


def scene(index: int, height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """One image of coloured patches with noise, RGB, and its labels, with some ignored."""
    random = np.random.default_rng(index)
    patches = random.integers(0, len(CLASSES), (4, 5))
    label = patches.repeat(-(-height // 4), 0).repeat(-(-width // 5), 1)[:height, :width]
    image = COLOURS[label] + random.normal(0, 25, (height, width, 3))
    label = label.astype(np.uint8)
    label[:6, :6] = 255
    return image.clip(0, 255).astype(np.uint8), label


def write_scenes(root: Path, count: int = 4, **size: int) -> Path:
    """Writes images and labels as PNG and returns the folder."""
    for folder in ("img", "ann"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        image, label = scene(index, **size)
        Image.fromarray(image).save(root / "img" / f"{index}.png")
        Image.fromarray(label).save(root / "ann" / f"{index}.png")
    return root


def flags_of_cudnn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool, bool]]:
    """Where steps of a model will be noted, each with cuDNN's ``benchmark`` and ``deterministic``.

    The flags are put back at the end of the test.
    """
    cudnn, seen = torch.backends.cudnn, []
    for flag in ("benchmark", "deterministic"):
        monkeypatch.setattr(cudnn, flag, False)

    def spied(name: str) -> Callable[..., Any]:
        step = getattr(BaseModel, name)

        def spy(*arguments: Any, **named: Any) -> Any:
            seen.append((name, cudnn.benchmark, cudnn.deterministic))
            return step(*arguments, **named)

        return spy

    for name in ("train_step", "test_step"):
        monkeypatch.setattr(BaseModel, name, spied(name))
    return seen


def pipeline(scale: tuple[int, int] = (80, 60)) -> list[dict[str, Any]]:
    """A stock test pipeline that resizes."""
    return [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=scale, keep_ratio=True),
        dict(type="LoadAnnotations"),
        dict(type="PackSegInputs"),
    ]


def config(root: Path, work_dir: Path, **changes: Any) -> Config:
    """Config of a test run; ``changes`` are merged in by key with dots."""
    model = dict(
        type="EncoderDecoder",
        data_preprocessor=dict(
            type="SegDataPreProcessor", mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=True,
            pad_val=0, seg_pad_val=255, test_cfg=dict(size_divisor=16),
        ),
        backbone=dict(type="PixelBackbone"),
        decode_head=dict(
            type="FCNHead", in_channels=3, channels=3, num_convs=0, concat_input=False,
            dropout_ratio=0.0, num_classes=len(CLASSES), align_corners=False,
        ),
        test_cfg=dict(mode="whole"),
    )  # fmt: skip
    dataset = dict(
        type="BaseSegDataset",
        data_root=str(root),
        img_suffix=".png",
        metainfo=dict(classes=CLASSES, palette=COLOURS.astype(int).tolist()),
        data_prefix=dict(img_path="img", seg_map_path="ann"),
        pipeline=pipeline(),
    )
    cfg = Config(
        dict(
            default_scope="mmseg",
            model=model,
            test_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type="DefaultSampler", shuffle=False),
                dataset=dataset,
            ),
            test_evaluator=dict(type="IoUMetric", iou_metrics=["mIoU"]),
            test_cfg=dict(type="RobustnessTestLoop", protocol="demo"),
            work_dir=str(work_dir),
            randomness=dict(seed=0),
            env_cfg=dict(dist_cfg=dict(backend="gloo")),
            log_level="WARNING",
        )
    )
    cfg.merge_from_dict(copy.deepcopy(changes))  # which takes `_delete_` out of its argument
    return cfg


def build(cfg: Config) -> Runner:
    """A runner whose model picks the class with the nearest colour."""
    runner = Runner.from_cfg(cfg)
    model = getattr(runner.model, "module", runner.model)
    prototypes = torch.tensor(COLOURS / 255)
    head = getattr(model, "module", model).decode_head  # a TTA model holds the segmentor
    with torch.no_grad():
        head.conv_seg.weight.copy_(2 * prototypes[..., None, None])
        head.conv_seg.bias.copy_(-prototypes.square().sum(1))
    return runner


def die_after(stored: int) -> None:
    """Ends this process by SIGKILL as soon as so many images are stored."""
    from mmseg_robust.evaluation.result_store import ResultStore

    write = ResultStore.write

    def write_and_count(self: ResultStore, *args: Any) -> None:
        write(self, *args)
        if len(list(self.folder.glob("*.npz"))) == stored:
            os.kill(os.getpid(), signal.SIGKILL)

    ResultStore.write = write_and_count  # type: ignore[method-assign]


if __name__ == "__main__":
    die_after(int(sys.argv[2]))
    build(Config.fromfile(sys.argv[1])).test()
