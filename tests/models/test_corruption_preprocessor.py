"""Corruption in the data preprocessor: right pixels, stock when off, exact after a resume."""

from __future__ import annotations

import copy
import itertools
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from small_runs import equal, load_weights, run_cfg, write_images
from torch import Tensor

from mmseg_robust.corruptions import CLEAN, corrupt
from mmseg_robust.corruptions.choice import CellChoice
from mmseg_robust.engine.hooks import RandomStateHook
from mmseg_robust.errors import InputError
from mmseg_robust.models.data_preprocessors import device_corruption
from mmseg_robust.models.data_preprocessors.device_corruption import DeviceCorruption

NAMES = (f"corruption-preprocessor-{number}" for number in itertools.count())
NOISES = ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"]
STOCK: dict[str, Any] = dict(
    mean=[100.0, 110.0, 120.0], std=[50.0, 55.0, 60.0], bgr_to_rgb=True, pad_val=0,
    seg_pad_val=255, size=(48, 64),
)  # fmt: skip
SIZES = [(48, 64), (40, 64), (48, 64), (40, 50)]


def images(sizes: list[tuple[int, int]] = SIZES) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8) for size in sizes
    ]


def batch(inputs: list[Tensor] | None = None) -> dict[str, Any]:
    inputs = images() if inputs is None else inputs
    samples = []
    for image in inputs:
        sample = SegDataSample(metainfo=dict(img_shape=tuple(image.shape[1:])))
        sample.gt_sem_seg = PixelData(data=torch.ones(1, *image.shape[1:], dtype=torch.long))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def build(**settings: Any) -> torch.nn.Module:
    return MODELS.build({"type": "CorruptionSegDataPreProcessor", **STOCK, **settings})


def stock(**settings: Any) -> torch.nn.Module:
    return MODELS.build({"type": "SegDataPreProcessor", **STOCK, **settings})


@pytest.fixture(autouse=True)
def no_run(monkeypatch: pytest.MonkeyPatch) -> MessageHub:
    """A message hub that no run has written to."""
    hub = MessageHub(next(NAMES))
    monkeypatch.setattr(MessageHub, "get_current_instance", classmethod(lambda cls: hub))
    return hub


def expected(seed: int, rank: int, iteration: int, **choice: Any) -> list[Tensor]:
    """BGR images corrupted one by one in RGB."""
    drawing = CellChoice(**choice)
    out = []
    for place, image in enumerate(images()):
        key = device_corruption.hash_parts(seed, rank, iteration, place)
        cell = drawing.draw(key)
        if cell != CLEAN:
            rgb = corrupt(image.flip(0)[None], cell.corruption, cell.severity, [key])[0]
            image = rgb.flip(0)
        out.append(image)
    return out


def test_images_are_corrupted_in_rgb_before_padding_and_normalisation() -> None:
    choice = dict(corruptions=NOISES, severities=[2, 5], prob=0.6)
    preprocessor = build(seed=3, **choice)
    for call in range(3):
        wanted = expected(3, 0, call, **choice)
        data = batch()
        before = [image.clone() for image in data["inputs"]]
        out = preprocessor(data, training=True)
        reference = stock()(batch(wanted), training=True)
        assert torch.equal(out["inputs"], reference["inputs"])
        labels = [sample.gt_sem_seg.data for sample in out["data_samples"]]
        for label, other in zip(labels, reference["data_samples"]):
            assert torch.equal(label, other.gt_sem_seg.data)
        assert all(torch.equal(*pair) for pair in zip(before, data["inputs"]))


def test_rgb_inputs_are_not_turned() -> None:
    preprocessor = build(
        prob=1.0, corruptions="impulse_noise", severities=5, channel_order="rgb", bgr_to_rgb=False
    )
    out = preprocessor(batch(), training=True)["inputs"]
    keys = [device_corruption.hash_parts(0, 0, 0, place) for place in range(4)]
    wanted = [
        corrupt(image[None], "impulse_noise", 5, [key])[0] for image, key in zip(images(), keys)
    ]
    assert torch.equal(out, stock(bgr_to_rgb=False)(batch(wanted), training=True)["inputs"])


@pytest.mark.parametrize("settings, training", [(dict(prob=0), True), (dict(prob=1.0), False)])
def test_off_and_in_evaluation_it_is_the_stock_one(settings: dict, training: bool) -> None:
    same_size = images([(48, 64)] * 3)
    out = build(**settings)(batch(same_size), training=training)
    reference = stock()(batch(same_size), training=training)
    assert torch.equal(out["inputs"], reference["inputs"])


def test_it_leaves_no_trace_in_the_state_and_the_random_states() -> None:
    preprocessor = build(prob=1.0, corruptions=NOISES)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    preprocessor(batch(), training=True)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]
    assert preprocessor.state_dict() == {}
    assert dict(preprocessor.named_buffers()).keys() == dict(stock().named_buffers()).keys()
    copied = copy.deepcopy(preprocessor)  # as EMAHook does with the model
    second = preprocessor(batch(), training=True)["inputs"]
    assert torch.equal(copied(batch(), training=True)["inputs"], second)


def test_ranks_iterations_and_seeds_draw_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(rank: int = 0, calls: int = 1, **settings: Any) -> Tensor:
        monkeypatch.setattr(device_corruption, "get_rank", lambda: rank)
        preprocessor = build(prob=1.0, corruptions=NOISES, **settings)
        return [preprocessor(batch(), training=True)["inputs"] for _ in range(calls)][-1]

    results = [first(), first(rank=1), first(calls=2), first(seed=1)]
    assert torch.equal(first(), results[0])
    assert all(not torch.equal(*pair) for pair in itertools.combinations(results, 2))


def test_in_a_run_the_iteration_is_the_runners(no_run: MessageHub) -> None:
    corruption = DeviceCorruption(CellChoice(NOISES), seed=0, channel_order="bgr")
    calls = [corruption(images()) for _ in range(4)]
    no_run.update_info("loop_stage", "train")
    no_run.update_info("iter", 3)
    later = DeviceCorruption(CellChoice(NOISES), seed=0, channel_order="bgr")(images())
    assert all(torch.equal(*pair) for pair in zip(later, calls[3]))


def test_a_batch_in_one_tensor() -> None:
    stacked = torch.stack(images([(40, 50)] * 4))
    choice = CellChoice(NOISES, prob=0.5)
    one = DeviceCorruption(choice, 5, "bgr")(stacked)
    many = DeviceCorruption(choice, 5, "bgr")(list(stacked))
    assert isinstance(one, Tensor) and torch.equal(one, torch.stack(many))
    assert not torch.equal(one, stacked)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(prob=-0.1), "prob is -0.1"),
        (dict(channel_order="gbr"), "channel_order is 'gbr'"),
        (dict(bgr_to_rgb=False, rgb_to_bgr=True), "set channel_order='rgb'"),
        (dict(holdout="nothing"), "Unknown corruption 'nothing'"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(**settings)


def test_wrong_images() -> None:
    preprocessor = build(prob=1.0, corruptions=NOISES)
    for inputs, message in (
        ([image.float() for image in images()], "Corrupt before normalising"),
        ([image[:1] for image in images()], "must be a uint8 tensor"),
        ([image[:, :20] for image in images()], "at least 32 pixels"),
    ):
        with pytest.raises(InputError, match=message):
            preprocessor(batch(inputs), training=True)


def test_classification() -> None:
    pytest.importorskip("mmpretrain.models")
    settings = dict(mean=[100.0] * 3, std=[50.0] * 3, to_rgb=True)
    choice = dict(corruptions=NOISES, severities=[2, 5], prob=0.6)
    corrupting = dict(type="CorruptionClsDataPreprocessor", seed=3, **settings, **choice)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        preprocessor = ROOT_MODELS.build(corrupting)
        plain = ROOT_MODELS.build(dict(type="ClsDataPreprocessor", **settings))
    wanted = plain(dict(inputs=expected(3, 0, 0, **choice)), training=True)
    out = preprocessor(dict(inputs=images()), training=True)
    assert torch.equal(out["inputs"], wanted["inputs"])
    evaluated = preprocessor(dict(inputs=images()), training=False)
    assert torch.equal(evaluated["inputs"], plain(dict(inputs=images()))["inputs"])
    assert preprocessor.state_dict() == {}


def test_classification_without_mmpretrain(monkeypatch: pytest.MonkeyPatch) -> None:
    package = "mmseg_robust.models.data_preprocessors"
    monkeypatch.delitem(sys.modules, f"{package}.classification", raising=False)
    monkeypatch.setitem(sys.modules, "mmpretrain.models", None)
    with pytest.raises(InputError, match="needs MMPretrain"):
        ROOT_MODELS.build(dict(type="CorruptionClsDataPreprocessor"))


class Stop(Exception):
    """The end of a run that is interrupted."""


class StopAt(Hook):
    """Interrupts the run after an iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.iter + 1 == self.iteration:
            raise Stop


def test_a_resumed_run_draws_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # runs have message hubs of their own
    write_images(tmp_path / "data", 8)
    no_validation = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg = run_cfg(tmp_path / "data", iters=6, **no_validation)
    cfg["model"]["data_preprocessor"].update(type="CorruptionSegDataPreProcessor", seed=1)
    cfg["model"]["data_preprocessor"].update(prob=0.7, corruptions=NOISES)

    def train(name: str, hooks: tuple = (), **changes: Any) -> None:
        run = ConfigDict(copy.deepcopy(dict(cfg, work_dir=str(tmp_path / name), **changes)))
        run["custom_hooks"] = [RandomStateHook(), *hooks]
        Runner(**run, experiment_name=next(NAMES)).train()

    train("whole")
    with pytest.raises(Stop):
        train("parts", hooks=(StopAt(3),))
    train("parts", resume=True)
    whole, parts = (load_weights(tmp_path / name / "iter_6.pth") for name in ("whole", "parts"))
    assert equal(whole, parts)
    assert not any("data_preprocessor" in key for key in whole)
    cfg["model"]["data_preprocessor"]["prob"] = 0.0
    train("clean")
    assert not equal(whole, load_weights(tmp_path / "clean" / "iter_6.pth"))


@pytest.mark.gpu
def test_on_a_gpu_the_host_does_not_wait() -> None:
    preprocessor = build(prob=1.0, corruptions=NOISES).cuda()
    on_cpu = build(prob=1.0, corruptions=NOISES)
    data = batch([image.cuda() for image in images()])
    preprocessor(batch([image.cuda() for image in images()]), training=True)  # compiles kernels
    for name in NOISES:  # makes the tables that are kept, a severity each
        for severity in range(1, 6):
            corrupt(data["inputs"][0][None], name, severity, 0)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = preprocessor.corruption(data["inputs"])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    on_cpu.corruption(images())
    wanted = on_cpu.corruption(images())
    for one, other in zip(out, wanted):
        near = (one.cpu().int() - other.int()).abs() <= 1
        assert near.float().mean() > 0.999
