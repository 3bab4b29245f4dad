"""Small multi-view models and runs, for the tests."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import MODELS
from small_models import BACKBONES, RandomScenes, runner_cfg, segformer_cfg, weights
from torch import nn

from mmseg_robust.augmentations import BatchAugmentation

NOISE: dict[str, Any] = dict(type="GaussianNoise", sigma=0.1)
WAVES: dict[str, Any] = dict(type="FourierBasis", mean_strength=10)

FMA: dict[str, Any] = dict(type="FMATerm", weight=2.0, view="a")
STABILITY: dict[str, Any] = dict(type="StabilityTerm", weight=0.5, view="a")
JSD: dict[str, Any] = dict(type="JensenShannonTerm", weight=3.0, views=["a", "b"])
TASK: dict[str, Any] = dict(type="TaskLossTerm", weight=0.5, view="b")

EVERYTHING: dict[str, Any] = dict(
    views=dict(a=NOISE, b=WAVES),
    terms=[FMA, STABILITY, JSD, TASK],
    clean_weight=0.5,
    auxiliary_norm=["b"],
)
"""Every term at once, with auxiliary norms for one view."""


HEAD: dict[str, Any] = dict(
    in_channels=64, in_index=3, channels=8, num_classes=4, dropout_ratio=0.0, align_corners=False,
    norm_cfg=dict(type="BN", requires_grad=True), loss_decode=dict(type="mmseg.CrossEntropyLoss"),
)  # fmt: skip
"""What all heads over the small ResNet's last stage have in common."""
FCN: dict[str, Any] = dict(HEAD, type="mmseg.FCNHead", num_convs=1, concat_input=False)


class Shift(BatchAugmentation):
    """Adds the same number everywhere: an altered view that a test can write out."""

    def __init__(self, by: float = 20.0) -> None:
        self.by = by

    def augment(self, images: torch.Tensor, seeds: tuple[int, ...]) -> torch.Tensor:
        return (images + self.by).clamp(0, 255)


def still_cfg(**changes: Any) -> dict[str, Any]:
    """Config of the small SegFormer without dropout; a multi-view one if anything is changed."""
    cfg = segformer_cfg(drop_rate=0.0, drop_path_rate=0.0)
    cfg["decode_head"]["dropout_ratio"] = 0.0
    cfg["data_preprocessor"].update(size=(32, 32), mean=[120.0, 125.0, 130.0])
    return multi_view(cfg, **changes) if changes else cfg


def resnet_cfg(head: Any = FCN, **changes: Any) -> dict[str, Any]:
    """A small ResNet, which has batch norms everywhere, with a head or a cascade of heads."""
    backbone = dict(BACKBONES["resnet"], type="mmseg.ResNetV1c")
    cfg = dict(dict(still_cfg(), backbone=backbone, decode_head=head), **changes)
    cfg["type"] = "mmseg.CascadeEncoderDecoder" if isinstance(head, list) else cfg["type"]
    return cfg


def views(**changes: Any) -> dict[str, Any]:
    """Settings with two views and what is changed."""
    return dict(dict(views=dict(a=NOISE, b=WAVES)), **changes)


def multi_view(cfg: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A stock segmentor's config as a multi-view one's."""
    kind = cfg["type"].replace("mmseg.", "")
    return dict(cfg, type=f"mmseg.MultiView{kind}", **copy.deepcopy(changes))


def build(cfg: dict[str, Any], seed: int = 0) -> nn.Module:
    """Build a model from random weights, in training mode."""
    torch.manual_seed(seed)
    return MODELS.build(ConfigDict(copy.deepcopy(cfg))).train()


def batch(count: int = 2, start: int = 0, size: int = 32) -> dict[str, Any]:
    """A batch as the data loader gives it, with a few pixels to be ignored."""
    scenes = RandomScenes(size=size)
    items = [scenes[start + index] for index in range(count)]
    for item in items:
        item["data_samples"].gt_sem_seg.data[:, :5, :7] = 255
    return dict(
        inputs=[item["inputs"] for item in items],
        data_samples=[item["data_samples"] for item in items],
    )


def losses_of(model: nn.Module, data: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
    """Total loss and log of a batch."""
    return model.parse_losses(model(**model.data_preprocessor(data, True), mode="loss"))


def gradients(model: nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """Gradients of a loss by the name of the parameter."""
    named = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: g for name, g in zip(named, found) if g is not None}


def small_run(work_dir: Any, iters: int = 4, **changes: Any) -> dict[str, Any]:
    """Arguments of a Runner that trains on 32 x 32 scenes by SGD."""
    cfg = runner_cfg(work_dir, iters=iters)
    cfg["train_dataloader"].update(dataset=RandomScenes(size=32), batch_size=2)
    cfg["optim_wrapper"] = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05))
    return dict(cfg, **dict(dict(model=still_cfg(**EVERYTHING)), **changes))


def train_small(work_dir: Any, **changes: Any) -> Runner:
    """Train and return the runner."""
    runner = Runner(**small_run(work_dir, **changes))
    runner.train()
    return runner


class Record(Hook):
    """Keeps the weights and what was logged after every iteration."""

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []
        self.losses: list[dict[str, float]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.states.append(weights(runner))
        self.losses.append({name: float(value) for name, value in outputs.items()})
