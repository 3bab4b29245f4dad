"""The methods: what each drops and grows at a mask update.

Sources, and what of them was read:

- SET: Mocanu et al., "Scalable Training of Artificial Neural Networks with Adaptive Sparse
  Connectivity", 2018; its Keras code was read. That drops the smallest positive and the largest
  negative weights, a fraction each. Here weights are dropped by magnitude, as by all methods in
  arXiv 2410.03030 (according to its reviews).
- RigL: Evci et al., arXiv 1911.11134; its TensorFlow code was read. That replaces the optimizer
  update by the mask update; here it follows it, as in the PyTorch codes of ITOP and GraNet.
- MEST: Yuan et al., NeurIPS 2021; its code was read. See :class:`MEST`.
- GraNet: Liu et al., NeurIPS 2021; its code was read. See :class:`GraNet`.
- arXiv 2410.03030 (corruption robustness of all four) is known by its abstract and its reviews.

A weight that was inactive and grows starts at 0 with empty optimizer state. One that is dropped and
grown in the same update keeps its value and state, as in the official codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_robust.engine.weights.sparsity.densities import Layer, active_counts
from mmseg_robust.engine.weights.sparsity.schedule import UpdateSchedule
from mmseg_robust.engine.weights.sparsity.settings import Settings
from mmseg_robust.engine.weights.sparsity.updates import (
    drop,
    grow,
    prune_together,
    random_generator,
    top,
)


class Rule:
    """SET and RigL: drop int(zeta_t * active) weights of each layer and grow as many.

    The static control uses its first masks.

    Args:
        settings (Settings): Of the run.
        layers (sequence of Layer): All selected layers.
    """

    def __init__(self, settings: Settings, layers: Sequence[Layer]) -> None:
        self.settings = settings
        self.layers = layers
        self.targets = active_counts(layers, settings.sparsity, settings.distribution)

    def masked(self) -> list[int]:
        """Places of the layers that need a mask; the others are dense from the start to the end."""
        return [i for i, layer in enumerate(self.layers) if self.targets[i] < layer.size]

    def first_counts(self) -> list[int]:
        """Active weights of each selected layer at the start."""
        return self.targets

    def first_masks(self, weights: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
        """The masks at the start: the largest weights, or random ones.

        Args:
            weights (sequence of Tensor): Of each masked layer, flat.
            counts (sequence of int): Active weights of each.

        Returns:
            list[Tensor]: Bool, shaped as the weights.
        """
        if self.settings.init == "magnitude":
            return [top(weight.abs(), count) for weight, count in zip(weights, counts)]
        draw = random_generator(self.settings.seed, 0, weights[0].device)
        return [top(_random(weight, draw), count) for weight, count in zip(weights, counts)]

    def update(
        self,
        number: int,
        schedule: UpdateSchedule,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        masks: Sequence[Tensor],
    ) -> list[Tensor]:
        """The masks after an update.

        Args:
            number (int): Optimizer updates that took place, this one included.
            schedule (UpdateSchedule): When and how much.
            weights (sequence of Tensor): Of each masked layer, flat; inactive ones are 0.
            gradients (sequence of Tensor or None): Of the dense layers, flat. A layer without one
                took no part in this update and keeps its mask.
            masks (sequence of Tensor): Bool, as they are.

        Returns:
            list[Tensor]: Bool, as they will be.
        """
        masks = self.prune(number, schedule, weights, masks)
        # One wait for the device, at a mask update only.
        active = torch.stack([mask.sum() for mask in masks]).tolist()
        draw = random_generator(self.settings.seed, number, weights[0].device)
        updated = []
        for i, (weight, gradient, mask) in enumerate(zip(weights, gradients, masks)):
            if gradient is None:
                updated.append(mask)
                continue
            keep, after = self.counts(i, number, schedule, active[i], weight.numel())
            scores = weight.abs()
            if self.settings.gradient_weight:
                scores = scores + self.settings.gradient_weight * gradient.abs()
            kept = drop(scores, mask, keep)
            by_gradient = self.settings.grows_by == "gradient"
            growing = gradient.abs() if by_gradient else _random(weight, draw)
            updated.append(grow(growing, kept, after))
        return updated

    def prune(
        self,
        number: int,
        schedule: UpdateSchedule,
        weights: Sequence[Tensor],
        masks: Sequence[Tensor],
    ) -> Sequence[Tensor]:
        """What comes before drop and grow: nothing."""
        return masks

    def counts(
        self, index: int, number: int, schedule: UpdateSchedule, active: int, size: int
    ) -> tuple[int, int]:
        """How many weights of a layer are kept, and how many are active afterwards."""
        return active - int(schedule.fraction(number) * active), active


class MEST(Rule):
    """MEST with the soft memory bound (its "EM&S").

    Between updates a layer has n (1 + b_t) active weights, n its target and b_t the bound that
    decays to 0. An update drops down to n - int(zeta_t n) by the lowest |w| + lambda |g| and grows
    up to n (1 + b_t), so that the last one leaves exactly n. In MEST's code the soft variant drops
    to n and grows to n (1 + b), the other drops to n (1 - p) and grows to n. That both happen in
    one update, and the cosine of b_t, are the project's own choice: of what arXiv 2410.03030 did no
    more is known than a bound of 10 % of the target density.
    """

    def first_counts(self) -> list[int]:
        """With the surplus."""
        surplus = self.settings.surplus
        return [self._with(n, surplus, layer.size) for n, layer in zip(self.targets, self.layers)]

    def counts(
        self, index: int, number: int, schedule: UpdateSchedule, active: int, size: int
    ) -> tuple[int, int]:
        """See the class."""
        target = self.targets[self.masked()[index]]
        surplus = self.settings.surplus * schedule.surplus(number)
        return target - int(schedule.fraction(number) * target), self._with(target, surplus, size)

    @staticmethod
    def _with(target: int, surplus: float, size: int) -> int:
        return min(size, round(target * (1 + surplus)))


class GraNet(Rule):
    """GraNet: prune by magnitude over all layers together, bit by bit, then drop and grow in each.

    At an update the layers keep in all n_f + (n_i - n_f) (1 - t / T)^3 weights, from n_i at the
    initial sparsity to n_f at the final one, whichever layers they are in; then each layer drops
    int(zeta_t * active) and grows as many. Layer densities follow from the weights: the
    distribution sets the first ones alone.
    """

    def masked(self) -> list[int]:
        """All that the distribution does not leave dense by rule."""
        return [i for i, layer in enumerate(self.layers) if not layer.always_dense]

    def first_counts(self) -> list[int]:
        """At the initial sparsity."""
        start = self.settings.sparsity_at_start
        return active_counts(self.layers, start, self.settings.distribution)

    def prune(
        self,
        number: int,
        schedule: UpdateSchedule,
        weights: Sequence[Tensor],
        masks: Sequence[Tensor],
    ) -> Sequence[Tensor]:
        """Down to the sparsity that the schedule asks for by now."""
        first = self.first_counts()
        start = sum(first[i] for i in self.masked())
        end = sum(self.targets[i] for i in self.masked())
        count = round(start + (end - start) * schedule.pruned(number))
        return prune_together([weight.abs() for weight in weights], masks, count)


def build_rule(settings: Settings, layers: Sequence[Layer]) -> Rule:
    """The rule of a method.

    Args:
        settings (Settings): Of the run.
        layers (sequence of Layer): All selected layers.

    Returns:
        Rule: That of ``settings.method``.

    Raises:
        InputError: If the sparsity leaves a layer without weights.
    """
    return {"mest": MEST, "granet": GraNet}.get(settings.method, Rule)(settings, layers)


def _random(weight: Tensor, draw: torch.Generator) -> Tensor:
    """A random number in [0, 1) for each weight."""
    return torch.rand(weight.numel(), generator=draw, device=weight.device)
