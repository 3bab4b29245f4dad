"""DAMP as an MMEngine hook: training under random multiplicative weight noise."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseg_robust.corruptions.random import hash_parts
from mmseg_robust.engine.weights.flat_tensors import FlatTensors, SavedTensors
from mmseg_robust.engine.weights.multiplicative import random_factors
from mmseg_robust.engine.weights.perturbation import PerturbationHook, check_strength
from mmseg_robust.engine.weights.selection import KINDS, check_filters, select_weights
from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.cwfa import check_seed
from mmseg_robust.models.feature_augmentation.schedule import Moment

GRADIENTS = ("perturbed", "chain_rule")


@HOOKS.register_module()
class DAMPHook(PerturbationHook):
    """Data augmentation via multiplicative perturbations (DAMP, arXiv 2406.16540, NeurIPS 2024).

    In each iteration every weight w is multiplied by a number xi of its own from N(1, sigma^2), the
    gradient is taken there, and the clean w is updated with it; see
    :mod:`mmseg_robust.engine.weights.multiplicative` for why. As in the authors' code:

    - Weights of convolutions, linear layers and norms are perturbed; biases, position embeddings
      and tables are not. (That the projections of ``nn.MultiheadAttention`` are linear layers and
      that layer scales are none is the project's reading.)
    - The gradient at w * xi is applied to w without the factor xi that the chain rule would give.
    - Statistics of batch norms come from the perturbed network.

    The paper splits each batch among M = 8 processes with noise of their own. Here each rank and
    each micro-batch of gradient accumulation draws its own, so M is their product; on one GPU
    ``accumulative_counts=8`` is the paper's M, and without it M = 1 is a noisier gradient.

    The noise depends on (seed, rank, iteration) alone: no global random state is touched and a
    resumed run draws what an uninterrupted one would. The loss in the log is that of the perturbed
    network. Two copies of the weights are held. See :class:`PerturbationHook` for when the weights
    are clean.

    Args:
        sigma (float): Standard deviation of the factors, 0 or more; 0 is the stock run. Default:
            0.1; the paper takes 0.1 to 0.25, see docs/damp.md.
        gradient (str): ``"perturbed"`` (default), the authors' algorithm; or ``"chain_rule"``, the
            unbiased gradient of the paper's objective (equation 7), which multiplies by xi once
            more. That one also penalises curvature, by about sigma^2 diag(H) w, and is another
            method: the paper has no results for it.
        kinds (sequence of str): Of ``"conv"``, ``"linear"``, ``"norm"``. Default: all.
        include (sequence of str): Regular expressions; only weights whose names match one. Empty:
            all.
        exclude (sequence of str): Regular expressions; no weight whose name matches one.
        begin (int or float): First iteration, or fraction of the run, in which it acts. Default: 0
            (paper).
        end (int or float, optional): First iteration, or fraction, in which it no longer acts.
            Default: None, never.
        seed (int): Seed of the noise. Default: 0.

    Raises:
        InputError: At construction or before training, if a value is wrong or the run is of a kind
            that :class:`PerturbationHook` refuses.
    """

    def __init__(
        self,
        sigma: float = 0.1,
        gradient: str = "perturbed",
        kinds: Sequence[str] = KINDS,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        begin: Moment = 0,
        end: Moment | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(begin, end)
        if gradient not in GRADIENTS:
            raise InputError(f"gradient is {gradient!r}; it must be one of {', '.join(GRADIENTS)}.")
        check_filters(kinds, include, exclude)
        self.sigma = check_strength("sigma", sigma, "the paper: 0.1 to 0.25")
        self.gradient = gradient
        self.filters = (kinds, include, exclude)
        self.seed = check_seed(seed)

    @property
    def never_acts(self) -> bool:
        """Whether sigma is 0."""
        return self.sigma == 0

    def prepare(self, runner: Runner, model: nn.Module) -> None:
        """Find the weights.

        Raises:
            InputError: If a filter matches nothing.
        """
        weights = [weight.parameter for weight in select_weights(model, *self.filters)]
        self.saved = [SavedTensors(weights)]
        self._factors = FlatTensors(weights)
        self._generators = [torch.Generator(g.flat.device) for g in self._factors.groups]
        if self.gradient == "chain_rule":
            for weight, factors in self._factors.pairs():
                scaled = functools.partial(self._times, factors)
                self.at_end(weight.register_hook(scaled).remove)
        runner.logger.info(
            "DAMP perturbs %d weights, %.1f %% of the parameters",
            len(weights),
            100 * sum(w.numel() for w in weights) / sum(p.numel() for p in model.parameters()),
        )

    @torch.no_grad()
    def perturb(self, runner: Runner, batch: Any) -> None:
        """Multiply each weight by a factor of its own."""
        self.saved[0].save()
        for index, (group, generator) in enumerate(zip(self._factors.groups, self._generators)):
            generator.manual_seed(hash_parts(self.seed, get_rank(), runner.iter, index))
            random_factors(group.flat, self.sigma, generator)
            torch._foreach_mul_(group.tensors, group.views)

    def _times(self, factors: Tensor, gradient: Tensor) -> Tensor | None:
        """The chain rule's factor, before the gradient is accumulated or exchanged."""
        return gradient * factors if self.saved[0].held else None
