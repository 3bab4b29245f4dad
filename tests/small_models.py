"""Small stock networks and runs on random data, for the tests."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn as nn
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

BACKBONES: dict[str, dict[str, Any]] = {
    'mit': dict(
        type='MixVisionTransformer', embed_dims=8, num_stages=4, num_layers=[1, 2, 1, 1],
        num_heads=[1, 2, 2, 4], sr_ratios=[8, 4, 2, 1], drop_path_rate=0.1, drop_rate=0.1,
    ),
    'swin': dict(
        type='SwinTransformer', pretrain_img_size=64, embed_dims=8, depths=[1, 2, 1, 1],
        num_heads=[1, 2, 2, 4], window_size=2, drop_path_rate=0.1,
    ),
    'twins-pcpvt': dict(
        type='PCPVT', embed_dims=[8, 8, 16, 16], num_heads=[1, 1, 2, 2], depths=[2, 2, 2, 2],
        mlp_ratios=[2, 2, 2, 2], norm_after_stage=False,
    ),
    'twins-svt': dict(
        type='SVT', embed_dims=[8, 8, 16, 16], num_heads=[1, 1, 2, 2], depths=[2, 2, 2, 2],
        windiow_sizes=[2, 2, 2, 2], mlp_ratios=[2, 2, 2, 2], sr_ratios=[4, 2, 1, 1],
    ),
    'resnet': dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, norm_eval=False),
    'convnext': dict(
        type='mmpretrain.ConvNeXt', arch=dict(depths=[1, 2, 1, 1], channels=[8, 8, 16, 16]),
        out_indices=[0, 1, 2, 3], gap_before_final_norm=False,
    ),
}  # fmt: skip
SMALL_BACKBONES = tuple(BACKBONES)


def build_backbone(name: str, training: bool = True, seed: int = 0, **changes: Any) -> nn.Module:
    """Build a small backbone with random weights; ConvNeXt needs MMPretrain."""
    if name == "convnext":
        import mmpretrain.models  # noqa: F401  (registers the type)
    torch.manual_seed(seed)
    backbone = MODELS.build(dict(copy.deepcopy(BACKBONES[name]), **changes))
    backbone.train(training)  # returns None in the stock ResNet
    return backbone


def segformer_cfg(**backbone: Any) -> dict[str, Any]:
    """Config of a SegFormer of 8 to 32 channels and 4 classes, for images of 64 x 64."""
    norm = dict(type="BN", requires_grad=True)
    return dict(
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(
            type='mmseg.SegDataPreProcessor', mean=[127.5] * 3, std=[64.0] * 3, bgr_to_rgb=True,
            pad_val=0, seg_pad_val=255, size=(64, 64),
        ),
        backbone=dict(BACKBONES['mit'], _scope_='mmseg', **backbone),
        decode_head=dict(
            type='mmseg.SegformerHead', in_channels=[8, 16, 16, 32], in_index=[0, 1, 2, 3],
            channels=16, dropout_ratio=0.1, num_classes=4, norm_cfg=norm, align_corners=False,
            loss_decode=dict(type='mmseg.CrossEntropyLoss'),
        ),
        test_cfg=dict(mode='whole'),
    )  # fmt: skip


def one_stage(model: dict[str, Any]) -> dict[str, Any]:
    """The config with the first stage alone: what ``torch.compile`` traces in seconds."""
    model["backbone"].update(
        num_stages=1, num_layers=[1], num_heads=[1], patch_sizes=[7], strides=[4], sr_ratios=[8],
        out_indices=(0,),
    )  # fmt: skip
    model["decode_head"].update(in_channels=[8], in_index=[0])
    return model


class RandomScenes(Dataset):
    """Images whose brightness tells the class of each quadrant, plus noise; made in memory."""

    def __init__(self, length: int = 64, size: int = 64) -> None:
        self.length = length
        self.size = size
        self.metainfo = dict(classes=("a", "b", "c", "d"), palette=[[0, 0, 0]] * 4)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        quadrants = torch.randint(0, 4, (2, 2), generator=generator)
        label = quadrants.repeat_interleave(self.size // 2, 0).repeat_interleave(self.size // 2, 1)
        noise = torch.randint(0, 60, (3, self.size, self.size), generator=generator)
        sample = SegDataSample(
            metainfo=dict(
                img_shape=(self.size,) * 2, ori_shape=(self.size,) * 2, img_path=f"{index}.png"
            )
        )
        sample.gt_sem_seg = PixelData(data=label[None].long())
        return dict(inputs=(label * 60 + noise).to(torch.uint8), data_samples=sample)


def runner_cfg(work_dir: str, iters: int = 6, **changes: Any) -> dict[str, Any]:
    """Arguments of a Runner that trains the small SegFormer on random scenes on the CPU."""
    cfg: dict[str, Any] = dict(
        model=segformer_cfg(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=RandomScenes(), batch_size=4, num_workers=0,
            sampler=dict(type='InfiniteSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=iters * 100),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=iters),
            logger=dict(type='LoggerHook', interval=100),
        ),
        randomness=dict(seed=0),
        default_scope='mmseg',
        experiment_name=f'run-{abs(hash(str(work_dir)))}',
    )  # fmt: skip
    return dict(cfg, **changes)


def train(work_dir: str, **changes: Any) -> Runner:
    """Train the small SegFormer and return its runner."""
    runner = Runner(**runner_cfg(work_dir, **changes))
    runner.train()
    return runner


def weights(runner: Runner) -> dict[str, torch.Tensor]:
    """A copy of the trained model's state, on the CPU."""
    return {k: v.detach().cpu().clone() for k, v in runner.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two states have the same keys and equal values to the bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
