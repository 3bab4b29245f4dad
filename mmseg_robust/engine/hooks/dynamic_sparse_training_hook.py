"""Dynamic sparse training as an MMEngine hook: any model, from ``custom_hooks`` alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmseg_robust.engine.weights.extend import call_around
from mmseg_robust.engine.weights.plain_model import plain_model
from mmseg_robust.engine.weights.sparsity.run import SparseRun
from mmseg_robust.engine.weights.sparsity.schedule import UpdateSchedule, resolve_schedule
from mmseg_robust.engine.weights.sparsity.settings import Settings
from mmseg_robust.engine.weights.sparsity.stored import StoredMasks, check_resumed
from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.schedule import Moment


@HOOKS.register_module()
class DynamicSparseTrainingHook(Hook):
    """Train with a fraction of the weights at 0, and let the set of the others change on the way.

    SET, RigL, MEST, GraNet, and a static mask as their control; see
    :mod:`mmseg_robust.engine.weights.sparsity.rules` for each one's rule, its source and what was
    read of it. arXiv 2410.03030 reports that sparsities of 0.1 to 0.5 can gain accuracy under
    corruption; docs/sparse_training.md says how much.

    Masks act right after each update of the optimizer that takes place: inactive weights and their
    optimizer state are exactly 0 from there on. Every ``interval`` updates, masks change by weights
    and by the gradients of all weights, which the ordinary backward pass gives. A step that a loss
    scaler skips changes nothing, and micro-batches of gradient accumulation are no updates.
    Clipping sees the gradients of all weights, as they are.

    Masks and counter are in the checkpoint under ``sparse_training``; a resumed run continues them.
    All else in it is stock, and keys of the model are as ever. Copies that ``EMAHook`` averages get
    the same zeros at each change of masks, so that what is evaluated and saved is as sparse. The
    log shows a table of densities at the start, and the scalars ``density`` and ``turnover`` (grown
    weights that were inactive, over all active ones) at each change.

    Args:
        sparsity (float): Fraction of the selected weights that are 0 at the end, in [0, 1). 0 is
            stock training to the bit.
        method (str): ``"set"``, ``"rigl"``, ``"mest"``, ``"granet"`` or ``"static"``. Default:
            ``"rigl"``.
        distribution (str): ``"uniform"`` or ``"erk"`` over the layers. Default: ``"uniform"`` (own
            choice: at the sparsities above ERK leaves most layers dense, of DeepLabV3+ R50 63 of 64
            at 0.1; a warning tells). GraNet's code starts with ERK.
        interval (int): Optimizer updates between two changes. Default: 100 (RigL on ImageNet; the
            codes of ITOP and GraNet take 1000 to 4000). Not used by ``"static"``.
        drop_fraction (float): Fraction of a layer's active weights that the first change drops; it
            falls by a cosine to 0 at ``end``. Default: 0.3 (RigL; ITOP and GraNet: 0.5). Not used
            by ``"static"``.
        end (int or float): The optimizer update, or fraction of the run, after which masks stay.
            Default: 0.75 (a public RigL code's rule). Not used by ``"static"``.
        init (str): First masks: ``"magnitude"`` keeps the largest weights of each layer, for models
            that start pretrained; ``"random"`` is what the papers do from scratch. Default:
            ``"magnitude"`` (own choice, because stock configs load pretrained backbones).
        growth (str, optional): ``"random"`` or ``"gradient"``, for MEST and GraNet alone. Default:
            random for MEST and gradient for GraNet, as in their codes.
        grad_weight (float, optional): MEST's lambda in the score ``|w| + lambda |gradient|`` of
            what is dropped. Default: 0, as in its code; the paper's value is not known to us.
        memory_bound (float, optional): MEST's soft bound: active weights above the target, as a
            fraction of it, which falls by a cosine to 0 at the last change. Default: 0.1.
        initial_sparsity (float, optional): GraNet's sparsity at the start. Default: 0.2, or 0 where
            ``sparsity`` is not above 0.2.
        include (sequence of str): Regular expressions; a layer is selected if one is found in its
            name. Default: all convolutions and linear layers, but for depthwise convolutions.
        exclude (sequence of str, optional): Regular expressions of layers that stay dense. Default:
            classifiers (``conv_seg``, ``head.fc``) and ``auxiliary_head``.
        seed (int): Seed of all draws. Default: 0.

    Raises:
        InputError: At construction or before training: if a value is wrong, a filter matches
            nothing, the optimizer's state cannot be masked, the model is sharded or has several
            optimizers, or the checkpoint to resume comes from other settings or another model.
    """

    priority = "NORMAL"

    def __init__(
        self,
        sparsity: float,
        method: str = "rigl",
        distribution: str = "uniform",
        interval: int = 100,
        drop_fraction: float = 0.3,
        end: Moment = 0.75,
        init: str = "magnitude",
        growth: str | None = None,
        grad_weight: float | None = None,
        memory_bound: float | None = None,
        initial_sparsity: float | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.settings = Settings(
            method, sparsity, distribution, interval, drop_fraction, end, init, growth,
            grad_weight, memory_bound, initial_sparsity, include, exclude, seed,
        )  # fmt: skip
        self.run: SparseRun | None = None
        self._resumed: StoredMasks | None = None
        self._undo: Callable[[], None] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what a checkpoint holds, if the run goes on from it.

        Raises:
            InputError: If it is of other settings, or of a run without sparse training.
        """
        if runner._resume:
            self._resumed = StoredMasks.of(checkpoint)
            check_resumed(self.settings, self._resumed)

    def before_train(self, runner: Runner) -> None:
        """Make the first masks, or those of the run that goes on; all is loaded by now.

        Raises:
            InputError: If this run cannot be trained so.
        """
        self._release()  # what a training left that ended in an exception
        resumed, self._resumed = self._resumed, None
        if sum(isinstance(hook, DynamicSparseTrainingHook) for hook in runner.hooks) > 1:
            raise InputError("custom_hooks has DynamicSparseTrainingHook twice: keep one of them")
        model = plain_model(runner, type(self).__name__)
        if self.settings.sparsity == 0:
            runner.logger.info("Sparse training: sparsity is 0, the run is the stock one")
            return
        optimizer = runner.optim_wrapper.optimizer
        self.run = SparseRun(self.settings, model, optimizer, self._schedule(runner), resumed)
        self._averaged = [
            hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook)
        ]
        self._mask_averaged()
        self._log_start(runner, self.run)
        # Not traced by torch.compile, which would compile anew for each state of the counter.
        step = torch._dynamo.disable(functools.partial(self._step, runner))
        self._undo = call_around(optimizer, "step", step)

    def after_train(self, runner: Runner) -> None:
        """Leave the stock optimizer and parameters."""
        self._release()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add masks, counter and settings."""
        if self.run is not None:
            self.run.stored().put_into(checkpoint)

    def _step(self, runner: Runner, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step and what follows it; nothing follows one that raises."""
        result = step(*args, **kwargs)
        assert self.run is not None
        # A loss scaler sets found_inf, and only on an optimizer that it calls in every case.
        change = self.run.after_step(getattr(runner.optim_wrapper.optimizer, "found_inf", None))
        if change is not None:
            self._mask_averaged()
            runner.message_hub.update_scalar("train/density", change.density)
            runner.message_hub.update_scalar("train/turnover", change.turnover)
        return result

    def _schedule(self, runner: Runner) -> UpdateSchedule | None:
        if self.settings.method == "static":
            return None
        return resolve_schedule(
            self.settings.interval,
            self.settings.drop_fraction,
            self.settings.end,
            runner.max_iters,
            getattr(runner.optim_wrapper, "_accumulative_counts", 1),
        )

    def _mask_averaged(self) -> None:
        """Mask the averages; between two changes an average of zeros stays 0 by itself."""
        assert self.run is not None
        for model in self._averaged:
            self.run.masks.apply_to(model)

    def _log_start(self, runner: Runner, run: SparseRun) -> None:
        table, warning = run.describe()
        runner.logger.info(f"Sparse training by {self.settings.method}:\n{table}")
        if warning is not None:
            runner.logger.warning(f"Sparse training: {warning}")
        runner.message_hub.update_scalar("train/density", run.density())

    def _release(self) -> None:
        if self._undo is not None:
            self._undo()
            self._undo = None
        if self.run is not None:
            self.run.masks.release()
            self.run = None
