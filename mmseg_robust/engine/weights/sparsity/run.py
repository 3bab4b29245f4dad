"""Sparse training of one model by one optimizer: what happens after each step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mmseg_robust.engine.weights.sparsity.densities import degenerate
from mmseg_robust.engine.weights.sparsity.layers import density_table, select_layers
from mmseg_robust.engine.weights.sparsity.masks import Masks
from mmseg_robust.engine.weights.sparsity.optimizer_state import check_optimizer
from mmseg_robust.engine.weights.sparsity.rules import build_rule
from mmseg_robust.engine.weights.sparsity.schedule import UpdateCounter, UpdateSchedule
from mmseg_robust.engine.weights.sparsity.settings import Settings
from mmseg_robust.engine.weights.sparsity.stored import StoredMasks
from mmseg_robust.errors import InputError


@dataclass(frozen=True)
class Change:
    """A change of masks.

    Args:
        density (float): Active weights of all selected layers, over their weights.
        turnover (float): Active weights that were inactive before, over the active ones.
    """

    density: float
    turnover: float


class SparseRun:
    """Masks of a model, their schedule, and the changes that are due.

    Args:
        settings (Settings): With a sparsity above 0.
        model (nn.Module): The model, not wrapped for distributed training, its weights loaded.
        optimizer (Optimizer): Its optimizer.
        schedule (UpdateSchedule, optional): When masks change; None for never.
        stored (StoredMasks, optional): Of the run that goes on. Default: None, a new run.

    Raises:
        InputError: If a filter or the sparsity leaves nothing to mask, the optimizer's state cannot
            be masked, or ``stored`` is of another model.
    """

    def __init__(
        self,
        settings: Settings,
        model: nn.Module,
        optimizer: Optimizer,
        schedule: UpdateSchedule | None,
        stored: StoredMasks | None = None,
    ) -> None:
        weights, self.layers = select_layers(model, settings)
        self.settings = settings
        self.schedule = schedule
        self._rule = build_rule(settings, self.layers)
        self._masked = self._rule.masked()
        if stored is not None:
            stored.check_layers(self.layers)
        if not self._masked:
            raise InputError(f"sparsity={settings.sparsity} is so low that no weight would be 0")
        check_optimizer(optimizer, weights[0].parameter)
        self.masks = Masks([weights[i] for i in self._masked], optimizer)
        self.masks.replace(self._first_masks() if stored is None else self._restored(stored))
        self.masks.apply()
        self._counter = UpdateCounter(0 if stored is None else stored.updates)
        self._next = None if schedule is None else schedule.next_after(self._counter.value())

    def after_step(self, found_inf: Tensor | None = None) -> Change | None:
        """Mask the result of an optimizer's step, and change the masks if it is time.

        Waits for the device when masks change, else not.

        Args:
            found_inf (Tensor, optional): Shape (), above 0 if a fused optimizer under a loss scaler
                left all as it was.

        Returns:
            Change or None: What has changed.
        """
        self.masks.apply()
        self._counter.add(found_inf)
        if self._next is None or not self._counter.reached(self._next):
            return None
        assert self.schedule is not None
        grown = self.masks.replace(self._changed(self._next, self.schedule))
        self.masks.apply()
        self._next = self.schedule.next_after(self._next)
        active = sum(self.masks.active())
        return Change(self.density(), int(grown) / active)

    def counts(self) -> list[int]:
        """Active weights of each selected layer. Waits for the device."""
        counts = [layer.size for layer in self.layers]
        for place, count in zip(self._masked, self.masks.active()):
            counts[place] = count
        return counts

    def density(self) -> float:
        """Active weights of all selected layers, over their weights. Waits for the device."""
        return sum(self.counts()) / sum(layer.size for layer in self.layers)

    def describe(self) -> tuple[str, str | None]:
        """The table of densities, and a warning where the distribution is degenerate."""
        counts = self.counts()
        return density_table(self.layers, counts), degenerate(self.layers, counts)

    def stored(self) -> StoredMasks:
        """What a checkpoint has to hold."""
        shapes = {layer.name: list(layer.shape) for layer in self.layers}
        masks = self.masks.stored()
        return StoredMasks(self.settings.as_dict(), self._counter.value(), shapes, masks)

    def _first_masks(self) -> list[Tensor]:
        counts = self._rule.first_counts()
        return self._rule.first_masks(self._flat_weights(), [counts[i] for i in self._masked])

    def _restored(self, stored: StoredMasks) -> list[Tensor]:
        named = zip(self.masks.names, self.masks.parameters)
        return [stored.masks[name].to(weight.device) for name, weight in named]

    @torch.no_grad()
    def _changed(self, update: int, schedule: UpdateSchedule) -> list[Tensor]:
        gradients = [weight.grad for weight in self.masks.parameters]
        flat = [None if gradient is None else gradient.flatten() for gradient in gradients]
        return self._rule.update(update, schedule, self._flat_weights(), flat, self.masks.flat())

    def _flat_weights(self) -> list[Tensor]:
        return [weight.detach().flatten() for weight in self.masks.parameters]
