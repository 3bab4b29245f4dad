"""Channel-wise feature augmentation (CWFA).

Paper: A. G. Rodriguez Salgado, M. Shen, P. Harzig, P. Mayer, J. M. Alvarez, "Channel Wise
Feature Augmentation", arXiv 2412.01941. The equations, epsilon 9 (SegFormer B0 to B2) and 15 (B3
to B5), prob 0.3, all encoder stages and the start after 16,000 iterations were read in public
digests of the paper, not in its body.

For the output X of an encoder stage, channels c, positions (j, m), shapes as in (N, C, H, W):

    x_c   = 1 / (H W) * sum_{j, m} X_{c, j, m}      (1)  global average feature, shape (N, C)
    p     = epsilon * x / ||x||_2                   (2)  norm over the channels: ||p||_2 = epsilon
    Xhat  = X_{c, j, m} + p_c                       (3)  the same shift at every position

The project's own choices, where the digests are silent: each sample draws for itself and for each
stage whether it is augmented; the gradient passes through p, as the equations stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from mmseg_robust.errors import InputError

_SPATIAL_DIMS = {"NCHW": (2, 3), "NLC": (1,), "NHWC": (1, 2)}
_CHANNEL_DIM = {"NCHW": 1, "NLC": 2, "NHWC": 3}
_LAYOUT_BY_NDIM = {4: "NCHW", 3: "NLC"}

NOT_MEASURED = -1.0

_MASK32 = 0xFFFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF
# Odd constants that spread stages and samples over the 32-bit range before hashing.
_STAGE_STEP = 0x85EBCA6B
_SAMPLE_STEP = 0x9E3779B1


class _ShiftAlongMean(torch.autograd.Function):
    """Equations (1) to (3), with the gradient written out.

    With d = x / ||x|| and G the sum over positions of the gradient g of Xhat, the gradient of X is

        g + epsilon / (||x|| H W) * (G - d <d, G>)

    so that the backward pass needs two small tensors, not the features, and writes one tensor of
    their size. Means and norms are float32 whatever the precision of the features: under fp16
    neither the sum over positions nor the squares can overflow. Where x is 0, so are d and its part
    of the gradient.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, length: Tensor, layout: str) -> tuple[Tensor, Tensor]:
        """Shift by ``length`` (N,); returns the result and ||x|| with reduced dimensions kept."""
        mean = features.mean(_SPATIAL_DIMS[layout], keepdim=True, dtype=torch.float32)
        norm = torch.linalg.vector_norm(mean, dim=_CHANNEL_DIM[layout], keepdim=True)
        inverse = torch.nan_to_num(norm.reciprocal(), nan=math.nan, posinf=0.0)
        direction = mean * inverse
        length = length.view(-1, *[1] * (features.dim() - 1))
        ctx.save_for_backward(direction, length * inverse)
        ctx.layout = layout
        ctx.mark_non_differentiable(norm)
        return features + (length * direction).to(features.dtype), norm

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of the features."""
        direction, rate = ctx.saved_tensors
        spatial = _SPATIAL_DIMS[ctx.layout]
        total = grad.mean(spatial, keepdim=True, dtype=torch.float32)
        along = (total * direction).sum(_CHANNEL_DIM[ctx.layout], keepdim=True)
        through = torch.addcmul(total, direction, along, value=-1) * rate
        return grad + through.to(grad.dtype), None, None


class CWFA:
    """Augments stage outputs; holds the draws, so that hook, backbone wrapper and neck share it.

    It is no ``nn.Module`` and has no buffers, so that nothing of it enters a ``state_dict`` and
    distributed training cannot overwrite one rank's draws with another's.

    Whether a sample is augmented at a stage depends on (seed, rank, iteration, stage, index of the
    sample in the batch) alone, through an integer hash computed on the device: the global random
    state is neither read nor changed, a resumed run draws what an uninterrupted one would, and the
    second forward of gradient checkpointing repeats the first one's draws. The iteration and the
    probability live in device tensors, because a Python number that changes would make
    ``torch.compile`` compile again.

    Args:
        epsilon (sequence of float): Norm of the shift for each stage, 0 or more.
        prob (float): Probability that a sample is augmented at a stage, in [0, 1]. Default: 0.3.
        seed (int): Seed of the draws. Default: 0.

    Raises:
        InputError: If a value is out of its range.
    """

    def __init__(self, epsilon: Sequence[float], prob: float = 0.3, seed: int = 0) -> None:
        self.epsilon = tuple(check_epsilon(e) for e in epsilon)
        self.prob = check_prob(prob)
        self.seed = check_seed(seed)
        self.awake = False
        self.device: torch.device | None = None
        self._measuring = False
        self._lengths: Tensor | None = None

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
            self._draw_key = torch.zeros((), dtype=torch.int64, device=device)
            self._probability = torch.zeros((), dtype=torch.float32, device=device)
            self._mean_norms = torch.full((len(self.epsilon),), NOT_MEASURED, device=device)
            self._epsilon = torch.tensor(self.epsilon, device=device)[:, None]
        active = active and not self.never_acts
        self.awake = active or measure
        self._measuring = measure
        self._lengths = None
        self._draw_key.fill_(_hash_words(self.seed, rank, iteration))
        self._probability.fill_(self.prob if active else 0.0)

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
        length = self._shift_lengths(features.shape[0])[stage]
        augmented, norm = _ShiftAlongMean.apply(features, length, layout)
        # Compiled, the flag would mean a second compilation; there measuring costs nothing.
        if torch.compiler.is_compiling() or self._measuring:
            self._mean_norms[stage] = norm.detach().mean()
        return augmented

    def _shift_lengths(self, count: int) -> Tensor:
        """How far each sample is shifted at each stage: epsilon or 0; (stages, count), float32."""
        if torch.compiler.is_compiling():
            return self._epsilon * (self._uniform(count) < self._probability)
        # All stages at once and kept for the pass: launching small kernels is what costs here.
        if self._lengths is None or self._lengths.shape[1] != count:
            self._lengths = self._epsilon * (self._uniform(count) < self._probability)
        return self._lengths

    def _uniform(self, count: int) -> Tensor:
        """Uniform numbers in [0, 1), one a stage and sample: (stages, count), float32."""
        device = self._draw_key.device
        stages = torch.arange(len(self.epsilon), device=device)[:, None] * _STAGE_STEP
        x = torch.arange(count, device=device) * _SAMPLE_STEP + (stages + self._draw_key)
        return (_hash32(x & _MASK32) >> 8).to(torch.float32) * 2.0**-24


def _layout_of(features: Tensor) -> str:
    ndim = features.dim() if isinstance(features, Tensor) else None
    if ndim not in _LAYOUT_BY_NDIM:
        got = f"a tensor of {ndim} dimensions" if ndim is not None else type(features).__name__
        raise InputError(
            "CWFA acts on the output of a module that returns one tensor, (N, C, H, W) or "
            f"(N, L, C), but got {got}. Name another module."
        )
    return _LAYOUT_BY_NDIM[ndim]


def _hash32(x: Tensor) -> Tensor:
    """A bijective mix of 32-bit integers held in int64 (multiply and xor-shift, two rounds)."""
    # Products may wrap around in int64; their low 32 bits, all that is kept, stay right.
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK32
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK32
    return x ^ (x >> 16)


def _hash_words(*words: int) -> int:
    """Hash integers into one of 32 bits on the host (SplitMix64's finaliser, chained)."""
    state = 0
    for word in words:
        state = (state + word + 0x9E3779B97F4A7C15) & _MASK64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK64
        state ^= state >> 31
    return state >> 32


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
