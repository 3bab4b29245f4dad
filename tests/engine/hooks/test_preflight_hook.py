"""Wrong data and wrong checkpoints end in one clear message before training."""

from __future__ import annotations

import copy
import itertools
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image
from small_runs import SIZE, dataset_cfg, run_cfg, write_images

from mmseg_robust.engine.hooks.preflight_hook import PreflightHook, check_config
from mmseg_robust.errors import InputError

NAMES = (f"preflight-{number}" for number in itertools.count())
NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)


class CountIterations(Hook):
    """Tells whether a run got as far as training."""

    def __init__(self) -> None:
        self.count = 0

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.count += 1


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clean")
    write_images(root, 20)
    write_images(root, 2, "val")
    return root


@pytest.fixture
def data(clean: Path, tmp_path: Path) -> Path:
    """A data set that a test may spoil."""
    return Path(shutil.copytree(clean, tmp_path / "data"))


def make_runner(cfg: dict[str, Any], work_dir: Path, **changes: Any) -> Runner:
    cfg = dict(copy.deepcopy(cfg), work_dir=str(work_dir), experiment_name=next(NAMES))
    cfg.setdefault("custom_hooks", [PreflightHook()])
    cfg["default_hooks"]["visualization"] = dict(type="SegVisualizationHook")
    return Runner(**ConfigDict(cfg, **changes))


def train(cfg: dict[str, Any], work_dir: Path, **changes: Any) -> int:
    """Train; returns the number of iterations done."""
    counter = CountIterations()
    make_runner(cfg, work_dir, custom_hooks=[PreflightHook(), counter], **changes).train()
    return counter.count


def refuse(
    cfg: dict[str, Any], work_dir: Path, *words: str, iterations: int = 0, **changes: Any
) -> None:
    """A training that must end in an InputError which holds some words, after few iterations."""
    counter = CountIterations()
    runner = make_runner(cfg, work_dir, custom_hooks=[PreflightHook(), counter], **changes)
    with pytest.raises(InputError) as caught:
        runner.train()
    assert counter.count == iterations
    holds(caught.value, *words)


def holds(error: Exception, *words: str) -> None:
    for word in words:
        assert word in str(error)


def refuse_config(cfg: dict[str, Any], *words: str, training: bool = True) -> None:
    with pytest.raises(InputError) as caught:
        check_config(Config(cfg), training)
    holds(caught.value, *words)


def spoil_label(data: Path, name: str, value: int) -> Path:
    path = data / "labels/train" / name
    Image.fromarray(np.full((SIZE, SIZE), value, np.uint8)).save(path)
    return path


def test_a_good_run_passes_and_draws_nothing(clean: Path, tmp_path: Path) -> None:
    cfg = run_cfg(clean, iters=2)
    check_config(Config(cfg), training=True)
    check_config(Config(cfg), training=False)
    states = []
    for hooks in ([], [PreflightHook()]):
        make_runner(cfg, tmp_path, custom_hooks=hooks).train()
        states.append(torch.load(tmp_path / "iter_2.pth", weights_only=True)["state_dict"])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


# Data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", [None, "RepeatDataset", "ConcatDataset"])
def test_missing_root(clean: Path, tmp_path: Path, wrapper: str | None) -> None:
    cfg = run_cfg(clean)
    dataset = dataset_cfg(tmp_path / "nowhere")
    if wrapper == "RepeatDataset":
        dataset = dict(type=wrapper, times=2, dataset=dataset)
    elif wrapper == "ConcatDataset":
        dataset = dict(type=wrapper, datasets=[dataset_cfg(clean), dataset])
    cfg["train_dataloader"]["dataset"] = dataset
    refuse_config(cfg, str(tmp_path / "nowhere"), "data_root", "BaseSegDataset")
    check_config(Config(cfg), training=False)  # not needed for a test


def test_missing_folders_and_lists(data: Path) -> None:
    cfg = run_cfg(data)
    dataset = cfg["val_dataloader"]["dataset"]
    dataset["ann_file"] = "splits/val.txt"
    refuse_config(cfg, str(data / "splits/val.txt"), "ann_file")
    dataset.pop("ann_file")
    shutil.rmtree(data / "labels/val")
    refuse_config(cfg, str(data / "labels/val"), "seg_map_path")
    # Predicting needs no labels, if the pipeline loads none; a nested one still does.
    load, annotate, pack = dataset["pipeline"]
    dataset["pipeline"] = [load, pack]
    check_config(Config(cfg), training=True)
    dataset["pipeline"] = [load, dict(type="TestTimeAug", transforms=[[annotate], [pack]])]
    refuse_config(cfg, str(data / "labels/val"))


def test_stock_classes_that_fail_while_they_are_built(data: Path) -> None:
    """Cityscapes by its folders; PascalVOC asserts in its constructor."""
    cfg = run_cfg(data)
    cityscapes = dict(data_prefix=dict(img_path="leftImg8bit/train", seg_map_path="gtFine/train"))
    cfg["train_dataloader"]["dataset"] = dict(
        cityscapes, type="CityscapesDataset", data_root=str(data), pipeline=[]
    )
    refuse_config(cfg, "CityscapesDataset", str(data / "leftImg8bit/train"))
    (data / "leftImg8bit/train/aachen").mkdir(parents=True)
    refuse_config(cfg, "no images", "_leftImg8bit.png", str(data / "leftImg8bit/train"))
    voc = dict(data_prefix=dict(img_path="JPEGImages", seg_map_path="Classes"), ann_file="val.txt")
    cfg["train_dataloader"]["dataset"] = dict(
        voc, type="PascalVOCDataset", data_root=str(data), pipeline=[]
    )
    refuse_config(cfg, "PascalVOCDataset", str(data / "JPEGImages"))


def test_empty_data_set(data: Path) -> None:
    cfg = run_cfg(data)
    cfg["train_dataloader"]["dataset"]["img_suffix"] = ".tif"
    refuse_config(cfg, "no images", ".tif", str(data / "images/train"))
    (data / "empty.txt").touch()
    cfg = run_cfg(data)
    cfg["test_dataloader"]["dataset"]["ann_file"] = "empty.txt"
    refuse_config(cfg, "no images", str(data / "empty.txt"), training=False)


def test_first_missing_file(data: Path, tmp_path: Path) -> None:
    for name in ("7.png", "3.png"):
        (data / "labels/train" / name).unlink()
    cfg = run_cfg(data)
    refuse(cfg, tmp_path, str(data / "labels/train/3.png"), "2 of 40 files")
    cfg["train_dataloader"]["dataset"]["seg_map_suffix"] = "_labelTrainIds.png"
    refuse(cfg, tmp_path, "0_labelTrainIds.png", "20 of 40 files", "suffix")
    (data / "train.txt").write_text("0\nlost\n")
    cfg = run_cfg(data)
    cfg["train_dataloader"]["dataset"]["ann_file"] = "train.txt"
    refuse(cfg, tmp_path, str(data / "images/train/lost.jpg"))


def test_label_values_in_a_sample_of_files(data: Path, tmp_path: Path) -> None:
    path = spoil_label(data, "9.png", 4)
    cfg = run_cfg(data, **NO_VALIDATION)
    refuse(cfg, tmp_path, str(path), "the value 4", "0 to 3", "255")
    wrapped = dict(type="RepeatDataset", times=2, dataset=dataset_cfg(data))
    cfg["train_dataloader"]["dataset"] = wrapped
    refuse(cfg, tmp_path, str(path))
    # As the data set loads them: 4 becomes 3, and 0 becomes ignored.
    spoil_label(data, "9.png", 0)
    for index in range(20):
        spoil_label(data, f"{index}.png", index % 5)
    cfg = run_cfg(data, iters=1, **NO_VALIDATION)
    cfg["train_dataloader"]["dataset"]["reduce_zero_label"] = True
    assert train(cfg, tmp_path) == 1
    cfg["train_dataloader"]["dataset"]["reduce_zero_label"] = False
    refuse(cfg, tmp_path, "the value 4")


def test_label_values_in_the_first_pass(data: Path, tmp_path: Path) -> None:
    """A file that is not in the sample, seen in the fourth batch of two."""
    paths = sorted(path.name for path in (data / "images/train").iterdir())
    sampled = np.linspace(0, 19, 16).round().astype(int)
    position = next(index for index in (6, 7) if index not in sampled)
    path = spoil_label(data, paths[position].replace("jpg", "png"), 77)
    cfg = run_cfg(data, iters=20, **NO_VALIDATION)
    cfg["train_dataloader"]["sampler"]["shuffle"] = False
    refuse(cfg, tmp_path, str(path), "the value 77", iterations=3)


def test_labels_are_read_during_the_first_pass_only(clean: Path, tmp_path: Path) -> None:
    hook = PreflightHook()
    runner = make_runner(run_cfg(clean, iters=11, **NO_VALIDATION), tmp_path, custom_hooks=[hook])
    runner.train()
    assert hook._unchecked == 0  # 20 images in 10 batches of two


def test_class_count(clean: Path, tmp_path: Path) -> None:
    cfg = run_cfg(clean)
    cfg["model"]["decode_head"]["num_classes"] = 19
    refuse(cfg, tmp_path, "num_classes=19", "decode_head", "4 classes", "num_classes=4")
    cfg = run_cfg(clean)
    cfg["model"]["auxiliary_head"] = dict(
        cfg["model"]["decode_head"], type="FCNHead", in_channels=8, in_index=0, num_classes=3
    )
    refuse(cfg, tmp_path, "num_classes=3", "auxiliary_head")


# Checkpoints ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    make_runner(run_cfg(clean, iters=1, **NO_VALIDATION), folder).train()
    return folder / "iter_1.pth"


def larger(cfg: dict[str, Any], **backbone: Any) -> dict[str, Any]:
    """The config of another architecture."""
    cfg = copy.deepcopy(cfg)
    cfg["model"]["backbone"].update(backbone)
    return cfg


def test_missing_checkpoint(clean: Path, tmp_path: Path) -> None:
    cfg = run_cfg(clean, load_from="nowhere.pth")
    refuse(cfg, tmp_path, "'nowhere.pth' does not exist")
    with pytest.raises(InputError, match=re.escape("'nowhere.pth' does not exist")):
        make_runner(cfg, tmp_path).test()


def test_fine_tuning_with_other_classes(
    data: Path, checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = run_cfg(data, iters=1, load_from=str(checkpoint), **NO_VALIDATION)
    cfg["model"]["decode_head"]["num_classes"] = 5
    metainfo = dict(classes=tuple("abcde"), palette=[[0] * 3] * 5)
    cfg["train_dataloader"]["dataset"]["metainfo"] = metainfo
    runner = make_runner(cfg, tmp_path)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    (warning,) = (text for text in warnings if "Not all of the checkpoint" in text)
    assert "2 tensors with another shape" in warning
    assert "decode_head.conv_seg.weight: (4, 8, 1, 1) for (5, 8, 1, 1)" in warning


def test_training_from_another_architecture(clean: Path, checkpoint: Path, tmp_path: Path) -> None:
    cfg = larger(run_cfg(clean, load_from=str(checkpoint)), embed_dims=16)
    cfg["model"]["decode_head"]["in_channels"] = [16] * 4
    refuse(cfg, tmp_path, str(checkpoint), "another architecture", "with another shape")
    # A bare backbone, as ImageNet checkpoints are: nothing has a name that fits.
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    bare = {key[9:]: value for key, value in state.items() if key.startswith("backbone.")}
    torch.save(bare, tmp_path / "bare.pth")
    refuse(run_cfg(clean, load_from=str(tmp_path / "bare.pth")), tmp_path, "init_cfg")
    # The same names with the prefix of DistributedDataParallel are fine.
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "ddp.pth")
    cfg = run_cfg(clean, iters=1, load_from=str(tmp_path / "ddp.pth"), **NO_VALIDATION)
    assert train(cfg, tmp_path / "work") == 1


def test_testing_another_architecture(clean: Path, checkpoint: Path, tmp_path: Path) -> None:
    cfg = run_cfg(clean, load_from=str(checkpoint))
    assert make_runner(cfg, tmp_path).test()["mIoU"] >= 0

    def refuse_test(cfg: dict[str, Any], *words: str) -> None:
        with pytest.raises(InputError) as caught:
            make_runner(cfg, tmp_path).test()
        holds(caught.value, str(checkpoint), "another architecture", *words)

    refuse_test(larger(cfg, num_layers=[1, 2, 1, 1]), "missing", "backbone.layers.1.1.1.norm1")
    # All tensors of a smaller model are in a larger one's checkpoint: its numbers would be wrong.
    cfg["model"]["backbone"]["num_stages"] = 3
    cfg['model']['backbone'].update(
        num_layers=[1, 1, 1], num_heads=[1] * 3, sr_ratios=[8, 4, 2], out_indices=(0, 1, 2, 2),
        strides=[4, 2, 2], patch_sizes=[7, 3, 3],
    )  # fmt: skip
    cfg["model"]["decode_head"].update(in_channels=[8] * 4, in_index=[0, 1, 2, 2])
    refuse_test(cfg, "not in the model", "backbone.layers.3")


def test_resuming_another_architecture(clean: Path, checkpoint: Path, tmp_path: Path) -> None:
    cfg = larger(run_cfg(clean, **NO_VALIDATION), num_layers=[1, 1, 1, 2])
    (tmp_path / "last_checkpoint").write_text(str(checkpoint))
    refuse(cfg, tmp_path, str(checkpoint), "model to resume", "backbone.layers.3", resume=True)


def test_resuming_after_a_crash_while_saving(clean: Path, checkpoint: Path, tmp_path: Path) -> None:
    """The newest file is cut off and ``last_checkpoint`` names one that was deleted."""
    shutil.copy(checkpoint, tmp_path / "iter_1.pth")
    (tmp_path / "iter_2.pth").write_bytes(checkpoint.read_bytes()[:5000])
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_0.pth"))
    assert train(run_cfg(clean, iters=3, **NO_VALIDATION), tmp_path, resume=True) == 2
    broken = str(tmp_path / "cut.pth")
    Path(broken).write_bytes(checkpoint.read_bytes()[:5000])
    refuse(run_cfg(clean, load_from=broken), tmp_path, f"'{broken}' cannot be read")


def test_pretrained_backbone(clean: Path, checkpoint: Path, tmp_path: Path) -> None:
    def cfg(path: Any, **backbone: Any) -> dict[str, Any]:
        init_cfg = dict(type="Pretrained", checkpoint=str(path), prefix="backbone.")
        return larger(run_cfg(clean, iters=1, **NO_VALIDATION), init_cfg=init_cfg, **backbone)

    refuse(cfg(tmp_path / "nowhere.pth"), tmp_path, "nowhere.pth' does not exist")
    refuse(cfg(checkpoint, num_layers=[4] * 4), tmp_path, str(checkpoint), "init_cfg")
    assert train(cfg(checkpoint), tmp_path) == 1


def test_resuming_weights_alone(clean: Path, checkpoint: Path, tmp_path: Path) -> None:
    weights = str(tmp_path / "weights.pth")
    torch.save({"state_dict": torch.load(checkpoint)["state_dict"]}, weights)
    cfg = run_cfg(clean, load_from=weights, **NO_VALIDATION)
    refuse(cfg, tmp_path, f"'{weights}' cannot be resumed", resume=True)


@pytest.mark.parametrize("unit", ["iter", "epoch"])
def test_resuming_past_the_end(clean: Path, checkpoint: Path, tmp_path: Path, unit: str) -> None:
    """``--resume`` with ``load_from`` on the command line of a shorter run would train nothing."""
    content = torch.load(checkpoint, weights_only=False)
    content["meta"][unit] = 5
    torch.save(content, longer := str(tmp_path / "longer.pth"))

    def cfg(end: int) -> dict[str, Any]:
        own = run_cfg(clean, iters=end, load_from=longer, **NO_VALIDATION)
        if unit == "epoch":
            own["train_cfg"] = dict(by_epoch=True, max_epochs=end)
            own["train_dataloader"]["sampler"] = dict(type="DefaultSampler", shuffle=False)
        return own

    refuse(cfg(4), tmp_path, f"it is of {unit} 5", f"ends at {unit} 4", resume=True)
    assert train(cfg(5), tmp_path / "again", resume=True) == 0  # a finished run, once more
    (log,) = (tmp_path / "again").rglob("*.log")
    said = f"Nothing is left to train: '{longer}' is of {unit} 5, the run's last."
    assert said in log.read_text()
