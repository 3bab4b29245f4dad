"""SAM's first pass: gradients at the clean weights that leave no trace in the run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmseg_robust.engine.weights.extend import call_around
from mmseg_robust.errors import InputError
from mmseg_robust.not_compiled import not_compiled

_NOTHING = object()


class FirstPass:
    """Computes loss and gradients of a batch right before the model's own training step on it.

    - The step that follows gets the same pre-processed batch, so that augmentations of the batch
      are drawn once, and draws the same dropout. The global random state is then what it would be
      without the first pass.
    - The pass computes on other parameters, which share the memory of the model's own. So the
      gradients that are there, those that accumulate and the hooks on parameters (among them those
      of distributed training, which would exchange gradients) see nothing; and unlike with
      ``torch.autograd.grad``, re-entrant checkpointing works.
    - The pass has an autocast of its own, whose cached half-precision weights end with it.
    - It runs on the plain model: not compiled, and under ``torch.compile`` with a compiler that has
      random numbers of its own the dropout of the two passes differs.

    Buffers are updated, as by any forward pass in training. The model must not write into its
    inputs, as the stock ones do not.

    Args:
        model (nn.Module): An MMEngine model, not wrapped for distributed training.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model
        self._places = [
            (module._parameters, name, parameter)
            for module in model.modules()
            for name, parameter in module._parameters.items()
            if parameter is not None and parameter.requires_grad
        ]
        self._named = list(model.named_parameters())
        devices = {parameter.device for _, _, parameter in self._places}
        self._gpus = [device for device in devices if device.type == "cuda"]
        self._batch: Any = _NOTHING
        self._checked = False
        self.close = call_around(model.data_preprocessor, "forward", self._preprocess)

    def run(self, batch: Any, optim_wrapper: OptimWrapper) -> tuple[Tensor, dict[Tensor, Tensor]]:
        """Make the pass.

        Args:
            batch (Any): What the data loader gave.
            optim_wrapper (OptimWrapper): Gives the precision of the pass and, if it has a loss
                scaler, the scale of its loss.

        Returns:
            tuple[Tensor, dict[Tensor, Tensor]]: The loss, (), not scaled; and by parameter the
            gradient, of its shape, of the scaled loss. Parameters that the loss does not depend on
            are left out.

        Raises:
            InputError: If the model holds a parameter elsewhere than in its modules' attributes.
        """
        self.forget()
        model = self.model
        before = None if self._checked else self._gradients_there()
        with optim_wrapper.optim_context(model):
            prepared = model.data_preprocessor(batch, True)
        with _repeatable_draws(self._gpus), self._on_leaves() as leaves:
            with optim_wrapper.optim_context(model):
                losses = model._run_forward(prepared, mode="loss")
            loss, _ = model.parse_losses(losses)
            scaler = getattr(optim_wrapper, "loss_scaler", None)
            # Half-precision gradients would vanish without the scale.
            (loss if scaler is None else scaler.scale(loss)).backward()
        if before is not None:
            self._check_untouched(before)
        self._batch = prepared
        gradients: dict[Tensor, Tensor] = {
            parameter: leaf.grad for parameter, leaf in leaves.items() if leaf.grad is not None
        }
        return loss.detach(), gradients

    def forget(self) -> None:
        """Let the batch of the last pass go, if no step has taken it."""
        self._batch = _NOTHING

    @not_compiled
    def _preprocess(self, preprocess: Any, *args: Any, **kwargs: Any) -> Any:
        """Give the step the batch of the first pass."""
        if self._batch is _NOTHING:
            return preprocess(*args, **kwargs)
        prepared, self._batch = self._batch, _NOTHING
        return prepared

    @contextmanager
    def _on_leaves(self) -> Iterator[dict[nn.Parameter, nn.Parameter]]:
        """Put other leaves of the graph, of the same memory, in the place of the parameters."""
        leaves: dict[nn.Parameter, nn.Parameter] = {}
        for _, _, parameter in self._places:
            if parameter not in leaves:  # a shared one has one gradient
                leaves[parameter] = nn.Parameter(parameter.detach())
        try:
            for owner, name, parameter in self._places:
                owner[name] = leaves[parameter]
            yield leaves
        finally:
            for owner, name, parameter in self._places:
                owner[name] = parameter

    def _gradients_there(self) -> dict[str, tuple[Tensor | None, int]]:
        """The model's own gradients and how often each has been written to, by name."""
        return {
            name: (parameter.grad, -1 if parameter.grad is None else parameter.grad._version)
            for name, parameter in self._named
        }

    def _check_untouched(self, before: dict[str, tuple[Tensor | None, int]]) -> None:
        """Whether a pass has changed the model's own gradients. The first one tells for all."""
        for name, (gradient, version) in self._gradients_there().items():
            if gradient is not before[name][0] or version != before[name][1]:
                raise InputError(
                    f"the model uses its parameter {name} from elsewhere than the attribute of the "
                    "module that owns it (as recurrent layers do), so that the first pass of SAM "
                    "changes the gradients of the second; such models are not supported."
                )
        self._checked = True


@contextmanager
def _repeatable_draws(gpus: list[torch.device]) -> Iterator[None]:
    """Put the global random states back at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(gpus, device_type="cuda"):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
