"""Stop a run that cannot succeed before it starts, with one clear message."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS, DefaultScope
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner

from mmseg_robust.engine.hooks import checkpoint_checks, dataset_checks
from mmseg_robust.engine.hooks.augmentation_checks import check_augmentations
from mmseg_robust.errors import InputError


def check_config(cfg: Config, training: bool) -> None:
    """Check what can be known before the runner is built: data sets that would fail to build.

    The project's tools call it; with MMSegmentation's own tools :class:`PreflightHook` checks what
    it can once the data sets are built.

    Args:
        cfg (Config): The whole config.
        training (bool): Whether the training and validation sets will be used, or the test set.

    Raises:
        InputError: If a folder is missing or empty, or the checkpoint is missing.
    """
    if cfg.get("load_from") is not None:
        checkpoint_checks.check_file(cfg.load_from)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        for split in ("train", "val") if training else ("test",):
            loader = cfg.get(f"{split}_dataloader") or {}
            for dataset in dataset_checks.leaf_configs(loader.get("dataset")):
                dataset_checks.check_dataset_config(dataset)


@HOOKS.register_module()
class PreflightHook(Hook):
    """Check data, model and checkpoint against each other.

    Before the first iteration: every listed image and label file exists; the model has as many
    classes as the data sets; frequency maps to train with are of the same classes; some labels of
    each data set hold allowed values; the checkpoint to load exists and is of the model's
    architecture (for a test or a resumed run wholly; for a training that starts from it all of the
    backbone, and a warning names the rest); so is a local file that the backbone's ``init_cfg``
    loads. A run to be resumed finds its newest readable checkpoint.
    During the first pass over the data: the labels of every batch, on the CPU.

    Raises:
        InputError: At the first thing that is wrong.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._training: bool | None = None
        self._unchecked = 0

    def before_run(self, runner: Runner) -> None:
        """Check everything but the tensors of the checkpoint."""
        self._training = isinstance(runner._train_loop, BaseLoop)
        self._find_checkpoint(runner)
        if self._training:
            backbone = getattr(_bare_model(runner), "backbone", None)
            for warning in checkpoint_checks.check_pretrained(backbone) if backbone else ():
                runner.logger.warning(warning)
        for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
            if not isinstance(loop, BaseLoop):  # still a config: not part of this run
                continue
            for dataset in dataset_checks.leaf_datasets(loop.dataloader.dataset):
                _check_dataset(dataset, _bare_model(runner))
        if self._training:
            check_augmentations(runner.train_dataloader.dataset, _bare_model(runner))

    def _find_checkpoint(self, runner: Runner) -> None:
        """Make sure that the checkpoint, if any, can be read."""
        if runner._load_from is None and runner._resume:
            runner._load_from, warning = checkpoint_checks.find_resumable(runner.work_dir)
            if warning:
                runner.logger.warning(warning)
        elif runner._load_from is not None and "://" not in runner._load_from:
            checkpoint_checks.read(runner._load_from)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the tensors of a checkpoint before they are loaded."""
        if self._training is None:  # loaded by hand, outside of a run
            return
        result = checkpoint_checks.compare(_bare_model(runner).state_dict(), checkpoint)
        path = str(runner._load_from)
        if not self._training:
            checkpoint_checks.check_whole(result, path, "test")
        elif runner._resume:
            warning = _check_resumable(checkpoint, path, runner.train_loop)
            if warning:
                runner.logger.warning(warning)
            checkpoint_checks.check_whole(result, path, "resume")
        else:
            warning = checkpoint_checks.check_start(result, path)
            if warning:
                runner.logger.warning(warning)

    def before_train(self, runner: Runner) -> None:
        """Start the first pass over the data."""
        self._unchecked = math.ceil(len(runner.train_dataloader.dataset) / get_world_size())

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Check the labels of a batch, until all data was seen once."""
        if self._unchecked <= 0 or not isinstance(data_batch, dict):
            return
        samples = data_batch.get("data_samples") or ()
        self._unchecked -= len(samples)
        head = _head(_bare_model(runner))
        for sample in samples if head is not None else ():
            labels = sample.gt_sem_seg.data if "gt_sem_seg" in sample else None
            if labels is not None and not labels.is_cuda:  # no synchronisation with the GPU
                path = sample.get("seg_map_path")
                dataset_checks.check_label_values(labels, *_allowed_labels(head), path)


def _check_resumable(checkpoint: dict, path: str, loop: BaseLoop) -> str:
    """Raise an InputError if a checkpoint holds no state of a run or is past the end of this one.

    The second happens where the start of a fine-tuning run is resumed from: the run would end at
    once, with those weights for its own. At the very end it is a warning, which is returned.
    """
    missing = [key for key in ("meta", "message_hub") if key not in checkpoint]
    if missing:
        raise InputError(
            f"The checkpoint '{path}' cannot be resumed: it lacks {', '.join(missing)}, as weights "
            "alone do. Start a training from it: load_from without --resume."
        )
    unit = "epoch" if isinstance(loop, EpochBasedTrainLoop) else "iter"
    end = loop.max_epochs if unit == "epoch" else loop.max_iters
    reached = checkpoint["meta"].get(unit)
    if reached is not None and reached > end:
        raise InputError(
            f"The checkpoint '{path}' cannot be resumed: it is of {unit} {reached}, and this run "
            f"ends at {unit} {end}. To start from its weights, give it as load_from without "
            "--resume; to train further, give the run a later end."
        )
    if reached == end:
        return f"Nothing is left to train: '{path}' is of {unit} {end}, the run's last."
    return ""


def _bare_model(runner: Runner) -> torch.nn.Module:
    """The segmentor inside the wrappers of distributed runs and test-time augmentation."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return model.module if isinstance(model, BaseTTAModel) else model


def _heads(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield names and heads that know a number of classes, the one that predicts first."""
    for name in ("decode_head", "auxiliary_head"):
        heads = getattr(model, name, None)
        # A cascade holds its heads in a list; the last one predicts.
        for head in reversed(heads) if isinstance(heads, torch.nn.ModuleList) else [heads]:
            if getattr(head, "num_classes", None) is not None:
                yield name, head


def _head(model: torch.nn.Module) -> Any:
    return next((head for _, head in _heads(model)), None)


def _allowed_labels(head: Any) -> tuple[int, int]:
    """Number of classes that labels may hold, and the ignored value."""
    # One class is a sigmoid over background (0) and foreground (1).
    return max(head.num_classes, 2), getattr(head, "ignore_index", 255)


def _check_dataset(dataset: Any, model: torch.nn.Module) -> None:
    """Run all checks on a data set that is built."""
    dataset_checks.check_files(dataset)
    classes = dataset.metainfo.get("classes")
    for name, head in _heads(model):
        if classes and len(classes) not in (head.num_classes, _allowed_labels(head)[0]):
            raise InputError(
                f"num_classes={head.num_classes} of the {name} does not fit "
                f"{type(dataset).__name__}, which has {len(classes)} classes. "
                f"Set model.{name}.num_classes={len(classes)}."
            )
    head = _head(model)
    if head is None:
        print_log(
            "PreflightHook: the model has no head with num_classes; labels are not checked.",
            "current",
        )
        return
    dataset_checks.check_sampled_labels(dataset, *_allowed_labels(head))
