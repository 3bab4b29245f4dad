"""SAM and ASAM as an MMEngine hook: training under the worst small change of the weights."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseg_robust.engine.weights.first_pass import FirstPass
from mmseg_robust.engine.weights.flat_tensors import FlatGroup, FlatTensors, SavedTensors
from mmseg_robust.engine.weights.multiplicative import steepest_step
from mmseg_robust.engine.weights.perturbation import PerturbationHook, check_strength
from mmseg_robust.engine.weights.selection import all_weights
from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.schedule import Moment


@HOOKS.register_module()
class SharpnessAwareHook(PerturbationHook):
    """Sharpness-aware minimization: SAM (arXiv 2010.01412) and its adaptive form ASAM (2102.11600).

    A first pass over the batch gives the gradient g at the weights w; the weights move up the loss
    by e = rho * T^2 g / ||T g||_2; the stock training step then takes the gradient at w + e, and w
    is updated with it. The norm is that of all trainable parameters together and all are moved.
    SAM: T = 1. ASAM: T = |w| + eta on the weights of convolutions, linear layers (the projections
    of ``nn.MultiheadAttention`` too) and norms and 1 elsewhere, as in its authors' code and DAMP's.
    ASAM with eta = 0 is the adversarial form of what :class:`DAMPHook` does at random; see
    :mod:`mmseg_robust.engine.weights.multiplicative`.

    - Each rank moves its weights by its own part of the batch, and so does each micro-batch of
      gradient accumulation (m-sharpness, as in the SAM and DAMP papers); ``sync`` averages over the
      ranks.
    - Both passes see the same pre-processed batch and the same dropout; see :class:`FirstPass`.
    - Statistics of batch norms come from the first pass, at the clean weights, and are counted
      once, as in DAMP's code.
    - Where the first pass gives no finite gradient (fp16 overflow) the step is a plain one.
    - A parameter with an attribute ``sparse_mask`` (its shape, 1 where active) keeps its zeros: the
      gradient of the first pass counts there as 0.

    A step costs a second forward and backward pass. Two copies of the parameters are held. The log
    gains ``clean_loss`` and ``sharpness``, the loss at w + e less that at w; the stock ``loss`` is
    that at w + e.

    Args:
        rho (float): Radius, 0 or more; 0 is the stock run. The papers: 0.05 for SAM, 0.5 to 2 for
            ASAM; see docs/sharpness_aware.md.
        adaptive (bool): ASAM in place of SAM. Default: False.
        eta (float): Added to ``|w|`` in ASAM's T, 0 or more; with 0, weights that are 0 stay.
            Default: 0 (DAMP's paper and the example of ASAM's authors).
        interval (int): Every how many updates of the optimizer a step is made so; the others are
            plain. Default: 1.
        sync (bool): Average the first gradient over the ranks. Default: False.
        begin (int or float): First iteration, or fraction of the run, in which it acts. Default: 0.
        end (int or float, optional): First iteration, or fraction, in which it no longer acts.
            Default: None, never.

    Raises:
        InputError: At construction or before training, if a value is wrong or the run is of a kind
            that :class:`PerturbationHook` refuses.
    """

    def __init__(
        self,
        rho: float,
        adaptive: bool = False,
        eta: float = 0.0,
        interval: int = 1,
        sync: bool = False,
        begin: Moment = 0,
        end: Moment | None = None,
    ) -> None:
        super().__init__(begin, end)
        self.rho = check_strength("rho", rho, "the papers: 0.05 for SAM, 0.5 to 2 for ASAM")
        self.eta = check_strength("eta", eta, "the papers: 0 or 0.01")
        if eta and not adaptive:
            raise InputError(
                f"eta is {eta!r}, but only ASAM has an eta: set adaptive=True or leave eta out."
            )
        if not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
            raise InputError(f"interval is {interval!r}; it must be an integer of 1 or more.")
        self.adaptive = adaptive
        self.interval = interval
        self.sync = sync

    @property
    def never_acts(self) -> bool:
        """Whether rho is 0."""
        return self.rho == 0

    def acts(self, runner: Runner) -> bool:
        """Whether the update that the coming step is part of is one of every ``interval``."""
        update = runner.iter // getattr(runner.optim_wrapper, "_accumulative_counts", 1)
        return super().acts(runner) and update % self.interval == 0

    def prepare(self, runner: Runner, model: nn.Module) -> None:
        """Find the parameters and the statistics."""
        adapted = {weight.parameter for weight in all_weights(model)} if self.adaptive else set()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        parts = (
            [parameter for parameter in trained if parameter in adapted],
            [parameter for parameter in trained if parameter not in adapted],
        )
        clean = [SavedTensors(part) for part in parts]
        self._statistics = SavedTensors(_statistics(model))
        self.saved = [*clean, self._statistics]
        self._steps = [FlatTensors(part) for part in parts]
        # For each group of parameters: their step, their clean values, whether T depends on them.
        self._groups = [
            (step, values, is_adapted)
            for steps, saved, is_adapted in zip(self._steps, clean, (True, False))
            for step, values in zip(steps.groups, saved.groups)
        ]
        self._first_pass = FirstPass(model)
        self.at_end(self._first_pass.close)

    def perturb(self, runner: Runner, batch: Any) -> None:
        """Make the first pass and move the parameters up the loss."""
        self._clean_loss, gradients = self._first_pass.run(batch, runner.optim_wrapper)
        with torch.no_grad():
            for saved in self.saved:
                saved.save()
            for group, _, _ in self._groups:
                _gather(group, gradients)
            gradients.clear()  # their memory is free for the second pass
            if self.sync:
                for group, _, _ in self._groups:
                    all_reduce(group.flat, op="mean")
            sizes = [
                values.flat.abs().add_(self.eta) if is_adapted else None
                for _, values, is_adapted in self._groups
            ]
            steepest_step([group.flat for group, _, _ in self._groups], sizes, self.rho)
            for group, _, _ in self._groups:
                torch._foreach_add_(group.tensors, group.views)

    def observe(self, outputs: Any) -> Any:
        """Add what MMEngine's logger shows and averages as any other output."""
        self._first_pass.forget()
        if isinstance(outputs, dict) and "loss" in outputs:
            outputs["clean_loss"] = self._clean_loss
            outputs["sharpness"] = outputs["loss"].detach() - self._clean_loss
        return outputs


def _gather(group: FlatGroup, gradients: dict[Tensor, Tensor]) -> None:
    """Copy gradients to the places of their parameters; 0 where there is none or a mask says so."""
    group.flat.zero_()
    views = dict(zip(group.tensors, group.views))
    found = [tensor for tensor in group.tensors if tensor in gradients]
    if found:
        torch._foreach_copy_([views[t] for t in found], [gradients[t] for t in found])
    # Only what was set on this object: every tensor has a method of that name.
    masks = {t: vars(t)["sparse_mask"] for t in group.tensors if "sparse_mask" in vars(t)}
    if masks:
        torch._foreach_mul_([views[tensor] for tensor in masks], list(masks.values()))


def _statistics(model: nn.Module) -> list[Tensor]:
    """The buffers of norms that keep running statistics, once each."""
    buffers = {
        buffer: None
        for module in model.modules()
        if getattr(module, "running_mean", None) is not None
        for buffer in module.buffers(recurse=False)
    }
    return list(buffers)
