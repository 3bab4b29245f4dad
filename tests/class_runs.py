"""Test runs of a small classifier on a folder of images, which needs no training."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from colour_runs import COLOURS
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

import mmseg_robust  # noqa: F401  (registers its components)

CLASSES = ("bird", "cat", "dog")
SIZE = 40
"""Side of the crops."""


def picture(index: int) -> tuple[np.ndarray, int]:
    """RGB image and class: mostly in the colour of its class, with a texture that hides it."""
    generator = np.random.default_rng(index)
    label = index % len(CLASSES)
    height, width = (56, 72) if index % 2 else (64, 50)  # the shorter edge is the other's
    field = generator.uniform(0, 1, (height // 8 + 1, width // 8 + 1)).repeat(8, 0).repeat(8, 1)
    own = field[:height, :width, None] < generator.uniform(0.5, 0.8)
    other = COLOURS[(label + 1 + index // 3 % 2) % len(CLASSES)]
    image = np.where(own, COLOURS[label], other) + generator.normal(0, 25, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8), label


def write_pictures(root: Path, count: int) -> Path:
    """A folder for each class, as MMPretrain's ``CustomDataset`` reads it."""
    for index in range(count):
        image, label = picture(index)
        folder = root / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index}.png")
    return root


def pipeline() -> list[dict[str, Any]]:
    """The stock test pipeline, of smaller images."""
    return [
        dict(type="LoadImageFromFile"),
        dict(type="ResizeEdge", scale=48, edge="short"),
        dict(type="CenterCrop", crop_size=SIZE),
        dict(type="PackInputs"),
    ]


def config(root: Path, work_dir: Path, **changes: Any) -> Config:
    """A test run with the robustness loop; ``changes`` are dotted keys."""
    model = dict(
        type="ImageClassifier",
        data_preprocessor=dict(
            num_classes=len(CLASSES), mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
            to_rgb=True,
        ),
        backbone=dict(type="ResNet", depth=18, stem_channels=8, base_channels=8),
        neck=dict(type="GlobalAveragePooling"),
        head=dict(
            type="LinearClsHead", num_classes=len(CLASSES), in_channels=64,
            loss=dict(type="CrossEntropyLoss"),
        ),
    )  # fmt: skip
    cfg = Config(
        dict(
            default_scope="mmpretrain",
            model=model,
            test_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type="DefaultSampler", shuffle=False),
                dataset=dict(type="CustomDataset", data_root=str(root), pipeline=pipeline()),
            ),
            test_evaluator=dict(type="Accuracy", topk=(1, 2)),
            test_cfg=dict(type="RobustnessTestLoop", protocol="imagenet-c", cells_per_batch=25),
            work_dir=str(work_dir),
            randomness=dict(seed=0),
            env_cfg=dict(dist_cfg=dict(backend="gloo")),
            log_level="WARNING",
        )
    )
    cfg.merge_from_dict(copy.deepcopy(changes))  # which takes `_delete_` out of its argument
    return cfg


@torch.no_grad()
def build(cfg: Config) -> Runner:
    """A runner whose model picks the class with the nearest mean feature."""
    runner = Runner.from_cfg(cfg)
    model = runner.model
    while hasattr(model, "module"):  # distributed, or with test-time augmentation
        model = model.module
    model.eval()
    features = []
    for label in range(len(CLASSES)):
        crops = [picture(index)[0][8:48, 5:45] for index in range(label, 30, len(CLASSES))]
        inputs = [torch.from_numpy(crop[..., ::-1].copy()).permute(2, 0, 1) for crop in crops]
        batch = model.data_preprocessor(dict(inputs=inputs))["inputs"]
        features.append(model.extract_feat(batch)[-1].mean(0))
    means = torch.stack(features)
    scale = 4 / torch.cdist(means, means).square().max()
    if hasattr(model.head, "fc"):
        model.head.fc.weight[: len(CLASSES)] = 2 * scale * means
        model.head.fc.bias[: len(CLASSES)] = -scale * means.square().sum(1)
    return runner
