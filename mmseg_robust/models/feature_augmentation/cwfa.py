"""Channel-wise feature augmentation (CWFA).

Paper: A. G. Rodriguez Salgado, M. Shen, P. Harzig, P. Mayer, J. M. Alvarez, "Channel Wise
Feature Augmentation", arXiv 2412.01941. The equations, epsilon 9 (SegFormer B0 to B2) and 15 (B3
to B5), prob 0.3, all encoder stages and the start after 16,000 iterations were read in public
digests of the paper, not in its body.

For the output X of an encoder stage, channels c, positions (j, m), shapes as in (N, C, H, W):

    x_c   = 1 / (H W) * sum_{j, m} X_{c, j, m}      (1)  global average feature, shape (N, C)
    p     = epsilon * x / ||x||_2                   (2)  norm over the channels: ||p||_2 = epsilon
    Xhat  = X_{c, j, m} + p_c                       (3)  the same shift at every position

The project's own choices, where the digests are silent: each sample draws for itself whether it is
augmented, by default for each stage anew, which with four stages at prob 0.3 leaves 24 % of the
samples as they are, with ``per_stage=False`` once for all stages, which leaves 70 %; the gradient
passes through p, as the equations stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmseg_robust.corruptions.transfer import to_device
from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.draws import RANGE, draw, hash_words, threshold
from mmseg_robust.models.feature_augmentation.shift import (
    gradient_of_shift,
    mean_feature,
    shift,
)

_LAYOUT_BY_NDIM = {4: "NCHW", 3: "NLC"}

NOT_MEASURED = -1.0

_KEY_STEP = 2 * RANGE  # thresholds are smaller
_TABLE = 256  # iterations whose draws are made and sent to the device at once
_TABLES = 8  # for batches of as many sizes


class _ShiftAlongMean(torch.autograd.Function):
    """Equations (1) to (3), with the gradient written out.

    The backward pass needs the small mean, not the features, and writes one tensor of their size.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, length: Tensor, layout: str) -> Tensor:
        """Shift by ``length`` (N,)."""
        mean = mean_feature(features, layout)
        ctx.save_for_backward(mean, length)
        ctx.layout = layout
        return shift(features, mean, length, layout)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of the features."""
        mean, length = ctx.saved_tensors
        return gradient_of_shift(grad, mean, length, ctx.layout), None, None


class CWFA:
    """Augments stage outputs; holds the draws, so that hook, backbone wrapper and neck share it.

    It is no ``nn.Module`` and has no buffers, so that nothing of it enters a ``state_dict`` and
    distributed training cannot overwrite one rank's draws with another's.

    Whether a sample is augmented at a stage depends on (seed, rank, iteration, stage, index of the
    sample in the batch) alone, through an integer hash: the global random state is neither read nor
    changed, a resumed run draws what an uninterrupted one would, and the second forward of gradient
    checkpointing repeats the first one's draws. The host hashes, and a stage that augments no
    sample costs nothing. Compiled, the device does, from a key and a probability in tensors,
    because a Python number that changes would make ``torch.compile`` compile again.

    Args:
        epsilon (sequence of float): Norm of the shift for each stage, 0 or more.
        prob (float): Probability that a sample is augmented at a stage, in [0, 1]. Default: 0.3.
        seed (int): Seed of the draws. Default: 0.
        per_stage (bool): Whether a sample draws anew at each stage, or once for all. Default: True.

    Raises:
        InputError: If a value is out of its range.
    """

    def __init__(
        self,
        epsilon: Sequence[float],
        prob: float = 0.3,
        seed: int = 0,
        per_stage: bool = True,
    ) -> None:
        self.epsilon = tuple(check_epsilon(e) for e in epsilon)
        self.prob = check_prob(prob)
        self.seed = check_seed(seed)
        self.per_stage = check_per_stage(per_stage)
        self.awake = False
        self.device: torch.device | None = None
        self._measuring = False
        self._lengths: dict[int, _Lengths] = {}  # by number of samples

    @property
    def never_acts(self) -> bool:
        """Whether epsilon or prob is zero, so that the network stays the stock one."""
        return self.prob == 0 or not any(self.epsilon)

    def advance(
        self,
        iteration: int,
        rank: int,
        active: bool,
        device: torch.device | str,
        measure: bool = False,
    ) -> None:
        """Set what the coming forward pass draws from. Queues device work, never waits for it.

        Args:
            iteration (int): Number of the training iteration (micro-batch), from 0.
            rank (int): Rank of this process.
            active (bool): Whether features are augmented in this iteration.
            device (torch.device or str): Device of the features.
            measure (bool): Run the equations even where not active, for :attr:`mean_norms`.
        """
        device = torch.device(device)
        if device != self.device:
            self.device = device
            self._draws_there = torch.zeros((), dtype=torch.int64, device=device)
            self._lengths = {}
            self._mean_norms = torch.full((len(self.epsilon),), NOT_MEASURED, device=device)
            self._epsilon = torch.tensor(self.epsilon, device=device)[:, None]
        active = active and not self.never_acts
        self.awake = active or measure
        self._measuring = measure
        self._rank, self._iteration = rank, iteration
        self._key = hash_words(self.seed, rank, iteration)
        self._threshold = threshold(self.prob) if active else 0
        # One number for both, because it is one launch; the key has 32 bits.
        self._draws_there.fill_(self._key * _KEY_STEP + self._threshold)

    @property
    def mean_norms(self) -> list[float]:
        """Mean over the batch of ||x||_2 at each stage when last measured; reading waits for it.

        ``NOT_MEASURED`` for a stage that no pass has reached.
        """
        if self.device is None:
            return [NOT_MEASURED] * len(self.epsilon)
        return self._mean_norms.tolist()

    def __call__(self, features: Tensor, stage: int, layout: str | None = None) -> Tensor:
        """Augment one stage's output.

        Args:
            features (Tensor): (N, C, H, W), (N, L, C) or (N, H, W, C), floating point.
            stage (int): Index into ``epsilon``.
            layout (str, optional): Layout of the features. Default: NCHW for four dimensions, NLC
                for three.

        Returns:
            Tensor: Same shape, type and layout; the input itself when asleep.

        Raises:
            InputError: If the features are not a tensor of three or four dimensions.
        """
        # A compiled graph must not depend on the switch: there the probability of 0 turns it off.
        # Asked in this order, or the compiled graph would be guarded by the switch all the same.
        if not torch.compiler.is_compiling() and not self.awake:
            return features
        layout = layout or _layout_of(features)
        if torch.compiler.is_compiling():
            length = self._lengths_there(features.shape[0])[stage]
        else:
            lengths = self._shift_lengths(features.shape[0])
            if not self._measuring and not lengths.acts(stage):
                return features
            length = lengths.there(stage)
        # Compiled, the flag would mean a second compilation; there measuring costs nothing.
        if torch.compiler.is_compiling() or self._measuring:
            mean = mean_feature(features.detach(), layout)
            self._mean_norms[stage] = torch.linalg.vector_norm(mean.flatten(1), dim=1).mean()
        return _ShiftAlongMean.apply(features, length, layout)

    def drawn(self, count: int) -> np.ndarray:
        """Whether each sample of a batch is augmented at each stage in the coming pass.

        Args:
            count (int): Number of samples, N.

        Returns:
            np.ndarray: bool, shape (stages, N).
        """
        return self._draw(self._key, count) < self._threshold

    def _draw(self, key: Any, count: int) -> np.ndarray:
        """One number for each stage and sample, shape (..., stages, N) for keys (..., 1, 1)."""
        stages = np.arange(len(self.epsilon)) * self.per_stage
        return draw(key, stages, np.arange(count))

    def _shift_lengths(self, count: int) -> _Lengths:
        """How far each sample is shifted at each stage, epsilon or 0."""
        of = (self.seed, self._rank, self._threshold)
        lengths = self._lengths.get(count)
        if lengths is None or not lengths.go_to(self._iteration, of):
            keys = [hash_words(self.seed, self._rank, self._iteration + i) for i in range(_TABLE)]
            drawn = self._draw(np.array(keys)[:, None, None], count) < self._threshold
            table = np.asarray(self.epsilon, np.float32)[:, None] * drawn
            assert self.device is not None
            lengths = _Lengths(self._iteration, of, table, self.device)
            if len(self._lengths) == _TABLES:
                self._lengths.clear()
            self._lengths[count] = lengths
        return lengths

    def _lengths_there(self, count: int) -> Tensor:
        """The same for this pass, computed on the device, shape (stages, N)."""
        draws = self._draws_there
        stages = torch.arange(len(self.epsilon), device=draws.device) * self.per_stage
        samples = torch.arange(count, device=draws.device)
        drawn = draw(draws // _KEY_STEP, stages, samples) < draws % _KEY_STEP
        return self._epsilon * drawn


class _Lengths:
    """Shifts of some iterations on end, on the host and on the device.

    Many at once, because there a copy for every iteration would cost as much as a stage's shift.
    All passes are to run on one stream, as MMEngine's do.

    Args:
        first (int): The first iteration.
        of (tuple): What the draws depend on besides.
        table (np.ndarray): float32, shape (iterations, stages, N).
        device (torch.device): Where they are needed.
    """

    def __init__(
        self, first: int, of: tuple[int, ...], table: np.ndarray, device: torch.device
    ) -> None:
        self.first, self.of, self.row = first, of, 0
        self._acts: list[list[bool]] = (table != 0).any(axis=2).tolist()
        # Later passes save it for their gradients, whatever mode this one is in.
        with torch.inference_mode(False):
            self._there = to_device(torch.from_numpy(table), device, torch.float32)

    def go_to(self, iteration: int, of: tuple[int, ...]) -> bool:
        """Take the row of an iteration; False if there is none."""
        self.row = iteration - self.first
        return of == self.of and 0 <= self.row < len(self._acts)

    def acts(self, stage: int) -> bool:
        """Whether any sample is shifted at a stage."""
        return self._acts[self.row][stage]

    def there(self, stage: int) -> Tensor:
        """How far each sample is shifted at a stage, shape (N,), on the device."""
        return self._there[self.row, stage]


def _layout_of(features: Tensor) -> str:
    ndim = features.dim() if isinstance(features, Tensor) else None
    if ndim not in _LAYOUT_BY_NDIM:
        got = f"a tensor of {ndim} dimensions" if ndim is not None else type(features).__name__
        raise InputError(
            "CWFA acts on the output of a module that returns one tensor, (N, C, H, W) or "
            f"(N, L, C), but got {got}. Name another module."
        )
    return _LAYOUT_BY_NDIM[ndim]


def check_epsilon(value: float) -> float:
    """Return epsilon as a float, or raise InputError if it is negative or not a finite number."""
    if (
        isinstance(value, bool)
        or not isinstance(value, Real)
        or not math.isfinite(value)
        or value < 0
    ):
        raise InputError(
            f"epsilon is {value!r}; it must be a finite number of 0 or more (the paper: 9 and 15)."
        )
    return float(value)


def check_prob(value: float) -> float:
    """Return prob as a float, or raise InputError if it is outside [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise InputError(
            f"prob is {value!r}; it must be a number from 0 to 1 (the paper uses 0.3)."
        )
    return float(value)


def check_per_stage(value: bool) -> bool:
    """Return it, or raise InputError if it is neither True nor False."""
    if not isinstance(value, bool):
        raise InputError(
            f"per_stage is {value!r}; write True, each stage draws for itself, or False, a sample "
            "draws once for all stages."
        )
    return value


def check_seed(value: int) -> int:
    """Return the seed, or raise InputError if it is not an integer of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"seed is {value!r}; it must be an integer of 0 or more.")
    return value


def epsilon_per_stage(epsilon: float | Sequence[float], stages: int) -> list[float]:
    """One epsilon a stage from a number for all or a sequence.

    Args:
        epsilon (float or sequence of float): Number for every stage, or one a stage.
        stages (int): Number of stages that are augmented.

    Returns:
        list[float]: ``stages`` values.

    Raises:
        InputError: If a value is invalid or the sequence has another length.
    """
    if isinstance(epsilon, Sequence) and not isinstance(epsilon, str):
        if len(epsilon) != stages:
            raise InputError(
                f"epsilon has {len(epsilon)} values ({list(epsilon)}) for {stages} augmented "
                "stages; give one number, or one a stage."
            )
        return [check_epsilon(e) for e in epsilon]
    return [check_epsilon(epsilon)] * stages
