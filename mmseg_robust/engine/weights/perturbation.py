"""The training step at perturbed weights: what DAMP, SAM and ASAM have in common.

They differ in the perturbation alone, see :mod:`mmseg_robust.engine.weights.multiplicative`.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmseg_robust.engine.weights.extend import call_after, call_around
from mmseg_robust.engine.weights.flat_tensors import SavedTensors
from mmseg_robust.engine.weights.plain_model import plain_model
from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.schedule import ActiveWindow, Moment


class PerturbationHook(Hook):
    """Base of the hooks that take the gradient at perturbed weights and update the clean ones.

    The weights are perturbed at the start of the model's ``train_step``, after all hooks of
    ``before_train_iter``, and are the clean ones again, to the bit, right after the optimizer
    wrapper's ``backward``: before clipping, the optimizer with its weight decay, and thus EMA,
    checkpoints and validation. If the step raises they come back too. So no hook ever meets
    perturbed weights. To this end two methods of the objects in use are extended in
    ``before_train`` and freed in ``after_train``; see :mod:`mmseg_robust.engine.weights.extend`.

    A subclass implements :attr:`never_acts`, :meth:`prepare` and :meth:`perturb`.

    Args:
        begin (int or float): First iteration, or fraction of the run, in which it acts.
        end (int or float, optional): First iteration, or fraction, in which it no longer acts;
            None for never.

    Raises:
        InputError: At construction or before training, if a value is wrong, two methods perturb
            the same run, the model is sharded or has several optimizers.
    """

    # Its `before_train` comes last, so that it extends what other hooks leave.
    priority = "LOWEST"

    def __init__(self, begin: Moment, end: Moment | None) -> None:
        self.window = ActiveWindow(begin, end)
        self.saved: Sequence[SavedTensors] = ()
        self._undo: list[Callable[[], None]] = []

    @property
    @abstractmethod
    def never_acts(self) -> bool:
        """Whether the strength is 0: then the run is the stock one, nothing is extended."""

    @abstractmethod
    def prepare(self, runner: Runner, model: nn.Module) -> None:
        """Find the weights and make room for their copies.

        Must set :attr:`saved` to what :meth:`perturb` saves and the end of the backward pass
        brings back. What has to be undone after training goes to :meth:`at_end`.

        Args:
            runner (Runner): The runner, about to train.
            model (nn.Module): Its model, not wrapped for distributed training.
        """

    @abstractmethod
    def perturb(self, runner: Runner, batch: Any) -> None:
        """Save the weights, then change them in place. Must not wait for the device.

        Args:
            runner (Runner): The runner; ``runner.iter`` is the iteration of the coming step.
            batch (Any): What the data loader gave.
        """

    def acts(self, runner: Runner) -> bool:
        """Whether the coming step is one at perturbed weights."""
        return self._active.contain(runner.iter)

    def observe(self, outputs: Any) -> Any:
        """Extend what ``train_step`` returns, which is logged; called after perturbed steps.

        Args:
            outputs (Any): What the model's ``train_step`` returned.

        Returns:
            Any: The outputs.
        """
        return outputs

    def at_end(self, undo: Callable[[], None]) -> None:
        """Call something when training ends."""
        self._undo.append(undo)

    def before_train(self, runner: Runner) -> None:
        """Attach to the run: loaded, resumed, wrapped and compiled by now."""
        self._detach()  # from a training that ended in an exception
        _check_alone([hook for hook in runner.hooks if isinstance(hook, PerturbationHook)])
        model = plain_model(runner, type(self).__name__)
        self._active = self.window.resolve(runner.max_iters)
        if self._active.begin >= runner.max_iters:
            runner.logger.warning(
                "%s will never act: it begins at iteration %d, but the run ends after %d. Give a "
                "smaller begin, or a fraction such as 0.1.",
                type(self).__name__,
                self._active.begin,
                runner.max_iters,
            )
        if self.never_acts:
            return
        self.prepare(runner, model)
        step = functools.partial(self._step, runner)
        self.at_end(call_around(runner.model, "train_step", step))
        self.at_end(call_after(runner.optim_wrapper, "backward", self._restore))

    def after_train(self, runner: Runner) -> None:
        """Leave the stock run."""
        self._detach()

    def _detach(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _step(
        self, runner: Runner, step: Callable[..., Any], batch: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """The model's ``train_step`` at perturbed weights."""
        if not self.acts(runner):
            return step(batch, *args, **kwargs)
        try:
            self.perturb(runner, batch)
            outputs = step(batch, *args, **kwargs)
            if any(saved.held for saved in self.saved):
                raise InputError(
                    f"{type(self).__name__}: the training step of {type(runner.model).__name__} "
                    f"with {type(runner.optim_wrapper).__name__} never called "
                    "optim_wrapper.backward, so the optimizer met the perturbed weights. Use "
                    "OptimWrapper or AmpOptimWrapper and a model that trains through "
                    "optim_wrapper.update_params."
                )
        finally:
            self._restore()
        return self.observe(outputs)

    def _restore(self) -> None:
        for saved in self.saved:
            saved.restore()


def check_strength(name: str, value: float, hint: str) -> float:
    """Return a strength as a float.

    Args:
        name (str): The argument's name, for the error.
        value (float): The strength, 0 or more.
        hint (str): Usual values, for the error.

    Raises:
        InputError: If it is negative or not a finite number.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise InputError(f"{name} is {value!r}; it must be a finite number of 0 or more ({hint}).")
    return float(value)


def _check_alone(hooks: Sequence[Hook]) -> None:
    """Refuse two perturbations: the gradient is taken at one point."""
    if len(hooks) > 1:
        raise InputError(
            f"custom_hooks has {' and '.join(type(hook).__name__ for hook in hooks)}: each takes "
            "the gradient at weights that it perturbs itself, and what both together would mean is "
            "defined nowhere. Keep one of them."
        )
