"""Small focal stacks and images on disk, and runs of the auto-encoder over them, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from small_auto_encoders import CHANNELS

PLANES = (0, 4, 8, 16)
SIDE = 40
UNIQUE = "d36e0477-6528-4f5c-a76a-d76d199e07c{}"


def plane_of(stack: int, plane: int) -> np.ndarray:
    """16-bit values of a plane: a smoother version of the same noise, brighter by plane."""
    noise = np.random.default_rng(stack).random((SIDE, SIDE + 8))
    smooth = cv2.GaussianBlur(noise, (0, 0), 0.3 + (16 - plane) / 4)
    return (smooth * 3000 + 100 * plane + 50).astype(np.uint16)


def write_stacks(root: Path, count: int = 4, planes: tuple[int, ...] = PLANES) -> Path:
    """Stacks as BBBC006 has them: a folder a plane, names with an end of their own."""
    for plane in planes:
        folder = root / f"BBBC006_v1_images_z_{plane:02d}"
        folder.mkdir(parents=True)
        for stack in range(count):
            name = f"a{stack:02d}_s1_w1{UNIQUE.format(plane % 10)}.tif"
            cv2.imwrite(str(folder / name), plane_of(stack, plane))
    return root


def write_images(root: Path, count: int = 4, height: int = 48, width: int = 56) -> Path:
    """Coloured noise of coarse grain, PNG, in images/train and images/val."""
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
        for index in range(count):
            random = np.random.default_rng(index + 100 * (split == "val"))
            coarse = random.integers(0, 256, (6, 7, 3), dtype=np.uint8)
            image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
            image[::4] //= 2
            cv2.imwrite(str(root / "images" / split / f"{index}.png"), image)
    return root


def stacks_cfg(root: Path, **changes: Any) -> dict[str, Any]:
    """Config of the stacks' data set."""
    return dict(type="FocalStackDataset", data_root=str(root), crop_size=32, crops=2, **changes)


def images_cfg(root: Path, split: str = "train", **changes: Any) -> dict[str, Any]:
    """Config of the images' data set."""
    prefix = dict(img_path=f"images/{split}")
    return dict(
        type="DefocusedImageDataset", data_root=str(root), data_prefix=prefix, crop_size=32,
        crops=2, **changes,
    )  # fmt: skip


def run_cfg(
    train: dict[str, Any], val: dict[str, Any], iters: int = 4, **model: Any
) -> dict[str, Any]:
    """Config of a training of a tiny auto-encoder."""
    loader = dict(num_workers=0, persistent_workers=False)
    return dict(
        default_scope="mmseg",
        model=dict(type="LinearLatentAutoEncoder", channels=list(CHANNELS), **model),
        train_dataloader=dict(
            loader, batch_size=2, dataset=train, sampler=dict(type="InfiniteSampler", shuffle=True)
        ),
        val_dataloader=dict(
            loader, batch_size=2, dataset=dict(val, test_mode=True),
            sampler=dict(type="DefaultSampler", shuffle=False),
        ),
        val_evaluator=dict(type="BlurLevelMetric"),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=iters, val_interval=iters),
        val_cfg=dict(type="ValLoop"),
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-3)),
        default_hooks=dict(
            checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2),
            logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=False),
        ),
        log_processor=dict(by_epoch=False),
        env_cfg=dict(mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0)),
        randomness=dict(seed=0),
    )  # fmt: skip
