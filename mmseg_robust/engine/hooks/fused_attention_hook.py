"""Fused attention as an MMEngine hook: any model, from ``custom_hooks`` alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmseg_robust.models.fused_attention import check_paths, fuse_attention
from mmseg_robust.models.innermost import innermost


@HOOKS.register_module()
class FusedAttentionHook(Hook):
    """Computes attention by PyTorch's fused kernels in training, validation and testing.

    For SegFormer, Twins, ViT and every other model over mmcv's ``MultiheadAttention``, which asks
    for attention weights that nobody reads; see :mod:`mmseg_robust.models.fused_attention` for what
    changes (speed, memory and rounding) and what does not (parameters, checkpoints).

    It is attached in ``before_train``, after ``EMAHook`` has copied the model, or in ``before_val``
    and ``before_test``, and removed after the same. ``RobustnessTestLoop`` and
    ``RobustnessValLoop`` need no hook: their option ``attention`` decides for what they measure.

    Args:
        modules (sequence of str): For attention that others own: paths in the model of each
            ``nn.MultiheadAttention`` whose caller uses the first of its results alone, as
            ``model.named_modules()`` gives them; under test-time augmentation those of the
            segmentor. Default: none.

    Raises:
        InputError: At construction or before the run, if a path is wrong.
    """

    priority = "NORMAL"

    def __init__(self, modules: Sequence[str] = ()) -> None:
        check_paths(modules)
        self.modules = modules
        self._during: str | None = None
        self._undo: Callable[[], None] | None = None

    def before_train(self, runner: Runner) -> None:
        """Attach to the model, which is loaded, wrapped and copied for EMA by now."""
        self._attach(runner, "training")

    def after_train(self, runner: Runner) -> None:
        """Leave the stock network."""
        self._detach()

    def before_val(self, runner: Runner) -> None:
        """Attach, unless this validation is part of a training."""
        if self._during != "training":
            self._attach(runner, "validation")

    def after_val(self, runner: Runner) -> None:
        """Leave the stock network after a validation by itself."""
        if self._during == "validation":
            self._detach()

    def before_test(self, runner: Runner) -> None:
        """Attach."""
        self._attach(runner, "testing")

    def after_test(self, runner: Runner) -> None:
        """Leave the stock network."""
        self._detach()

    def _attach(self, runner: Runner, during: str) -> None:
        self._detach()  # left by a run that ended in an exception
        count, self._undo = fuse_attention(innermost(runner.model), self.modules)
        self._during = during
        if count:
            runner.logger.info("FusedAttentionHook: %d attention modules in %s", count, during)
        else:
            runner.logger.warning(
                "FusedAttentionHook changes nothing in %s: the model has no nn.MultiheadAttention "
                "inside mmcv's MultiheadAttention, and modules=[...] names none.",
                during,
            )

    def _detach(self) -> None:
        if self._undo is not None:
            self._undo()
        self._undo = self._during = None
