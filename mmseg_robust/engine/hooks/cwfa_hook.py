"""CWFA as an MMEngine hook: any model, from ``custom_hooks`` alone."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmseg_robust.models.feature_augmentation.attach import AttachedCWFA
from mmseg_robust.models.feature_augmentation.cwfa import CWFA, epsilon_per_stage
from mmseg_robust.models.feature_augmentation.passes import log_norms, resolve
from mmseg_robust.models.feature_augmentation.schedule import ActiveWindow, Moment
from mmseg_robust.models.stage_outputs import ModuleSpec


@HOOKS.register_module()
class CWFAHook(Hook):
    """Channel-wise feature augmentation in training (CWFA, arXiv 2412.01941).

    After each encoder stage, before both the next stage and the head, a sample's features are
    shifted at every position by ``epsilon`` times the unit vector of their global average; see
    :mod:`mmseg_robust.models.feature_augmentation.cwfa`. Outside training, before ``begin`` and
    with ``epsilon`` or ``prob`` 0 the network is the stock one to the bit.

    The forward hooks are attached in ``before_train``, after ``EMAHook`` has copied the model, and
    removed in ``after_train``. Works with any optimizer wrapper, gradient accumulation (each
    micro-batch draws for itself), distributed training and ``torch.compile``.

    Args:
        epsilon (float or sequence of float): Norm of the shift, or one a stage. Default: 9.0, the
            paper's value for SegFormer B0 to B2; 15 for B3 to B5.
        prob (float): Probability that a sample is augmented at a stage. Default: 0.3 (paper).
        begin (int or float): First iteration, or fraction of the run, in which it acts. Default:
            0.1; the paper starts after 16,000 iterations, a tenth of SegFormer's schedule.
        end (int or float, optional): First iteration, or fraction, in which it no longer acts.
            Default: None, never.
        stages (sequence of int, optional): Stages to augment, from 0. Default: all.
        modules (sequence of str or dict, optional): For a backbone that is not known: paths in the
            model of the modules whose outputs are the stage outputs, see
            :func:`~mmseg_robust.models.stage_outputs.find_stage_outputs`.
        seed (int): Seed of the draws. Default: 0.
        per_stage (bool): Whether a sample draws anew at each stage, or once for all. Default: True.

    Raises:
        InputError: At construction or before training, if a value is wrong.
    """

    priority = "NORMAL"

    def __init__(
        self,
        epsilon: float | Sequence[float] = 9.0,
        prob: float = 0.3,
        begin: Moment = 0.1,
        end: Moment | None = None,
        stages: Sequence[int] | None = None,
        modules: Sequence[ModuleSpec] | None = None,
        seed: int = 0,
        per_stage: bool = True,
    ) -> None:
        # What can be checked without the model is checked here, when the config is read.
        CWFA(epsilon_per_stage(epsilon, _length(epsilon)), prob, seed, per_stage)
        self.window = ActiveWindow(begin, end)
        self.epsilon = epsilon
        self.prob = prob
        self.stages = stages
        self.modules = modules
        self.seed = seed
        self.per_stage = per_stage
        self.attached: AttachedCWFA | None = None

    def before_train(self, runner: Runner) -> None:
        """Attach to the model, which is loaded, wrapped and copied for EMA by now."""
        if self.attached is not None:  # left by a training that ended in an exception
            self.attached.detach()
        self._active = resolve(self.window, runner.max_iters)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.attached = AttachedCWFA(
            model,
            self.epsilon,
            self.prob,
            self.stages,
            self.modules,
            self.seed,
            self.per_stage,
        )
        self._device = next(model.parameters()).device
        self._measured = False

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Set what the coming pass draws from."""
        assert self.attached is not None
        active = self._active.contain(runner.iter)
        self.attached.cwfa.advance(
            runner.iter, get_rank(), active, self._device, measure=not self._measured
        )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Log the norms of the first batch.

        Raises:
            InputError: If a named module was not called.
        """
        if not self._measured:
            assert self.attached is not None
            log_norms(
                self.attached.cwfa, [out.path for out in self.attached.outputs], runner.logger
            )
            self._measured = True

    def after_train(self, runner: Runner) -> None:
        """Leave the stock network."""
        assert self.attached is not None
        self.attached.detach()


def _length(epsilon: float | Sequence[float]) -> int:
    return len(epsilon) if isinstance(epsilon, Sequence) and not isinstance(epsilon, str) else 1
