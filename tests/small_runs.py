"""Small training and test runs from config files and images on disk, for the tests."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, Any

import mmengine.device.utils
import mmengine.runner.runner
import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("a", "b", "c", "d")
SIZE = 48


def write_images(root: Path, count: int = 8, split: str = "train") -> None:
    """Write images whose columns show the class, with noise, and their labels; 255 in a corner."""
    for kind in ("images", "labels"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(split))
    for index in range(count):
        label = np.repeat(random.permutation(4).astype(np.uint8), SIZE // 4)[None].repeat(SIZE, 0)
        image = label[..., None] * 60 + random.integers(0, 60, (SIZE, SIZE, 3))
        label = label.copy()
        label[:4, :4] = 255
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / split / f"{index}.jpg")
        Image.fromarray(label).save(root / "labels" / split / f"{index}.png")


def dataset_cfg(root: Path, split: str = "train") -> dict[str, Any]:
    """Config of the data set that :func:`write_images` wrote."""
    augment: list[dict[str, Any]] = [
        dict(type="RandomCrop", crop_size=(32, 32)),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PhotoMetricDistortion"),
    ]
    return dict(
        type="BaseSegDataset",
        metainfo=dict(classes=CLASSES, palette=[[index] * 3 for index in range(4)]),
        data_root=str(root),
        serialize_data=False,
        data_prefix=dict(img_path=f"images/{split}", seg_map_path=f"labels/{split}"),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            *(augment if split == "train" else []),
            dict(type="PackSegInputs"),
        ],
    )


def run_cfg(root: Path, iters: int = 6, workers: int = 0, **changes: Any) -> dict[str, Any]:
    """Config of a run that trains a tiny SegFormer, with dropout and drop path, on 32x32 crops."""
    head = dict(
        type='SegformerHead', in_channels=[8, 8, 8, 8], in_index=[0, 1, 2, 3], channels=8,
        dropout_ratio=0.1, num_classes=4, norm_cfg=dict(type='SyncBN', requires_grad=True),
        align_corners=False, loss_decode=dict(type='CrossEntropyLoss'),
    )  # fmt: skip
    backbone = dict(
        type='MixVisionTransformer', embed_dims=8, num_stages=4, num_layers=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1], sr_ratios=[8, 4, 2, 1], drop_path_rate=0.2, drop_rate=0.1,
    )  # fmt: skip
    loader = dict(batch_size=1, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False))
    cfg: dict[str, Any] = dict(
        default_scope='mmseg',
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor', mean=[127.5] * 3, std=[64.0] * 3, bgr_to_rgb=True,
                pad_val=0, seg_pad_val=255, size=(32, 32), test_cfg=dict(size_divisor=16),
            ),
            backbone=backbone,
            decode_head=head,
            test_cfg=dict(mode='whole'),
        ),
        train_dataloader=dict(
            batch_size=2, num_workers=workers, persistent_workers=workers > 0,
            sampler=dict(type='InfiniteSampler', shuffle=True), dataset=dataset_cfg(root),
        ),
        val_dataloader=dict(loader, dataset=dataset_cfg(root, 'val')),
        test_dataloader=dict(loader, dataset=dataset_cfg(root, 'val')),
        val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=2),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)),
        param_scheduler=[dict(type='PolyLR', eta_min=0.0, begin=0, end=iters, by_epoch=False)],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
            logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
            visualization=dict(type='SegVisualizationHook', interval=1),
        ),
        log_processor=dict(by_epoch=False),
        visualizer=dict(
            type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')],
            name='visualizer',
        ),
        env_cfg=dict(
            mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
            dist_cfg=dict(backend='nccl'),
        ),
        randomness=dict(seed=0),
    )  # fmt: skip
    cfg.update(changes)
    return cfg


def write_cfg(path: Path, cfg: dict[str, Any]) -> Path:
    """Write a config file."""
    Config(cfg).dump(path)
    return path


def environment() -> dict[str, str]:
    """Environment in which tools find the package and ``python`` is the tests' own."""
    folder = os.path.dirname(sys.executable)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PATH": os.pathsep.join([folder, os.environ["PATH"]]),
        "OMP_NUM_THREADS": "1",
    }


def call(*command: Any, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run a command and capture what it prints."""
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True, text=True, timeout=timeout, env=environment(),
    )  # fmt: skip


def python(*command: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python script."""
    return call(sys.executable, *command)


def fork(target: Callable[..., Any], *arguments: Any) -> Any:
    """Start a process on the CPU that has this one's imports already."""
    # Those too that a runner makes when it starts, or each process would make them anew.
    mmengine.runner.runner.collect_env()
    import matplotlib.backends.backend_agg  # noqa: F401

    def main() -> None:
        # It could not use a GPU that this one has looked at.
        torch.cuda.is_available = lambda: False
        mmengine.device.utils.DEVICE = "cpu"
        target(*arguments)

    process = multiprocessing.get_context("fork").Process(target=main)
    process.start()
    return process


def fork_ranks(target: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Start two processes that torch.distributed joins; they have this one's imports already."""

    def main(rank: str, held: socket.socket) -> None:
        port = str(held.getsockname()[1])
        os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2")
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        target(*arguments)

    # The ranks inherit the socket: nobody else gets its port before the first rank listens there.
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        return [fork(main, rank, held) for rank in "01"]


def run_script(path: Path, *arguments: Any) -> None:
    """Run a Python script as the main module of this process."""
    sys.argv = [str(path), *map(str, arguments)]
    runpy.run_path(str(path), run_name="__main__")


class ForkedScript:
    """Stands for ``subprocess.Popen`` where a new interpreter would prove nothing more.

    Args:
        command (list[str]): This interpreter, a script and its arguments.
        env (dict[str, str]): All variables of the process.
        stdout (IO[str]): File of both outputs.
        stderr (IO[str]): The same.
    """

    def __init__(
        self, command: list[str], *, env: dict[str, str], stdout: IO[str], stderr: IO[str]
    ) -> None:
        assert (command[0], stderr) == (sys.executable, stdout)
        self._process = fork(self._run, command[1:], env, stdout)
        self.terminate = self._process.terminate

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.exitcode

    @staticmethod
    def _run(command: list[str], env: dict[str, str], output: IO[str]) -> None:
        os.environ.clear()
        os.environ.update(env)
        with redirect_stdout(output), redirect_stderr(output):
            run_script(*command)


def run_ranks(target: Callable[..., Any], *arguments: Any) -> None:
    """Run something in two processes as :func:`fork_ranks` starts them; both must succeed."""
    ranks = fork_ranks(target, *arguments)
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0, 0]


def logged_metrics(work_dir: Path) -> dict[str, float]:
    """The numbers, without times, of the one test that logged to a work folder."""
    (path,) = work_dir.glob("2*/2*.json")
    # MMEngine's LoggerHook lets every rank write this file: the end of a longer text may be left.
    numbers, _ = json.JSONDecoder().raw_decode(path.read_text())
    return {key: value for key, value in numbers.items() if "time" not in key}


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the model's tensors from a checkpoint."""
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors have the same names and values, to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
